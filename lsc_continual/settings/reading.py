"""From `key=value` overrides to settings: everything that is wrong is said at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from itertools import groupby
from math import ceil
from typing import Any, NamedTuple

import msgspec
import yaml

from lsc_continual.errors import LSCError, MistakesError
from lsc_continual.registry import UntrustedCodeError
from lsc_continual.settings.fields import Setting, settings_of
from lsc_continual.settings.schema import Settings

KEYS: dict[str, Setting] = {setting.key: setting for setting in settings_of(Settings)}
"""All settings by their dotted keys."""

GROUPS: dict[str, list[Setting]] = {
    name: list(inside)
    for name, inside in groupby(KEYS.values(), lambda setting: setting.key.rpartition(".")[0])
    if name
}
"""The settings of each group."""

CHANGEABLE = frozenset(key for key, setting in KEYS.items() if setting.about.changeable)
"""What may change in the middle of a run."""


class Override(NamedTuple):
    """A setting that somebody has set."""

    key: str
    value: Any
    text: str
    """The value as it was written."""


class Faults:
    """Collects what is wrong, so that all of it is said at once."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    def add(self, sentence: str) -> None:
        """Note a fault."""
        if sentence not in self.sentences:
            self.sentences.append(sentence)

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Note an `LSCError` raised inside, and go on."""
        try:
            yield
        except UntrustedCodeError:  # nothing else that the file says matters then
            raise
        except LSCError as error:
            self.add(str(error))

    def refuse(self) -> None:
        """Raise what was noted.

        Raises:
            LSCError: one fault.
            MistakesError: several.
        """
        if len(self.sentences) == 1:
            raise LSCError(self.sentences[0])
        if self.sentences:
            raise MistakesError(self.sentences)


def parse(arguments: Iterable[str], faults: Faults) -> list[Override]:
    """Overrides from "train.epochs=20", …; `group=NAME` is short for `group.name=NAME`."""
    found = []
    for argument in arguments:
        with faults.noted():
            found.append(_parse(argument))
    return found


def _parse(argument: str) -> Override:
    key, equals, text = argument.partition("=")
    key, text = key.strip().removeprefix("--"), text.strip()
    if not equals or not key:
        raise LSCError(f"{argument!r} is not a setting: write KEY=VALUE, for example seed=1")
    if f"{key}.name" in KEYS:
        key = f"{key}.name"
    setting = setting_of(key)
    if setting is None:
        if key in GROUPS:
            inside = ", ".join(setting.key for setting in GROUPS[key])
            raise LSCError(f"{key!r} is a group of settings: set one of {inside}")
        near = get_close_matches(key, [*KEYS, *GROUPS], n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else "see `lsc-cl show` for all settings"
        raise LSCError(f"unknown setting {key!r}: {hint}")
    return Override(key, _value(key, setting, text), text)


def _value(key: str, setting: Setting, text: str) -> Any:
    if setting.optional and text in ("", "null", "~"):
        return None
    try:
        # Text is taken as it is written: a class may be called 001, yes or null.
        value = yaml.load(text, yaml.BaseLoader if setting.is_text else yaml.SafeLoader)
    except yaml.YAMLError as error:
        if setting.base is str:
            return text
        raise LSCError(
            f"the value of {key} cannot be read: {text!r}; put names with special characters into "
            "quotes"
        ) from error
    return text if setting.base is str and not isinstance(value, str) else value


def setting_of(key: str) -> Setting | None:
    """The setting that a dotted key names or lies in; None if there is none."""
    if key in KEYS:
        return KEYS[key]
    return next((s for s in KEYS.values() if s.about.free and key.startswith(f"{s.key}.")), None)


def is_setting(key: str) -> bool:
    """Whether a dotted key is a setting, or a group of them."""
    return setting_of(key) is not None or key in GROUPS


def merge(stored: Mapping[str, Any], overrides: Sequence[Override], faults: Faults) -> Settings:
    """Settings from a nested mapping and overrides, checked.

    Values that are not in order are noted and left at their defaults, so that the rest can be
    checked.
    """
    values = {key: setting.default for key, setting in KEYS.items()}
    for key, value, text in [*_flat(stored, faults), *overrides]:
        setting = setting_of(key)
        assert setting is not None
        if key != setting.key:  # an option
            values[setting.key] = _with(
                values[setting.key], key.removeprefix(f"{setting.key}."), value
            )
            continue
        try:
            values[key] = msgspec.convert(value, setting.type, strict=False)
        except msgspec.ValidationError:
            faults.add(_wrong_type(setting, value, text))
    for key, setting in KEYS.items():
        with faults.noted():
            setting.check(values[key])
            continue
        values[key] = setting.default
    nested: dict[str, Any] = {}
    for key, value in values.items():
        nested = _with(nested, key, value)
    settings = msgspec.convert(nested, Settings)
    _check_together(settings, faults)
    return settings


def _flat(nested: Mapping[str, Any], faults: Faults, prefix: str = "") -> Iterator[Override]:
    """What a nested mapping sets; what is no setting is noted."""
    for name, value in nested.items():
        key = f"{prefix}{name}"
        if key in KEYS:
            yield Override(key, value, str(value))
        elif isinstance(value, Mapping) and key in GROUPS:
            yield from _flat(value, faults, f"{key}.")
        else:
            faults.add(f"unknown setting {key!r}")


def _with(nested: Mapping[str, Any], key: str, value: Any) -> dict[str, Any]:
    """A nested mapping with the value of a dotted key put in."""
    name, _, rest = key.partition(".")
    if rest:
        inner = nested.get(name)
        value = _with(inner if isinstance(inner, Mapping) else {}, rest, value)
    return {**nested, name: value}


def _wrong_type(setting: Setting, value: Any, text: str) -> str:
    if value is None:
        return f"{setting.key} needs a value: see `lsc-cl show --explain {setting.key}`"
    kind = setting.kind
    if kind.startswith("list") and not text.startswith("["):
        kind += f", {setting.key}=[{text}]"
    return f"{setting.key}={text} has the wrong type: write a {kind}"


def _check_together(settings: Settings, faults: Faults) -> None:
    """What settings have to do with each other."""
    novelty, data, scenario = settings.novelty, settings.data, settings.scenario
    if novelty.holdout and novelty.size < 2 / novelty.fpr:
        faults.add(
            f"novelty.fpr={novelty.fpr} cannot be told from novelty.size={novelty.size} held-out "
            f"images: raise one of them, to novelty.size={ceil(2 / novelty.fpr)} for example"
        )
    if (data.mean is None) != (data.std is None):
        faults.add("data.mean and data.std go together: set both or neither")
    if (settings.benchmark is not None) != (scenario.name == "python"):
        faults.add(
            "scenario=python and benchmark=module:function, which returns a benchmark, go "
            "together: set both or neither"
        )
    if scenario.experiences is not None and scenario.increment is not None:
        faults.add("set one of scenario.experiences and scenario.increment, not both")


def differences(one: Any, other: Any, key: str = "") -> set[str]:
    """Dotted keys in which two nested dictionaries of settings differ."""
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return set() if one == other else {key}
    names = [*one, *(name for name in other if name not in one)]
    parts = ((name, one.get(name), other.get(name)) for name in names)
    return set().union(*(differences(a, b, f"{key}.{n}" if key else n) for n, a, b in parts))

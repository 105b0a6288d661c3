"""From packaged defaults and `key=value` overrides to the settings of a run.

Nothing heavy is imported here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from importlib.resources import files
from math import ceil
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lsc_continual.catalog import (
    ALLOCATIONS,
    COLLAPSES,
    LOSSES,
    PEERS,
    SCENARIOS,
    SCORES,
    STRATEGIES,
)
from lsc_continual.errors import LSCError, first_line, unknown_name
from lsc_continual.settings import (
    CHANGEABLE,
    CHOICES,
    FREE_FORM,
    OF_LSC_ALONE,
    RANGES,
    Config,
    ScenarioConfig,
)


def resolve(overrides: Sequence[str] = ()) -> DictConfig:
    """The configuration after defaults, the scenario's YAML and `key=value` overrides.

    `group=NAME` is short for `group.name=NAME`.

    Raises:
        LSCError: an unknown key, a value of the wrong type or out of range, an unknown name.
    """
    schema = OmegaConf.structured(Config)
    parsed = [_parse(override, schema) for override in overrides]
    given = {key: value for key, value, _ in parsed}
    texts = {key: text for key, _, text in parsed}
    scenario = str(given.get("scenario.name", ScenarioConfig.name))
    packaged = OmegaConf.to_container(OmegaConf.create(_packaged_yaml(scenario)))
    assert isinstance(packaged, dict)
    if "scenario.increment" in given and "scenario.experiences" not in given:
        given["scenario.experiences"] = None  # the user's way of splitting replaces the default
    if "encoder.name" in given:
        packaged.pop("encoder", None)  # its options are for another encoder
    config = OmegaConf.merge(schema, packaged)
    assert isinstance(config, DictConfig)
    _set(config, given, texts)
    _complete_strategy(config)
    _check(config)
    if config.strategy.name in PEERS:
        _check_of_peer(config.strategy.name, given)
    return config


def _complete_strategy(config: DictConfig) -> None:
    """Fill in the strategy's options that were not given.

    Raises:
        LSCError: it has no such option, or one of another type.
    """
    name, given = config.strategy.name, config.strategy.options
    defaults = STRATEGIES[name].options
    for option, value in given.items():
        key = f"strategy.options.{option}"
        if not defaults:
            raise LSCError(f"strategy={name} has no options of its own: leave out {key}")
        if option not in defaults:
            raise unknown_name(f"option of strategy={name}", option, defaults)
        default = defaults[option]
        kinds = int | float if isinstance(default, float | None) else type(default)
        fits = isinstance(value, kinds) and isinstance(value, bool) == isinstance(default, bool)
        if not fits and value != default:
            raise LSCError(f"{key}={value} has the wrong type: it is {default} by default")
    config.strategy.options = {**defaults, **given}


def _check_of_peer(name: str, given: dict[str, Any]) -> None:
    for key in given:
        if not matters_to(name, key):
            raise LSCError(
                f"{key} is for strategy=lsc and means nothing to {name}: leave it out (or, for "
                f"lsc-cl compare, write lsc.{key}=…)"
            )


def matters_to(strategy: str, key: str) -> bool:
    """Whether a setting means anything to a strategy."""
    alone = any(key == own or key.startswith(f"{own}.") for own in OF_LSC_ALONE)
    return not (alone and strategy in PEERS)


def read_stored(path: Path) -> dict[str, Any]:
    """The content of an earlier run's configuration file, for `reopen`.

    Raises:
        LSCError: it cannot be read.
    """
    try:
        return OmegaConf.to_container(OmegaConf.load(path))  # type: ignore[return-value]
    except Exception as error:  # YAML and OmegaConf raise classes of their own
        raise LSCError(f"{path} cannot be read: {first_line(error)}") from error


def reopen(stored: dict[str, Any], overrides: Sequence[str] = ()) -> DictConfig:
    """The configuration of an earlier run, with `key=value` overrides of what may change.

    Raises:
        LSCError: the configuration is another version's, or an override is wrong.
    """
    schema = OmegaConf.structured(Config)
    parsed = [_parse(override, schema) for override in overrides]
    for key, _, _ in parsed:
        if key not in CHANGEABLE:
            raise LSCError(
                f"{key} cannot change in the middle of a run: start a new one, or change only "
                f"{', '.join(sorted(CHANGEABLE - {'run.dir'}))}"
            )
    try:
        config = OmegaConf.merge(schema, stored)
    except OmegaConfBaseException as error:
        reason = str(error).splitlines()[0]
        raise LSCError(
            f"the run's configuration does not fit this version ({reason}): resume with the "
            "version that started it"
        ) from error
    assert isinstance(config, DictConfig)
    _set(config, {key: value for key, value, _ in parsed}, {key: text for key, _, text in parsed})
    _check(config)
    return config


def differences(one: Any, other: Any, key: str = "") -> set[str]:
    """Dotted keys in which two configurations differ."""
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return set() if one == other else {key}
    names = [*one, *(name for name in other if name not in one)]
    parts = ((name, one.get(name), other.get(name)) for name in names)
    return set().union(*(differences(a, b, f"{key}.{n}" if key else n) for n, a, b in parts))


def is_setting(key: str) -> bool:
    """Whether a dotted key is a setting or a group of them."""
    schema = OmegaConf.structured(Config)
    keys = set(_keys(schema))
    return key in keys or f"{key}.name" in keys or key in schema or _is_free_form(key)


def _set(config: DictConfig, given: dict[str, Any], texts: dict[str, str]) -> None:
    for key, value in given.items():
        try:
            OmegaConf.update(config, key, value, force_add=_is_free_form(key))
        except OmegaConfBaseException as error:
            if value is None:
                raise LSCError(f"{key} needs a value: see `lsc-cl show`") from error
            reason = str(error).splitlines()[0]
            if "ListConfig" in reason:
                reason = f"write a list, {key}=[{texts.get(key, value)}]"
            raise LSCError(f"{key}={texts.get(key, value)} has the wrong type: {reason}") from error


def _packaged_yaml(scenario: str) -> str:
    SCENARIOS[scenario]  # refuses an unknown name
    # Through the root package: asking for lsc_continual.scenarios would import torch.
    return (files("lsc_continual") / "scenarios" / f"{scenario}.yaml").read_text(encoding="utf-8")


def _parse(override: str, schema: DictConfig) -> tuple[str, Any, str]:
    """("train.epochs", 20, "20") from "train.epochs=20"."""
    key, equals, text = override.partition("=")
    key = key.strip()
    if not equals or not key:
        raise LSCError(f"{override!r} is not a setting: write KEY=VALUE, for example seed=1")
    keys = sorted(_keys(schema))
    groups = {k.split(".")[0] for k in keys}
    if f"{key}.name" in keys:
        key = f"{key}.name"
    elif key not in keys and not _is_free_form(key):
        if key in groups:
            inside = [k for k in keys if k.startswith(f"{key}.")]
            raise LSCError(f"{key!r} is a group of settings: set one of {', '.join(inside)}")
        near = get_close_matches(key, [*keys, *groups], n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else "see `lsc-cl show` for all settings"
        raise LSCError(f"unknown setting {key!r}: {hint}")
    try:
        value = OmegaConf.select(OmegaConf.create(f"value: {text.strip()}"), "value")
    except Exception as error:  # YAML and OmegaConf raise classes of their own
        raise LSCError(f"the value of {key} cannot be read: {text!r}") from error
    return key, value, text


def _is_free_form(key: str) -> bool:
    """Whether a key lies in a group that takes any."""
    return any(key.startswith(f"{group}.") for group in FREE_FORM)


def _keys(node: DictConfig, prefix: str = "") -> Iterator[str]:
    """Dotted keys of all settings that are not groups."""
    for name in node:
        key = f"{prefix}{name!s}"
        child = node._get_node(name)
        if isinstance(child, DictConfig) and key not in FREE_FORM and not child._is_none():
            yield from _keys(child, f"{key}.")
        else:
            yield key


def _check(config: DictConfig) -> None:
    STRATEGIES[config.strategy.name]
    ALLOCATIONS[config.allocation.name]
    LOSSES[config.loss.name]
    SCORES[config.novelty.score]
    if config.loss.collapse is not None:
        COLLAPSES[config.loss.collapse]
    for key, choices in CHOICES.items():
        value = OmegaConf.select(config, key)
        if value not in choices:
            raise LSCError(f"{key}={value} is not one of {', '.join(choices)}")
    for key, (least, most) in RANGES.items():
        value = OmegaConf.select(config, key)
        if value is None:
            continue
        if not value >= least or (most is not None and value > most):
            bounds = f"{least} or more" if most is None else f"from {least} to {most}"
            raise LSCError(f"{key}={value} is out of range: use {bounds}")
    novelty = config.novelty
    if novelty.holdout and novelty.size < 2 / novelty.fpr:
        raise LSCError(
            f"novelty.fpr={novelty.fpr} cannot be told from novelty.size={novelty.size} held-out "
            f"images: raise one of them, to novelty.size={ceil(2 / novelty.fpr)} for example"
        )
    if (config.data.mean is None) != (config.data.std is None):
        raise LSCError("data.mean and data.std go together: set both or neither")

"""From packaged defaults and `key=value` overrides to the settings of a run. No torch here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

# The rooms whose names settings can take.
import lsc_continual.network.names
import lsc_continual.novelty.names
import lsc_continual.targets.names  # noqa: F401
from lsc_continual.encoders.names import ENCODERS
from lsc_continual.errors import LSCError, first_line
from lsc_continual.scenarios.names import packaged_settings
from lsc_continual.settings import Part, Settings
from lsc_continual.settings.reading import CHANGEABLE, Faults, Override, merge, parse, setting_of
from lsc_continual.storage.reading import read_text
from lsc_continual.strategies.names import find_strategy, who_has
from lsc_continual.systems.names import check_system

_LONGEST = 2**24  # bytes of a file of settings


def resolve(arguments: Iterable[str] = ()) -> Settings:
    """The settings after defaults, the scenario's own and `key=value` overrides.

    `group=NAME` is short for `group.name=NAME`.

    Raises:
        LSCError: an unknown key, a value of the wrong type or out of range, an unknown name.
        MistakesError: several of these, a sentence each.
    """
    faults = Faults()
    overrides = parse(arguments, faults)
    given = {override.key: override.value for override in overrides}
    scenario = Settings().scenario.name
    packaged = packaged_settings(scenario)
    with suppress(LSCError):  # an unknown name, which `merge` notes
        packaged = packaged_settings(given.get("scenario.name", scenario))
    if "scenario.increment" in given and "scenario.experiences" not in given:
        # The user's way of splitting replaces the scenario's.
        overrides.insert(0, Override("scenario.experiences", None, ""))
    if "encoder.name" in given:
        packaged.pop("encoder", None)  # its options are for another encoder
    settings = _completed(merge(packaged, overrides, faults), given, faults)
    faults.refuse()
    return settings


def _completed(settings: Settings, given: Iterable[str], faults: Faults) -> Settings:
    """The settings with the strategy's options that were not given."""
    encoder, chosen = settings.encoder, settings.strategy
    with faults.noted():
        check_system(settings.system.name, settings.system.dim_for(0))
    with faults.noted():
        if encoder.name in ENCODERS:
            ENCODERS[encoder.name].check_options("encoder", encoder.name, encoder.options)
    with faults.noted():
        strategy = find_strategy(chosen.name)
        for key in given:
            part = part_of(key)
            if part is not None and part not in strategy.parts:
                faults.add(
                    f"{key} is for {who_has(part)} and means nothing to {chosen.name}: leave it "
                    f"out (or, for lsc-cl compare, write lsc.{key}=…)"
                )
        strategy.check_options("strategy", chosen.name, chosen.options)
        options = {**strategy.options, **chosen.options}
        return replace(settings, strategy=replace(chosen, options=options))
    return settings  # with what was noted


def part_of(key: str) -> Part | None:
    """The part of strategies that a setting concerns; None: it concerns all strategies."""
    setting = setting_of(key)
    return None if setting is None else setting.about.part


class _WithoutAliases(yaml.SafeLoader):
    """A few lines with aliases of aliases would stand for more values than memory holds."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it holds an alias")
        return super().compose_node(parent, index)


def read_stored(path: Path) -> dict[str, Any]:
    """The content of an earlier run's file of settings, for `reopen`.

    Raises:
        LSCError: it cannot be read.
    """
    try:
        content = yaml.load(read_text(path, _LONGEST), _WithoutAliases)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise LSCError(
            f"{path} cannot be read ({first_line(error)}): put the run's own back"
        ) from error
    if not isinstance(content, dict):
        raise LSCError(f"{path} cannot be read (it holds no settings): put the run's own back")
    return content


def by_name(stored: dict[str, Any], class_names: Sequence[str] | None = None) -> dict[str, Any]:
    """Stored settings in which classes go by their names; earlier versions wrote numbers.

    Args:
        class_names: of the run's data; without, the numbers stay, as text.
    """
    scenario = stored.get("scenario")
    order = scenario.get("class_order") if isinstance(scenario, dict) else None
    if not isinstance(order, list) or not all(type(label) is int for label in order):
        return stored
    if class_names is not None and sorted(order) == list(range(len(class_names))):
        names = [class_names[label] for label in order]
    else:
        names = list(map(str, order))
    return {**stored, "scenario": {**stored["scenario"], "class_order": names}}


def reopen(stored: dict[str, Any], arguments: Sequence[str] = ()) -> Settings:
    """The settings of an earlier run, with `key=value` overrides of what may change.

    Raises:
        LSCError: the settings are another version's, or an override is wrong.
    """
    faults = Faults()
    overrides = parse(arguments, faults)
    for key, _, _ in overrides:
        if key not in CHANGEABLE:
            faults.add(
                f"{key} cannot change in the middle of a run: start a new one, or change only "
                f"{', '.join(sorted(CHANGEABLE - {'run.dir'}))}"
            )
    faults.refuse()
    before = Faults()
    settings = merge(by_name(stored), overrides, before)
    with before.noted():
        chosen = settings.strategy
        find_strategy(chosen.name).check_options("strategy", chosen.name, chosen.options)
    if before.sentences:
        raise LSCError(
            f"the run's configuration does not fit this version ({before.sentences[0]}): resume "
            "with the version that started it"
        )
    return settings

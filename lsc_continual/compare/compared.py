"""Which runs a comparison consists of, and how far each of them has got."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from operator import attrgetter
from pathlib import Path

from lsc_continual.errors import LSCError
from lsc_continual.runs.configuration import part_of, read_stored, reopen, resolve
from lsc_continual.runs.folder import CONFIG, RunFolder
from lsc_continual.settings import Settings
from lsc_continual.settings.reading import CHANGEABLE, differences, is_setting
from lsc_continual.strategies.names import STRATEGIES, find_strategy

DEFAULT = "lsc,replay,er-ace,der,icarl,scr"
_FILLED = ("scenario.class_order", "loss.unknown_prior")


@dataclass(frozen=True, eq=False)
class ComparedRun:
    """One run."""

    settings: Settings
    folder: RunFolder

    @property
    def strategy(self) -> str:
        return self.settings.strategy.name

    @property
    def name(self) -> str:
        return f"{self.strategy} seed {self.settings.seed}"

    def check(self) -> None:
        """Refuse a folder that holds a run with other settings.

        Raises:
            LSCError: the sentence names the settings.
        """
        if not self.folder.holds_run:
            return
        # Settings that an earlier version did not have are at their defaults.
        stored = reopen(read_stored(self.folder.path / CONFIG))
        # What is left open is filled in by the run.
        filled = {key for key in _FILLED if attrgetter(key)(self.settings) is None}
        parts = {None, *find_strategy(self.strategy).parts}
        changed = {
            key
            for key in differences(asdict(stored), asdict(self.settings)) - CHANGEABLE - filled
            if part_of(key) in parts
        }
        if changed:
            raise LSCError(
                f"{self.folder.path} was run with other settings (it differs in "
                f"{', '.join(sorted(changed))}): compare in another folder (run.dir=…) or remove it"
            )


@dataclass(frozen=True)
class Comparison:
    """What is to be compared."""

    scenario: str
    strategies: tuple[str, ...]
    seeds: tuple[int, ...]
    settings: tuple[str, ...]
    """The settings as given, of all strategies and of single ones."""
    folder: Path
    runs: tuple[ComparedRun, ...]

    @classmethod
    def parse(cls, arguments: Sequence[str]) -> Comparison:
        """From `strategies=…`, `seeds=…`, settings, and settings of one strategy (`der.KEY=VALUE`).

        Raises:
            LSCError: anything that a run would refuse, or that cannot be compared.
        """
        given = {"strategies": DEFAULT, "seeds": "3"}
        settings: list[tuple[str | None, str]] = []
        for argument in arguments:
            key, _, value = argument.partition("=")
            key = key.strip()
            if key in given:
                given[key] = value
            else:
                settings.append(_addressed(argument, key))
        strategies, seeds = _strategies(given["strategies"]), _seeds(given["seeds"])
        for strategy, setting in settings:
            if strategy is not None and strategy not in strategies:
                raise LSCError(
                    f"{strategy}.{setting} is for a strategy that is not compared: add "
                    f"{strategy} to strategies="
                )
        base = resolve([setting for strategy, setting in settings if strategy is None])
        folder = Path(base.run.dir or Path("runs") / f"compare-{base.scenario.name}")
        kept = [pair for pair in settings if pair[1].partition("=")[0].strip() != "run.dir"]
        runs = []
        for seed in seeds:
            for name in strategies:
                own = [setting for strategy, setting in kept if strategy in (None, name)]
                path = folder / f"{name}-seed{seed}"
                own += [f"strategy={name}", f"seed={seed}", f"run.dir={path}"]
                runs.append(ComparedRun(resolve(own), RunFolder(path)))
        for run in runs:
            run.check()
        lines = [setting if s is None else f"{s}.{setting}" for s, setting in kept]
        name = base.scenario.name
        return cls(name, strategies, seeds, tuple(lines), folder, tuple(runs))


def _addressed(argument: str, key: str) -> tuple[str | None, str]:
    """A setting, and the strategy it is for; None for all.

    >>> _addressed("der.train.lr=0.1", "der.train.lr"), _addressed("replay.size=9", "replay.size")
    (('der', 'train.lr=0.1'), (None, 'replay.size=9'))
    """
    instead = {"strategy": "strategies", "strategy.name": "strategies", "seed": "seeds"}
    strategy, dot, _ = key.partition(".")
    own = bool(dot) and strategy in STRATEGIES and not is_setting(key)
    inner = key.removeprefix(f"{strategy}.") if own else key
    if inner in instead:
        raise LSCError(f"{key} is set by the comparison itself: use {instead[inner]}=")
    if own and inner == "run.dir":
        raise LSCError("run.dir is the folder of the whole comparison: leave the strategy out")
    if own:
        return strategy, argument.strip().removeprefix(f"{strategy}.")
    return None, argument


def _strategies(text: str) -> tuple[str, ...]:
    names = [name.strip() for name in text.strip("[] ").split(",") if name.strip()]
    if not names:
        raise LSCError("strategies= names none: write strategies=lsc,replay,der")
    for name in names:
        STRATEGIES.check(name)
    return tuple(dict.fromkeys(names))


def _seeds(text: str) -> tuple[int, ...]:
    """seeds=3: 0, 1 and 2; seeds=4,7: these."""
    try:
        numbers = [int(part) for part in text.strip("[] ").split(",") if part.strip()]
    except ValueError:
        numbers = []
    listed = "," in text
    if not numbers or min(numbers) < 0 or (numbers == [0] and not listed):
        raise LSCError(f"seeds={text} says no seeds: write how many (seeds=3) or which (seeds=4,7)")
    return tuple(dict.fromkeys(numbers)) if listed else tuple(range(numbers[0]))

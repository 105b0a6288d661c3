"""Runs of the package, as `lsc-cl run` does them, for experiments: settings in, figures out.

No other module of this folder knows how the package is configured and what a run leaves behind.
"""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from experiments.settings import Settings
from lsc_continual.bench.tables import write_json
from lsc_continual.runs.configuration import resolve
from lsc_continual.runs.data import load_unknown_sets
from lsc_continual.runs.metrics import RunMetrics
from lsc_continual.runs.run import Prepared, prepare, run
from lsc_continual.settings import Settings as RunSettings
from lsc_continual.strategies.evaluation import OpenWorldResult

FINISHED = "finished pieces are read from this JSON file, and written to it"
"""What an option that names the file of `Finished` is for."""


def run_and_read(
    scenario: str, overrides: Sequence[str], settings: Settings, seed: int = 0
) -> RunMetrics:
    """The content of metrics.json after one run, whose folder is thrown away.

    Args:
        overrides: `key=value` settings; those of the scenario's data are known already.

    Raises:
        LSCError: something the user can mend.
    """
    with tempfile.TemporaryDirectory() as folder, _without_notes():
        kept = [*overrides, f"run.dir={folder}/run"]
        written = run(_settings(scenario, kept, settings, seed), Console(quiet=True))
        return RunMetrics.read(written / "metrics.json")


def final_figures(metrics: RunMetrics) -> dict[str, float]:
    """What the metrics of a run that has ended say about it as a whole, as shares of 1."""
    assert metrics.final is not None
    return asdict(metrics.final)


def experience_by_experience(
    scenario: str,
    overrides: Sequence[str],
    settings: Settings,
    seed: int = 0,
    others: Sequence[str] = (),
) -> Iterator[tuple[Prepared, OpenWorldResult]]:
    """The same without a folder: the run after each experience, for a look at its network.

    Nothing is trained beyond the experience that the caller stops at.

    Args:
        others: scenarios, or .npz files in `settings.root`, whose images are unknown inputs.

    Raises:
        LSCError: something the user can mend.
    """
    prepared = prepare(_settings(scenario, overrides, settings, seed), Console(quiet=True))
    if others:
        prepared.evaluation.others = _unknown_images(others, settings, prepared)
    assembly = prepared.assembly
    for number, arriving in enumerate(assembly.rounds):
        with _without_notes():
            assembly.strategy.train(arriving)
            assembly.strategy.eval(assembly.data.benchmark.test_stream)
        yield prepared, prepared.evaluation.result(number)


@contextmanager
def _without_notes() -> Iterator[None]:
    """Without Avalanche's warnings, which are notes to its developers."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="avalanche")
        yield


def _unknown_images(names: Sequence[str], settings: Settings, prepared: Prepared) -> dict[str, Any]:
    """Data sets by name, in the shape of the images that are learned."""
    files = {name: str(settings.root / name) for name in names if name.endswith(".npz")}
    files |= {name: str(path) for name, path in settings.arrays.items()}
    asked = resolve([f"data.root={settings.root}"])
    others = [files.get(name, name) for name in names]
    asked = replace(asked, novelty=replace(asked.novelty, others=others))
    loaded = load_unknown_sets(asked, prepared.assembly.data)
    return dict(zip(names, loaded.values(), strict=True))


def _settings(
    scenario: str, overrides: Sequence[str], settings: Settings, seed: int
) -> RunSettings:
    common = [f"data.root={settings.root}", f"train.device={settings.device}", f"seed={seed}"]
    resolved = resolve([f"scenario={scenario}", *common, *overrides])
    if scenario not in settings.arrays:
        return resolved
    # The scenario's settings, and images out of a file.
    return replace(
        resolved,
        scenario=replace(resolved.scenario, name="arrays"),
        data=replace(resolved.data, root=str(settings.arrays[scenario]), resolution=None),
    )


class Finished(dict[str, Any]):
    """Figures by the names of the pieces of a long experiment, in a file if there is to be one."""

    def __init__(self, path: Path | None) -> None:
        super().__init__()
        self._path = path
        if path is not None and path.exists():
            self.update(json.loads(path.read_text(encoding="utf-8")))

    def of_seeds(
        self, name: str, settings: Settings, figures: Callable[[int], dict[str, float]]
    ) -> list[dict[str, float]]:
        """The figures of a piece for each seed; those that are not there yet are measured."""
        names = [f"{name}, seed {seed}" for seed in range(settings.seeds)]
        for seed, each in enumerate(names):
            if each not in self:
                settings.say(each)
                self[each] = figures(seed)
        return [self[each] for each in names]

    def __setitem__(self, name: str, figures: Any) -> None:
        super().__setitem__(name, figures)
        if self._path is not None:
            write_json(self._path, self)

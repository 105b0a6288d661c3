"""Runs of the package, as `lsc-cl run` does them, for experiments: settings in, figures out.

No other module of this folder knows how the package is configured and what a run leaves behind.
"""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.console import Console

from experiments.settings import Settings
from lsc_continual.bench.files import write_json
from lsc_continual.config import resolve
from lsc_continual.runs.run import run
from lsc_continual.runs.stream import load_others
from lsc_continual.runs.trial import Trial, prepare
from lsc_continual.strategies.evaluation import OpenWorldResult

FINISHED = "finished pieces are read from this JSON file, and written to it"
"""What an option that names the file of `Finished` is for."""
FIGURES = ("last_accuracy", "average_incremental_accuracy", "forgetting")
"""What the metrics of a run say under "final", as shares of 1."""


def run_and_read(
    scenario: str, overrides: Sequence[str], settings: Settings, seed: int = 0
) -> dict[str, Any]:
    """The content of metrics.json after one run, whose folder is thrown away.

    Args:
        overrides: `key=value` settings; those of the scenario's data are known already.

    Raises:
        LSCError: something the user can mend.
    """
    config = _config(scenario, overrides, settings, seed)
    with tempfile.TemporaryDirectory() as folder, _without_notes():
        config.run.dir = f"{folder}/run"
        written = run(config, Console(quiet=True)) / "metrics.json"
        metrics: dict[str, Any] = json.loads(written.read_text(encoding="utf-8"))
    return metrics


def experience_by_experience(
    scenario: str,
    overrides: Sequence[str],
    settings: Settings,
    seed: int = 0,
    others: Sequence[str] = (),
) -> Iterator[tuple[Trial, OpenWorldResult]]:
    """The same without a folder: the run after each experience, for a look at its network.

    Nothing is trained beyond the experience that the caller stops at.

    Args:
        others: scenarios, or .npz files in `settings.root`, whose images are unknown inputs.

    Raises:
        LSCError: something the user can mend.
    """
    trial = prepare(_config(scenario, overrides, settings, seed), Console(quiet=True))
    if others:
        trial.evaluation.others = _unknown_images(others, settings, trial)
    for number, arriving in enumerate(trial.rounds):
        with _without_notes():
            trial.strategy.train(arriving)
            trial.strategy.eval(trial.stream.benchmark.test_stream)
        yield trial, trial.evaluation.result(number)


@contextmanager
def _without_notes() -> Iterator[None]:
    """Without warnings: Avalanche's are notes to its developers, and runs record by themselves."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _unknown_images(names: Sequence[str], settings: Settings, trial: Trial) -> dict[str, Any]:
    """Data sets by name, in the shape of the images that are learned."""
    config = resolve([f"data.root={settings.root}"])
    files = {name: str(settings.root / name) for name in names if name.endswith(".npz")}
    files |= {name: str(path) for name, path in settings.arrays.items()}
    config.novelty.others = [files.get(name, name) for name in names]
    loaded = load_others(config, trial.stream.input_shape, trial.stream.inverted)
    return dict(zip(names, loaded.values(), strict=True))


def _config(scenario: str, overrides: Sequence[str], settings: Settings, seed: int) -> DictConfig:
    common = [f"data.root={settings.root}", f"train.device={settings.device}", f"seed={seed}"]
    config = resolve([f"scenario={scenario}", *common, *overrides])
    if scenario in settings.arrays:  # the scenario's settings, and images out of a file
        config.scenario.name, config.data.root = "arrays", str(settings.arrays[scenario])
        config.data.resolution = None
    return config


class Finished(dict[str, Any]):
    """Figures by the names of the pieces of a long experiment, in a file if there is to be one."""

    def __init__(self, path: Path | None) -> None:
        super().__init__()
        self._path = path
        if path is not None and path.exists():
            self.update(json.loads(path.read_text(encoding="utf-8")))

    def __setitem__(self, name: str, figures: Any) -> None:
        super().__setitem__(name, figures)
        if self._path is not None:
            write_json(self._path, self)

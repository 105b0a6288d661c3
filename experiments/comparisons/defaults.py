"""How the defaults were chosen: one factor at a time around them.

`split-fashion-mnist` with 500 images a class, 3 epochs an experience and 200 stored images is
trained for each variant and seed, through the same code as `lsc-cl run`. Reported are last and
average incremental accuracy, forgetting, and novelty AUROC (score "mass", mean over experiences),
as mean ± standard deviation over seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean

from experiments.outcome import Outcome, Row, Table, spreads
from experiments.running import FINISHED, Finished, final_figures, run_and_read
from experiments.settings import Settings, option

TITLE = "What each default is worth"
PAGE = "docs/defaults.md"

_CENTRE = (
    "data.train_per_class=500",
    "train.epochs=3",
    "train.batch_size=32",
    "replay.size=200",
    "augment.flip=false",
    "novelty.holdout=0",
)
VARIANTS: dict[str, list[str]] = {
    "defaults": [],
    "dim 4 (minimum)": ["system.dim=4"],
    "dim 16": ["system.dim=16"],
    "dim 64": ["system.dim=64"],
    "dim 128": ["system.dim=128"],
    "system a": ["system=a"],
    "system v22": ["system=v22"],
    "ω = 0": ["loss.unknown_prior=0"],
    "ω = 1e-4": ["loss.unknown_prior=1e-4"],
    "ω = 1e-2": ["loss.unknown_prior=1e-2"],
    "ω = 1": ["loss.unknown_prior=1"],
    "scale 8": ["loss.scale=8"],
    "scale 32": ["loss.scale=32"],
    "raw embeddings": ["loss.normalize=false", "loss.scale=1"],
    "cosine loss": ["loss=cosine"],
    "no distillation": ["replay.distillation=0"],
    "distillation 1": ["replay.distillation=1"],
    "distillation 3": ["replay.distillation=3"],
    "distillation 10": ["replay.distillation=10"],
    "frequencies not told": ["replay.balanced=false"],
    "neither": ["replay.balanced=false", "replay.distillation=0"],
    "features not standardised": ["encoder.standardize=false"],
    "hidden layer": ["encoder.hidden=1024"],
    "none of these": [
        "replay.balanced=false",
        "replay.distillation=0",
        "encoder.standardize=false",
    ],
    "spread": ["allocation=spread"],
    "affinity": ["allocation=affinity"],
}


@dataclass(frozen=True)
class Options:
    """Which variants; `size` is of all runs."""

    variants: tuple[str, ...] = option(tuple(VARIANTS), help="which", choices=tuple(VARIANTS))
    keep: Path | None = option(None, help=FINISHED)
    size: tuple[str, ...] = option(_CENTRE)


def measure(settings: Settings, options: Options) -> Outcome:
    """Each variant with each seed."""
    finished = Finished(options.keep)
    rows: list[Row] = []
    for variant in options.variants:
        overrides = [*options.size, *VARIANTS[variant]]
        runs = finished.of_seeds(variant, settings, partial(_figures, overrides, settings))
        rows.append({"variant": variant} | spreads(runs))
    return Outcome(tables=[Table(f"Fashion-MNIST, {settings.seeds} seeds", rows)])


def _figures(overrides: Sequence[str], settings: Settings, seed: int) -> dict[str, float]:
    metrics = run_and_read("split-fashion-mnist", overrides, settings, seed)
    auroc = [each.novelty["mass"]["auroc"] for each in metrics.experiences[:-1]]
    return final_figures(metrics) | {"novelty AUROC": mean(auroc)}

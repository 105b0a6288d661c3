"""What fixed targets cost beside a learned head, and where that comes from.

Streams of characters (Omniglot) in ten experiences, two stored images each, 4 epochs an
experience, `resnet-small` of width 8, and under every head the same hidden layer of 1,024 units.
The learned head (`strategy=lsc-learned-head`) is the twin: encoder, hidden layer, standardisation,
replay, prior of frequencies and distillation are those of `lsc`. n is the number of dimensions of
the embeddings. Avalanche's strategies have the same layers under a linear head. Novelty is that of
each strategy's own score, against the classes still to come.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean

import numpy as np

from experiments.outcome import Outcome, Row, Table, spreads
from experiments.running import FINISHED, Finished, final_figures, run_and_read
from experiments.settings import Settings, option
from lsc_continual.inputs.npz import read_arrays

TITLE = "What fixed targets cost beside a learned head"
PAGE = "docs/price.md"

_STREAM = (
    "scenario.experiences=10",
    "data.mean=[0.081]",
    "data.std=[0.237]",
    "augment.rotate=10",
    "augment.translate=0.1",
    "augment.zoom=0.1",
    "encoder=resnet-small",
    "encoder.options.width=8",
    "train.epochs=4",
    "train.lr=0.002",
)
_LAYERS = ("encoder.hidden=1024", "encoder.standardize=true")
HEADS: dict[str, list[str]] = {
    "learned head": ["strategy=lsc-learned-head"],
    "frame-v21, n = classes": ["system=frame-v21", "system.dim={classes}"],
    "frame-v21, n = 384": ["system=frame-v21", "system.dim=384"],
    "frame-v21, n = 384, scale 8": ["system=frame-v21", "system.dim=384", "loss.scale=8"],
    "frame-v21, n = 384, no distillation": [
        "system=frame-v21",
        "system.dim=384",
        "replay.distillation=0",
    ],
    "v21, n = classes": ["system=v21", "system.dim={classes}"],
    "v21, n = 384": ["system=v21", "system.dim=384"],
    "er-ace": ["strategy=er-ace"],
    "replay": ["strategy=replay"],
    "der": ["strategy=der"],
}


@dataclass(frozen=True)
class Options:
    """Which streams and heads."""

    data: Path | None = option(None, help="an .npz file of images; by default images at random")
    classes: tuple[int, ...] = option((1080, 1623), help="how many of its classes, the first ones")
    heads: tuple[str, ...] = option(tuple(HEADS), help="which", choices=tuple(HEADS))
    keep: Path | None = option(None, help=FINISHED)
    size: tuple[str, ...] = option(_STREAM)
    layers: tuple[str, ...] = option(_LAYERS)


def measure(settings: Settings, options: Options) -> Outcome:
    """A table for each number of classes."""
    finished = Finished(options.keep)
    tables = []
    with tempfile.TemporaryDirectory() as folder:
        for classes in options.classes:
            images = Path(folder) / f"{classes}.npz"
            _write_images(images, options.data, classes)
            stream = [
                f"data.root={images}",
                f"replay.size={2 * classes}",
                *options.size,
                *options.layers,
            ]
            rows: list[Row] = []
            for head in options.heads:
                own = [part.format(classes=classes) for part in HEADS[head]]
                figures = partial(_figures, [*stream, *own], settings)
                runs = list(map(dict, finished.of_seeds(f"{classes}, {head}", settings, figures)))
                size = {run.pop("parameters") for run in runs}
                rows.append({"head": head} | spreads(runs) | {"parameters": f"{max(size):,.0f}"})
            tables.append(Table(f"{classes:,} classes, {settings.seeds} seeds", rows))
    return Outcome(tables=tables)


def _write_images(path: Path, given: Path | None, classes: int) -> None:
    if given is None:
        random = np.random.default_rng(0)
        labels = np.arange(classes).repeat(4)
        x = random.integers(0, 256, (len(labels), 16, 16), dtype=np.uint8)
        np.savez(path, x_train=x, y_train=labels, x_test=x[::4], y_test=labels[::4])
        return
    arrays = read_arrays(given, ("x_train", "y_train", "x_test", "y_test"))
    kept = {}
    for part in ("train", "test"):
        rows = arrays[f"y_{part}"] < classes
        kept |= {f"{name}_{part}": arrays[f"{name}_{part}"][rows] for name in "xy"}
    np.savez(path, **kept)


def _figures(overrides: Sequence[str], settings: Settings, seed: int) -> dict[str, float]:
    """Shares of 1, novelty against the classes still to come, and the size of the network."""
    metrics = run_and_read("arrays", overrides, settings, seed)
    score = metrics.novelty_score
    before_last = [each.novelty[score] for each in metrics.experiences[:-1]]
    return final_figures(metrics) | {
        "novelty AUROC": mean(each["auroc"] for each in before_last),
        "OSCR": mean(each["oscr"] for each in before_last),
        "parameters": metrics.experiences[-1].parameters,
    }

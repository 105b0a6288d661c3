"""The size of networks as classes arrive: this package beside strategies with a linear head.

Every strategy is trained for one epoch on random images, two of each class, in ten experiences,
through the same code as `lsc-cl run`: what they learn means nothing, but their networks grow as
they do. Reported are trained parameters and bytes of the network's state after the first and the
last experience.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.outcome import Outcome, Row, Table
from experiments.running import run_and_read
from experiments.settings import Settings, option

TITLE = "The size of networks as classes arrive"
PAGE = "docs/results.md"

_SIDE = 8  # pixels; networks are as large whatever the images


@dataclass(frozen=True)
class Options:
    """Which strategies, under which encoder; `classes` is a multiple of ten."""

    encoder: str = option("resnet18", help="name of the encoder")
    classes: int = option(1000, help="how many, a multiple of ten")
    strategies: tuple[str, ...] = option(
        ("lsc", "replay", "er-ace", "der", "lwf", "icarl", "scr"),
        help="which; ratios are to the first",
    )


def measure(settings: Settings, options: Options) -> Outcome:
    """A row for each strategy."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "images.npz"
        _write_images(images, options.classes)
        for strategy in options.strategies:
            settings.say(strategy)
            rows.append(_row(strategy, options.encoder, images, settings))
    for row in rows:
        row["ratio"] = row["parameters at the end"] / rows[0]["parameters at the end"]
    return Outcome(tables=[Table(f"{options.encoder}, {options.classes:,} classes", rows)])


def _write_images(path: Path, classes: int) -> None:
    """Two random training images and a test image of each class."""
    random = np.random.default_rng(0)
    labels = np.arange(classes)

    def images(count: int) -> np.ndarray[Any, Any]:
        return random.integers(0, 256, (count, _SIDE, _SIDE, 3), dtype=np.uint8)

    x_train, x_test = images(2 * classes), images(classes)
    np.savez(path, x_train=x_train, y_train=labels.repeat(2), x_test=x_test, y_test=labels)


def _row(strategy: str, encoder: str, images: Path, settings: Settings) -> Row:
    overrides = [
        f"data.root={images}",
        "scenario.experiences=10",
        f"strategy={strategy}",
        f"encoder={encoder}",
        "train.epochs=1",
        "train.batch_size=100",
        "novelty.holdout=0",
    ]
    if strategy == "lsc":  # by default there would be as many dimensions as classes
        overrides.append("system=v21")
    experiences = run_and_read("arrays", overrides, settings).experiences
    first, last = experiences[0], experiences[-1]
    return {
        "strategy": strategy,
        "classes at first": len(first.classes),
        "parameters at first": first.parameters,
        "classes at the end": sum(len(each.classes) for each in experiences),
        "parameters at the end": last.parameters,
        "state bytes at the end": last.state_bytes,
    }

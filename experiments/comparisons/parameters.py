"""The size of networks as classes arrive: this package beside strategies with a linear head.

    python benchmarks/parameters.py --json parameters.json
    python benchmarks/parameters.py --encoder resnet-small --classes 10000 --strategies lsc,replay

Trains every strategy for one epoch on random images, two of each class, in ten experiences, through
the same code as `lsc-cl run`: what they learn means nothing, but their networks grow as they do.
Prints trained parameters and bytes of the network's state after the first and the last experience.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from lsc_continual.bench.tables import show
from lsc_continual.config import resolve
from lsc_continual.runs.run import run

_SIDE = 8  # pixels; networks are as large whatever the images
_STRATEGIES = "lsc,replay,er-ace,der,lwf,icarl,scr"


def write_images(path: Path, classes: int) -> None:
    """Two random training images and a test image of each class."""
    random = np.random.default_rng(0)
    labels = np.arange(classes)

    def images(count: int) -> np.ndarray[Any, Any]:
        return random.integers(0, 256, (count, _SIDE, _SIDE, 3), dtype=np.uint8)

    np.savez(
        path,
        x_train=images(2 * classes),
        y_train=labels.repeat(2),
        x_test=images(classes),
        y_test=labels,
    )


def measure(strategy: str, encoder: str, images: Path, folder: Path) -> dict[str, Any]:
    """The sizes of one strategy's network."""
    settings = [
        "scenario=arrays",
        f"data.root={images}",
        "scenario.experiences=10",
        f"strategy={strategy}",
        f"encoder={encoder}",
        "train.epochs=1",
        "train.batch_size=100",
        "novelty.holdout=0",
        f"run.dir={folder / strategy}",
    ]
    path = run(resolve(settings), Console(quiet=True))
    experiences = json.loads((path / "metrics.json").read_text())["experiences"]
    first, last = experiences[0], experiences[-1]
    return {
        "strategy": strategy,
        "classes at first": len(first["classes"]),
        "parameters at first": first["parameters"],
        "classes at the end": sum(len(e["classes"]) for e in experiences),
        "parameters at the end": last["parameters"],
        "state bytes at the end": last["state_bytes"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoder", default="resnet18")
    parser.add_argument("--classes", type=int, default=1000, help="a multiple of ten")
    parser.add_argument("--strategies", default=_STRATEGIES, help="with commas")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    console, rows = Console(), []
    with tempfile.TemporaryDirectory() as name:
        images = Path(name) / "images.npz"
        write_images(images, arguments.classes)
        for strategy in arguments.strategies.split(","):
            console.print(strategy, style="dim")
            rows.append(measure(strategy, arguments.encoder, images, Path(name)))
            if arguments.json:
                arguments.json.write_text(json.dumps(rows, indent=1) + "\n")
    for row in rows:
        row["to lsc"] = row["parameters at the end"] / rows[0]["parameters at the end"]
    show(console, f"{arguments.encoder}, {arguments.classes:,} classes", rows)


if __name__ == "__main__":
    main()

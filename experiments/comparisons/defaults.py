"""How the defaults were chosen: one factor at a time around them.

    python benchmarks/defaults.py --root DATA --json defaults.json

Trains `split-fashion-mnist` with 500 images a class, 3 epochs an experience and 200 stored
images, for each variant and seed, through the same code as `lsc-cl run`. Prints last and average
incremental accuracy, forgetting, and novelty AUROC (score "mass", mean over experiences), as
mean ± standard deviation over seeds. Finished rows are kept in the JSON file and not run again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from lsc_continual.config import resolve
from lsc_continual.runs.run import run

CENTRE = [
    "scenario=split-fashion-mnist",
    "data.download=false",
    "data.train_per_class=500",
    "train.epochs=3",
    "train.batch_size=32",
    "replay.size=200",
    "augment.flip=false",
    "novelty.holdout=0",
]
VARIANTS = {
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


def measure(overrides: list[str]) -> dict[str, float]:
    """The figures of one run."""
    with tempfile.TemporaryDirectory() as folder:
        config = resolve([*CENTRE, *overrides, f"run.dir={folder}/run"])
        metrics = json.loads((run(config, Console(quiet=True)) / "metrics.json").read_text())
    auroc = [e["novelty"]["mass"]["auroc"] for e in metrics["experiences"][:-1]]
    return {**metrics["final"], "auroc": statistics.mean(auroc)}


def show(figures: dict[str, list[dict[str, float]]]) -> None:
    columns = ("last_accuracy", "average_incremental_accuracy", "forgetting", "auroc")
    table = Table("", *(column.replace("_", " ") for column in columns), "seeds")
    for name, runs in figures.items():
        cells = []
        for column in columns:
            values = [100 * run[column] for run in runs]
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            cells.append(f"{statistics.mean(values):.1f} ± {spread:.1f}")
        table.add_row(name, *cells, str(len(runs)))
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", default="data", help="data.root, with Fashion-MNIST in it")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--json", type=Path, help="read finished rows from, and write all to")
    arguments = parser.parse_args()
    figures: dict[str, list[dict[str, float]]] = {}
    if arguments.json and arguments.json.exists():
        figures = json.loads(arguments.json.read_text())
    for name in arguments.variants:
        runs = figures.setdefault(name, [])
        for seed in range(len(runs), arguments.seeds):
            overrides = [*VARIANTS[name], f"seed={seed}", f"data.root={arguments.root}"]
            runs.append(measure(overrides))
            if arguments.json:
                arguments.json.write_text(json.dumps(figures, indent=1, ensure_ascii=False))
    show(figures)


if __name__ == "__main__":
    main()

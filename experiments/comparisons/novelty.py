"""Novelty detection: this package against other people's scores on networks with a linear head.

    python benchmarks/novelty.py --root DATA --json novelty.json
    python benchmarks/novelty.py --root DATA --rows fashion-mnist --modes static --seeds 1

`lsc` is trained as `lsc-cl run` does it. Its twin `ce` has the same encoder, epochs, batches,
random changes, optimizer and number of stored images, but a linear head and cross-entropy, trained
by Avalanche's Naive with its ReplayPlugin; its scores come from the library pytorch-ood. `static`:
trained once, on half of the classes (Omniglot: 400 of 1,623; MNIST: all). `incremental`: the first
five experiences of 2 (Omniglot: 80, CIFAR-100: 10) classes; figures are means over them. Near
unknowns are classes still to come, far ones other data sets.

DATA is what `data.root` of the scenarios is, and holds kmnist_test.npz (x_test). A data set that
lies in an .npz file of the scenario `arrays` instead: --arrays omniglot=FILE cifar-100=FILE.
Finished cases are read from the JSON file and not run again.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import warnings
from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import torch
from avalanche.training.plugins import EvaluationPlugin, ReplayPlugin
from avalanche.training.supervised import Naive
from rich.console import Console
from rich.table import Table
from torch import nn

from lsc_continual.config import resolve
from lsc_continual.encoders import make_encoder
from lsc_continual.machine.environment import describe_environment
from lsc_continual.novelty import NoveltyDetector
from lsc_continual.runs.build import make_augmentation, make_optimizer
from lsc_continual.runs.stream import load_others
from lsc_continual.runs.trial import Trial, prepare
from lsc_continual.strategies import BatchAugmentation, CosineDecay, OpenWorldEvaluation
from lsc_continual.strategies.calibration import embeddings
from lsc_continual.strategies.evaluation import OpenWorldResult
from lsc_continual.strategies.peers.ood_scores import BaselineScores

COMMON = ["train.batch_size=64", "train.device=cpu"]
EXPERIENCES = 5  # of the incremental mode


class Row(NamedTuple):
    """A data set, how it is learned, and what is far from it."""

    scenario: str
    settings: str
    base: int
    """Classes of the static mode; 0: all."""
    increment: int
    """Classes an experience of the incremental mode."""
    far: list[str]


_RESNET = "encoder=resnet-small encoder.options.width=8 "
ROWS = {
    "fashion-mnist": Row(
        "split-fashion-mnist",
        "encoder=mlp train.epochs=3 train.lr=0.002 replay.size=500",
        5,
        2,
        ["split-mnist", "kmnist_test.npz"],
    ),
    "mnist": Row(
        "split-mnist",
        "encoder=mlp train.epochs=3 train.lr=0.002 replay.size=500",
        0,
        2,
        ["kmnist_test.npz", "split-fashion-mnist"],
    ),
    "omniglot": Row(
        "split-omniglot",
        _RESNET + "train.epochs=15 train.lr=0.005 loss.scale=32 replay.size=800 "
        "augment.rotate=10 augment.translate=0.1 augment.zoom=0.1 data.mean=[0.081] "
        "data.std=[0.237]",
        400,
        80,
        ["split-mnist", "kmnist_test.npz"],
    ),
    "cifar-100": Row(
        "split-cifar100",
        _RESNET + "data.train_per_class=250 novelty.holdout=0.2 train.epochs=6 train.lr=0.002 "
        "replay.size=500 augment.flip=true augment.translate=0.125 "
        "data.mean=[0.5071,0.4865,0.4409] data.std=[0.2673,0.2564,0.2762]",
        50,
        10,
        ["split-fashion-mnist", "split-mnist"],
    ),
}
TWINS, MODES = ("lsc", "ce"), ("static", "incremental")


class Case(NamedTuple):
    """One training."""

    row: str
    mode: str
    seed: int
    twin: str


def settings(case: Case, root: Path, arrays: Mapping[str, Path]) -> list[str]:
    row = ROWS[case.row]
    of_data = [f"scenario={row.scenario}", f"data.root={root}"]
    if case.row in arrays:
        of_data = ["scenario=arrays", f"data.root={arrays[case.row]}"]
    split = [f"scenario.increment={row.increment}"]
    if case.mode == "static":
        base = [f"scenario.base_classes={row.base}", "scenario.experiences=2"]
        split = base if row.base else ["scenario.experiences=1"]
    return [*of_data, *COMMON, *row.settings.split(), *split, f"seed={case.seed}"]


def far_images(row: Row, root: Path, shape: tuple[int, int, int]) -> dict[str, Any]:
    config = resolve(["scenario=arrays", f"data.root={root}"])
    config.novelty.others = [str(root / n) if n.endswith(".npz") else n for n in row.far]
    others = load_others(config, shape)
    return {
        name.removeprefix("split-").removesuffix("_test"): part for name, part in others.items()
    }


def measure(case: Case, root: Path, arrays: Mapping[str, Path]) -> dict[str, Any]:
    """Train one network and look at it after every experience."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    trial = prepare(resolve(settings(case, root, arrays)), Console(quiet=True))
    others = far_images(ROWS[case.row], root, trial.stream.input_shape)
    if case.twin == "lsc":
        strategy, evaluation = trial.strategy, trial.evaluation
        evaluation.others = others
    else:
        strategy, evaluation = linear_twin(trial, others)
    results, alarms = [], []
    benchmark = trial.stream.benchmark
    experiences = 1 if case.mode == "static" else EXPERIENCES
    for number, experience in enumerate(benchmark.train_stream[:experiences]):
        strategy.train(experience)
        strategy.eval(benchmark.test_stream)
        results.append(evaluation.result(number))
        if case.twin == "lsc":
            alarms.append(false_alarms(trial, number) | results[-1].flagged)
    return case._asdict() | {
        "accuracy": results[-1].accuracy_seen,
        "unknown": averages(results),
        "flagged": alarms,
    }


def linear_twin(trial: Trial, others: dict[str, Any]) -> tuple[Any, OpenWorldEvaluation]:
    config, spec = trial.config, trial.spec
    body = make_encoder(
        spec.encoder, spec.input_shape, options=spec.encoder_options, mean=spec.mean, std=spec.std
    )
    head = nn.Linear(body.num_features, len(spec.class_names))
    model = nn.Sequential(body, nn.Flatten(), head)
    replay = ReplayPlugin(config.replay.size)
    scores = BaselineScores(body, head, replay.storage_policy)
    evaluation = OpenWorldEvaluation(scores, others)
    changes = BatchAugmentation(make_augmentation(config, True))
    strategy = Naive(
        model=model,
        optimizer=make_optimizer(config, model),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=config.train.batch_size,
        train_epochs=config.train.epochs,
        eval_mb_size=256,
        plugins=[changes, replay, CosineDecay(), scores, evaluation],
        evaluator=EvaluationPlugin(),
    )
    return strategy, evaluation


def averages(results: Iterable[OpenWorldResult]) -> dict[str, dict[str, dict[str, float]]]:
    """Kind of unknown -> score -> metric, as means over the experiences."""
    lists: Any = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for result in results:
        kinds = {"near": result.novelty, **result.others, "forgotten": result.forgotten}
        for kind, scores in kinds.items():
            for score, metrics in scores.items():
                for metric, value in metrics.items():
                    lists[kind][score][metric].append(value)
    return {
        kind: {s: {m: statistics.mean(v) for m, v in ms.items()} for s, ms in scores.items()}
        for kind, scores in lists.items()
    }


def false_alarms(trial: Trial, latest: int) -> dict[str, float]:
    """At fpr = 0.05, share of the known test inputs that other ways of calibration flag."""
    strategy, detector, stream = trial.strategy, trial.detector, trial.stream
    assert detector is not None
    stored = detector.reference
    assert stored is not None
    tests = [e.dataset for e in stream.benchmark.test_stream[: latest + 1]]
    known = torch.cat([embeddings(strategy, test) for test in tests])
    ways = {
        "replay buffer": (stored[1::2], stored[::2]),
        "latest held-out": (embeddings(strategy, stream.held_out[latest]), stored),
    }
    flagged = {}
    for name, (calibration, reference) in ways.items():
        other = NoveltyDetector(detector.head, detector.score_name, detector.fpr)
        other.calibrate(calibration, reference)
        flagged[name] = float((~other.judge(known).known).float().mean())
    return flagged


def table_of_scores(cases: list[dict[str, Any]]) -> Table:
    """One line a score, one column a row of the benchmark; best AUROC in bold."""
    values: Any = defaultdict(lambda: defaultdict(list))
    for case in cases:
        for kind, scores in case["unknown"].items():
            if kind == "forgotten":
                continue
            column = (case["row"], case["mode"], "near" if kind == "near" else "far")
            for score, metrics in scores.items():
                values[case["twin"], score][column].append((metrics["auroc"], metrics["oscr"]))
    columns = sorted({column for line in values.values() for column in line})
    table = Table(title="AUROC in %, mean (far: over data sets too) ± sd; OSCR: mean over columns")
    for header in ("network", "score", "AUROC", "OSCR", *("\n".join(c) for c in columns)):
        table.add_column(header, justify="left" if header in ("network", "score") else "right")
    lines = []
    for (twin, score), line in values.items():
        means = [tuple(map(statistics.mean, zip(*line[c], strict=True))) for c in columns]
        cells = [spread([auroc for auroc, _ in line[c]]) for c in columns]
        overall = [100 * statistics.mean(mean[i] for mean in means) for i in (0, 1)]
        lines.append((twin, score, overall, cells))
    best = [max(line[2][i] for line in lines) for i in (0, 1)]
    for twin, score, overall, cells in sorted(lines, key=lambda line: (line[0], -line[2][0])):
        means = [bold(f"{v:.1f}", v == top) for v, top in zip(overall, best, strict=True)]
        table.add_row(twin, score, *means, *cells)
    return table


def table_of_alarms(cases: list[dict[str, Any]]) -> Table:
    """False alarms at fpr = 0.05 by the way of calibration, least and most over experiences."""
    values: Any = defaultdict(lambda: defaultdict(list))
    for case in cases:
        for number, flagged in enumerate(case["flagged"]):
            for way in ("known", "replay buffer", "latest held-out"):
                values[case["row"], case["mode"]][way, number].append(flagged[way])
    table = Table(title="known test inputs flagged, %: mean over seeds, least – most experience")
    headers = {"known": "held-out, stored (ours)"}
    ways = ("known", "replay buffer", "latest held-out")
    for header in ("row", "mode", *(headers.get(way, way) for way in ways)):
        table.add_column(header)
    for (row, mode), line in sorted(values.items()):
        cells = []
        for way in ways:
            means = [100 * statistics.mean(v) for (name, _), v in line.items() if name == way]
            cells.append(f"{min(means):.1f} – {max(means):.1f}")
        table.add_row(row, mode, *cells)
    return table


def spread(values: list[float]) -> str:
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{100 * statistics.mean(values):.1f} ± {100 * deviation:.1f}"


def bold(text: str, condition: bool) -> str:
    return f"[bold]{text}[/]" if condition else text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path("data"))
    parser.add_argument("--arrays", nargs="+", default=[], metavar="ROW=FILE")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="trainings at a time")
    parser.add_argument("--json", type=Path, help="read finished cases from, and write all to")
    arguments = parser.parse_args()
    arrays = {name: Path(path) for name, path in (a.split("=") for a in arguments.arrays)}
    figures: dict[str, Any] = {
        "environment": describe_environment(torch.device("cpu")),
        "cases": [],
    }
    if arguments.json and arguments.json.exists():
        figures = json.loads(arguments.json.read_text(encoding="utf-8"))
    done = {tuple(case[name] for name in Case._fields) for case in figures["cases"]}
    wanted = [
        Case(row, mode, seed, twin)
        for seed, mode, row, twin in product(
            range(arguments.seeds), arguments.modes, arguments.rows, TWINS
        )
    ]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(arguments.jobs, context) as pool:
        todo = [case for case in wanted if case not in done]
        running = [pool.submit(measure, case, arguments.root, arrays) for case in todo]
        for future in as_completed(running):
            figures["cases"].append(future.result())
            if arguments.json:
                text = json.dumps(figures, indent=1) + "\n"
                arguments.json.write_text(text, encoding="utf-8")
    chosen = [case for case in figures["cases"] if case["row"] in arguments.rows]
    chosen = [case for case in chosen if case["mode"] in arguments.modes]
    console = Console(width=220)
    console.print(table_of_scores(chosen))
    console.print(table_of_alarms(chosen))


if __name__ == "__main__":
    main()

"""Novelty detection: this package against other people's scores on networks with a linear head.

`lsc` and `replay` are trained as `lsc-cl compare` does it: with the same encoder, epochs, batches,
random changes, optimizer and number of stored images. `replay` has a linear head and cross-entropy;
its scores come from the library pytorch-ood. `static`: trained once, on half of the classes
(Omniglot: 400 of 1,623; MNIST: all). `incremental`: the first five experiences of 2 (Omniglot: 80,
CIFAR-100: 10) classes; figures are means over them. Near unknowns are classes still to come, far
ones other data sets. The folder of the data holds kmnist_test.npz (x_test), too.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from itertools import islice, product
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import torch

from experiments.outcome import Outcome, Row, Table, spread
from experiments.running import FINISHED, Finished, experience_by_experience
from experiments.settings import Settings, option
from lsc_continual.novelty import NoveltyDetector
from lsc_continual.runs.run import Prepared
from lsc_continual.strategies.calibration import embeddings

TITLE = "Novelty scores beside other people's on a linear head"
PAGE = "docs/novelty.md"

_EXPERIENCES = 5  # of the incremental mode


class DataSet(NamedTuple):
    """A scenario, how it is learned, and what is far from it."""

    scenario: str
    settings: str
    base: int
    """Classes of the static mode; 0: all."""
    increment: int
    """Classes an experience of the incremental mode."""
    far: list[str]
    of_lsc: tuple[str, ...] = ()
    """Settings that a linear head has no use for."""


_PERCEPTRON = "encoder=mlp train.epochs=3 train.lr=0.002 replay.size=500"
_RESNET = "encoder=resnet-small encoder.options.width=8 "
_KMNIST = "kmnist_test.npz"
DATA = {
    "fashion-mnist": DataSet("split-fashion-mnist", _PERCEPTRON, 5, 2, ["split-mnist", _KMNIST]),
    "mnist": DataSet("split-mnist", _PERCEPTRON, 0, 2, [_KMNIST, "split-fashion-mnist"]),
    "omniglot": DataSet(
        "split-omniglot",
        _RESNET + "train.epochs=15 train.lr=0.005 replay.size=800",
        400,
        80,
        ["split-mnist", _KMNIST],
        of_lsc=("loss.scale=32",),
    ),
    "cifar-100": DataSet(
        "split-cifar100",
        _RESNET + "data.train_per_class=250 novelty.holdout=0.2 train.epochs=6 train.lr=0.002 "
        "replay.size=500",
        50,
        10,
        ["split-fashion-mnist", "split-mnist"],
    ),
}
STRATEGIES, MODES = ("lsc", "replay"), ("static", "incremental")
_WAYS = {
    "known": "held-out, stored (ours), %",
    "replay buffer": "replay buffer, %",
    "latest held-out": "latest held-out, %",
}
"""Of calibration: what flags known test inputs, and the column for it."""


@dataclass(frozen=True)
class Options:
    """What is trained, and how."""

    rows: tuple[str, ...] = option(tuple(DATA), help="data sets", choices=tuple(DATA))
    modes: tuple[str, ...] = option(MODES, help="which", choices=MODES)
    jobs: int = option(os.cpu_count() or 1, help="trainings at a time")
    keep: Path | None = option(None, help=FINISHED)
    size: tuple[str, ...] = option(("train.batch_size=64",))  # settings of all trainings


class Training(NamedTuple):
    """One network on one stream."""

    data: str
    mode: str
    seed: int
    strategy: str

    def overrides(self) -> list[str]:
        data = DATA[self.data]
        split = [f"scenario.increment={data.increment}"]
        if self.mode == "static":
            base = [f"scenario.base_classes={data.base}", "scenario.experiences=2"]
            split = base if data.base else ["scenario.experiences=1"]
        own = data.of_lsc if self.strategy == "lsc" else ()
        return [f"strategy={self.strategy}", *data.settings.split(), *split, *own]


def measure(settings: Settings, options: Options) -> Outcome:
    """All trainings, several at a time; those finished before are not repeated."""
    finished = Finished(options.keep)
    wanted = {
        " ".join(map(str, each)): Training(*each)
        for each in product(options.rows, options.modes, range(settings.seeds), STRATEGIES)
    }
    todo = {name: training for name, training in wanted.items() if name not in finished}
    for name, figures in _carried_out(todo, settings, options):
        settings.say(name)
        finished[name] = figures
    measured = [(training, finished[name]) for name, training in wanted.items()]
    return Outcome(tables=[_scores(measured), _alarms(measured)])


def _carried_out(
    trainings: dict[str, Training], settings: Settings, options: Options
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Figures by the names of trainings, in the order in which they are ready."""
    if options.jobs == 1:
        yield from ((name, train(one, settings, options)) for name, one in trainings.items())
        return
    portable = replace(settings, say=print)
    with ProcessPoolExecutor(options.jobs, multiprocessing.get_context("spawn")) as pool:
        running = {
            pool.submit(train, one, portable, options): name for name, one in trainings.items()
        }
        yield from ((running[future], future.result()) for future in as_completed(running))


def train(training: Training, settings: Settings, options: Options) -> dict[str, Any]:
    """Train one network, and look at it after every experience."""
    torch.set_num_threads(1)
    data, results, alarms = DATA[training.data], [], []
    overrides = [*training.overrides(), *options.size]
    steps = experience_by_experience(data.scenario, overrides, settings, training.seed, data.far)
    count = 1 if training.mode == "static" else _EXPERIENCES
    for number, (prepared, result) in enumerate(islice(steps, count)):
        results.append(result)
        if training.strategy == "lsc":
            alarms.append(_false_alarms(prepared, number) | result.flagged)
    # Kind of unknown -> score -> metric.
    unknown = [{"near": one.novelty, **one.others, "forgotten": one.forgotten} for one in results]
    accuracy = results[-1].accuracy_seen
    return {"accuracy": accuracy, "unknown": _averages(unknown), "flagged": alarms}


def _averages(figures: Sequence[Any]) -> Any:
    """Means of numbers, or of dictionaries of them, entry by entry where there is one."""
    if not isinstance(figures[0], dict):
        return mean(figures)
    names = dict.fromkeys(name for some in figures for name in some)
    return {name: _averages([some[name] for some in figures if name in some]) for name in names}


def _false_alarms(prepared: Prepared, latest: int) -> dict[str, float]:
    """At fpr = 0.05, share of the known test inputs that other ways of calibration flag."""
    strategy, data = prepared.assembly.strategy, prepared.assembly.data
    detector = prepared.assembly.detector
    assert detector is not None
    assert detector.reference is not None
    stored = detector.reference
    tests = [each.dataset for each in data.benchmark.test_stream[: latest + 1]]
    known = torch.cat([embeddings(strategy, test) for test in tests])
    ways = {
        "replay buffer": (stored[1::2], stored[::2]),
        "latest held-out": (embeddings(strategy, data.held_out[latest]), stored),
    }
    flagged = {}
    for name, (calibration, reference) in ways.items():
        other = NoveltyDetector(detector.head, detector.score_name, detector.fpr)
        other.calibrate(calibration, reference)
        flagged[name] = float((~other.judge(known).known).float().mean())
    return flagged


_Measured = Sequence[tuple[Training, dict[str, Any]]]


def _scores(measured: _Measured) -> Table:
    """A row for each score, a column for each kind of unknown inputs."""
    values: Any = defaultdict(lambda: defaultdict(list))
    for training, figures in measured:
        for kind, scores in figures["unknown"].items():
            if kind != "forgotten":
                column = f"{training.data}, {training.mode}, {'near' if kind == 'near' else 'far'}"
                for score, metrics in scores.items():
                    pair = metrics["auroc"], metrics["oscr"]
                    values[training.strategy, score][column].append(pair)
    rows: list[Row] = []
    for (strategy, score), line in values.items():
        pairs = [tuple(map(mean, zip(*some, strict=True))) for some in line.values()]
        auroc, oscr = (100 * mean(part) for part in zip(*pairs, strict=True))
        row: Row = {"network": strategy, "score": score, "AUROC, %": auroc, "OSCR, %": oscr}
        rows.append(
            row | {name: spread([100 * one for one, _ in line[name]]) for name in sorted(line)}
        )
    rows.sort(key=lambda row: (row["network"], -row["AUROC, %"]))
    return Table("AUROC, %, mean ± standard deviation (of far ones over data sets, too)", rows)


def _alarms(measured: _Measured) -> Table:
    """False alarms at fpr = 0.05 by the way of calibration, least and most over experiences."""
    values: Any = defaultdict(lambda: defaultdict(list))
    for training, figures in measured:
        for number, flagged in enumerate(figures["flagged"]):
            for way in _WAYS:
                values[training.data, training.mode][way, number].append(flagged[way])
    rows: list[Row] = []
    for (data, mode), line in sorted(values.items()):
        row: Row = {"data": data, "mode": mode}
        for way, column in _WAYS.items():
            means = [100 * mean(some) for (name, _), some in line.items() if name == way]
            row[column] = f"{min(means):.1f} – {max(means):.1f}"
        rows.append(row)
    return Table("known test inputs flagged: mean over seeds, least – most experience", rows)

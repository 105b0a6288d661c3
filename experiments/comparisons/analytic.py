"""LSC-analytic against its one-hot twin and Avalanche's StreamingLDA, on one frozen encoder.

For each data set, a small ResNet learns the base classes by the LSC strategy and is frozen; then
all methods see the same features once, experience by experience, in runs of the package whose
encoder does nothing. The twin is ridge regression of the same random features onto class
indicators, at the same penalty; `no decorrelation` leaves out what undoes the
overlap of targets. StreamingLDA reads the encoder's own features, as it is defined. Accuracy is
over all classes seen so far. With `--few`, a fifth of the training images of the classes that come
after the base are kept, too.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from experiments.data import Part, load
from experiments.outcome import Outcome, Row, Table
from experiments.running import experience_by_experience, final_figures, run_and_read
from experiments.settings import Settings, option
from experiments.training import Identity, outputs
from lsc_continual import TargetHead, make_system
from lsc_continual.encoders.random_features import FEATURES, RandomFeatures
from lsc_continual.experiences import arriving_classes
from lsc_continual.learners.seen import with_one
from lsc_continual.learners.solution import Solution
from lsc_continual.learners.sums import Sums

TITLE = "LSC-analytic beside streaming LDA and its one-hot twin, on one frozen encoder"
PAGE = "docs/analytic.md"


class DataSet(NamedTuple):
    """A scenario, how its classes arrive, and how its encoder is trained on the first."""

    scenario: str
    base: int
    increment: int
    training: str


_RESNET = "encoder=resnet-small encoder.options.width="
DATA = {
    "cifar-100": DataSet(
        "split-cifar100", 50, 10, _RESNET + "16 train.epochs=8 train.lr=0.002 system.dim=256"
    ),
    "fashion-mnist": DataSet(
        "split-fashion-mnist", 4, 2, _RESNET + "8 train.epochs=2 train.lr=0.002"
    ),
    "omniglot": DataSet(
        "split-omniglot", 623, 200, _RESNET + "8 train.epochs=8 train.lr=0.005 loss.scale=32"
    ),
}


@dataclass(frozen=True)
class Options:
    """Data sets by name, and how large the regression is."""

    rows: tuple[str, ...] = option(tuple(DATA), help="data sets", choices=tuple(DATA))
    features: int = option(FEATURES, help="random features")
    penalty: float = option(0.01, help="of all regressions")
    dims: tuple[int, ...] = option((64, 128, 256, 384), help="dimensions of the targets")
    few: bool = option(False, help="unbalanced classes too")
    threads: int = option(1, help="of the processor")
    cache: Path | None = option(None, help="keep the encoders' features in this folder")
    updates: int = option(20_000)  # that are timed


class FrozenFeatures(NamedTuple):
    """Features of a data set by its frozen encoder, and how its classes arrive."""

    train: Part
    test: Part
    """Of FloatTensor[N, F] instead of images."""
    arriving: list[Tensor]
    """Classes of each experience."""

    @property
    def classes(self) -> int:
        return sum(map(len, self.arriving))

    @property
    def width(self) -> int:
        return self.train.images.shape[1]

    def parts(self, data: Part) -> list[Part]:
        """Features and labels of each experience."""
        return [data.rows(torch.isin(data.labels, classes)) for classes in self.arriving]

    def with_few(self) -> FrozenFeatures:
        """With a fifth of the training samples of all classes but the base's."""
        kept = torch.isin(self.train.labels, self.arriving[0])
        kept[(~kept).nonzero()[::5, 0]] = True
        return self._replace(train=self.train.rows(kept))


def measure(settings: Settings, options: Options) -> Outcome:
    """A row for each data set and method, and the rate of updates."""
    before = torch.get_num_threads()
    torch.set_num_threads(options.threads)
    try:
        rows = [row for name in options.rows for row in _of_data(name, settings, options)]
        speed = updates_per_second(options.features, options.updates)
    finally:
        torch.set_num_threads(before)
    updates: Row = {"features": options.features, "images/s": speed}
    title = "updates, encoder aside; the best of five"
    return Outcome(tables=[Table("accuracy, %", rows), Table(title, [updates])])


def _of_data(name: str, settings: Settings, options: Options) -> list[Row]:
    several = [frozen_features(name, seed, settings, options) for seed in range(settings.seeds)]
    variants = {name: several}
    if options.few:
        variants[f"{name}, few"] = [features.with_few() for features in several]
    rows: list[Row] = []
    for variant, chosen in variants.items():
        runs = [_methods(features, settings, options, seed) for seed, features in enumerate(chosen)]
        for method, figures in runs[0].items():
            means = {key: mean(run[method][key] for run in runs) for key in figures}
            rows.append({"data": variant, "method": method} | means)
    return rows


def frozen_features(name: str, seed: int, settings: Settings, options: Options) -> FrozenFeatures:
    """Train the encoder of a data set on its base classes, unless its features are in the cache."""
    file = options.cache / f"{name}-{seed}.safetensors" if options.cache else None
    if file is None or not file.is_file():
        settings.say(f"{name}: training the encoder, seed {seed}")
        tensors = _train_encoder(DATA[name], seed, settings)
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            save_file(tensors, file)
    else:
        tensors = load_file(file)
    train, test = (Part(tensors[f"{part}.x"], tensors[f"{part}.y"]) for part in ("train", "test"))
    return FrozenFeatures(train, test, list(tensors["order"].split(tensors["sizes"].tolist())))


def _train_encoder(data: DataSet, seed: int, settings: Settings) -> dict[str, Tensor]:
    overrides = [
        "strategy=lsc-analytic",
        "novelty.holdout=0",
        "train.batch_size=64",
        f"scenario.base_classes={data.base}",
        f"scenario.increment={data.increment}",
        *data.training.split(),
    ]
    prepared, _ = next(experience_by_experience(data.scenario, overrides, settings, seed))
    encoder = prepared.assembly.strategy.model.encoder.eval().encoder
    tensors: dict[str, Tensor] = {}
    for name, part in load(data.scenario, settings)._asdict().items():
        features = outputs(lambda x: encoder(x).flatten(1), part.images)
        tensors |= {f"{name}.x": features.cpu(), f"{name}.y": part.labels.cpu()}
    stream = prepared.assembly.data
    arriving = [arriving_classes(experience) for experience in stream.experiences]
    order, sizes = [*chain(*arriving)], list(map(len, arriving))
    return tensors | {"order": torch.tensor(order), "sizes": torch.tensor(sizes)}


def _methods(
    features: FrozenFeatures, settings: Settings, options: Options, seed: int
) -> dict[str, dict[str, float]]:
    """All methods on the same features."""
    size = options.features
    one_hot = torch.eye(features.classes).double()
    head = TargetHead(make_system("v21", 256))
    head.add_classes(range(features.classes))
    labels = torch.arange(features.classes)
    targets = head.targets.of_labels(labels, torch.zeros(1).double())[0]
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "features.npz"
        (x_train, y_train), (x_test, y_test) = features.train, features.test
        np.savez(table, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)

        def run(*overrides: str) -> dict[str, float]:
            return _by_package([f"data.root={table}", *overrides], features, settings, seed)

        rows = {"StreamingLDA": run("strategy=slda", "train.batch_size=4096", "train.epochs=1")}
        # Its means of F features a class, and one covariance.
        rows["StreamingLDA"]["numbers kept"] = features.width * (features.classes + features.width)
        rows["one-hot twin"] = plain_ridge(features, one_hot, options, seed)
        rows["no decorrelation, n = 256"] = plain_ridge(features, targets, options, seed)
        for dim in options.dims:
            rows[f"LSC-analytic, n = {dim}"] = figures = run(
                "strategy=lsc-analytic",
                "analytic.base_epochs=0",
                f"analytic.features={size}",
                f"analytic.penalty={options.penalty}",
                "system=v21",
                f"system.dim={dim}",
                "train.batch_size=256",
            )
            figures["numbers kept"] = Sums(features.width + size, dim).moments.numel()
    return rows


def _by_package(
    overrides: Sequence[str], features: FrozenFeatures, settings: Settings, seed: int
) -> dict[str, float]:
    """A run on features as they are."""
    base, following = map(len, features.arriving[:2])
    common = [
        f"encoder={Identity.__module__}:{Identity.__name__}",
        f"encoder.options.width={features.width}",
        f"scenario.class_order={torch.cat(features.arriving).tolist()}",
        f"scenario.base_classes={base}",
        f"scenario.increment={following}",
        "novelty.holdout=0",
    ]
    metrics = run_and_read("arrays", [*common, *overrides], settings, seed)
    figures = final_figures(metrics)
    return {
        "last": 100 * figures["last_accuracy"],
        "average": 100 * figures["average_incremental_accuracy"],
        "seconds": sum(each.train_seconds for each in metrics.experiences),
    }


def plain_ridge(
    features: FrozenFeatures, targets: Tensor, options: Options, seed: int
) -> dict[str, float]:
    """Ridge regression onto DoubleTensor[classes, n], answered by the largest inner product."""
    expansion = RandomFeatures(Identity(features.width), options.features, seed=seed, beside=True)
    sums = Sums(expansion.num_features, targets.shape[1])
    tests = features.parts(features.test)
    seen: list[float] = []
    seconds = 0.0
    for number, (x, y) in enumerate(features.parts(features.train), 1):
        start = time.perf_counter()
        for some, labels in zip(x.split(1024), y.split(1024)):
            sums.add(expansion(some), targets[labels])
        seconds += time.perf_counter() - start
        solution = Solution.of(sums.gram, sums.cross, options.penalty * sums.mean_spread)
        classes = torch.cat(features.arriving[:number])
        x, y = (torch.cat(part) for part in zip(*tests[:number]))
        z = with_one(expansion(x).double()) @ solution.weight
        found = classes[(z @ targets[classes].T).argmax(1)]
        seen.append(100 * float((found == y).double().mean()))
    figures = {"last": seen[-1], "average": mean(seen), "seconds": seconds}
    return figures | {"numbers kept": sums.moments.numel()}


def updates_per_second(size: int, count: int) -> float:
    """Images/s of the moments, the encoder aside; the best of five."""
    x, y = torch.randn(1024, size).relu(), torch.randn(1024, 256)
    seconds = []
    for _ in range(5):
        sums = Sums(size, y.shape[1])
        start = time.perf_counter()
        for _ in range(0, count, len(x)):
            sums.add(x, y)
        seconds.append((time.perf_counter() - start) / sums.count)
    return 1 / min(seconds)

"""LSC-analytic against its one-hot twin and Avalanche's StreamingLDA, on one frozen encoder.

    python benchmarks/analytic.py --root DATA --json analytic.json
    python benchmarks/analytic.py --root DATA --arrays cifar-100=FILE --rows cifar-100 --seeds 1

For each data set, a small ResNet learns the base classes by the LSC strategy and is frozen; then
all methods see the same features once, experience by experience. The twin is ridge regression of
the same random features onto class indicators, with the same choice of the penalty; `no
decorrelation` leaves out what undoes the overlap of targets. StreamingLDA reads the encoder's own
features, as it is defined. Accuracy is over all classes seen so far. `few` keeps a fifth of the
training images of the classes that come after the base.

DATA is what `data.root` of the scenarios is. A data set that lies in an .npz file of the scenario
`arrays` instead: --arrays cifar-100=FILE. Features are kept in --cache and not computed again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from avalanche.benchmarks import nc_benchmark
from avalanche.training.plugins import EvaluationPlugin
from avalanche.training.supervised import StreamingLDA
from rich.console import Console
from rich.table import Table
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lsc_continual import LSCAnalytic, TargetHead, make_system
from lsc_continual.config import resolve
from lsc_continual.encoders.random_features import RandomFeatures
from lsc_continual.inputs import StoredImages
from lsc_continual.machine.environment import describe_environment
from lsc_continual.network.ridge import RecursiveRidge
from lsc_continual.runs.trial import prepare

DIMS = (64, 128, 256, 384)
COMMON = "strategy=lsc-analytic novelty.holdout=0 train.device=cpu train.batch_size=64 "
ROWS = {
    "cifar-100": "scenario=split-cifar100 scenario.base_classes=50 scenario.increment=10 "
    "encoder=resnet-small encoder.options.width=16 train.epochs=8 train.lr=0.002 system.dim=256",
    "fashion-mnist": "scenario=split-fashion-mnist scenario.base_classes=4 scenario.increment=2 "
    "encoder=resnet-small encoder.options.width=8 train.epochs=2 train.lr=0.002",
    "omniglot": "scenario=split-omniglot scenario.base_classes=623 scenario.increment=200 "
    "encoder=resnet-small encoder.options.width=8 train.epochs=8 train.lr=0.005 loss.scale=32 "
    "data.mean=[0.081] data.std=[0.237]",
}
AS_ARRAYS = (
    "scenario=arrays augment.flip=true augment.translate=0.125 "
    "data.mean=[0.5071,0.4865,0.4409] data.std=[0.2673,0.2564,0.2762]"
)


class Case(NamedTuple):
    """Features of a data set by its frozen encoder, and how its classes arrive."""

    train: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]
    """Features and labels: FloatTensor[N, F], LongTensor[N]."""
    arriving: list[Tensor]
    """Classes of each experience."""

    @property
    def classes(self) -> int:
        return sum(map(len, self.arriving))

    def parts(self, data: tuple[Tensor, Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Features and labels of each experience."""
        rows = [torch.isin(data[1], classes) for classes in self.arriving]
        return [(data[0][part], data[1][part]) for part in rows]

    def with_few(self) -> Case:
        """With a fifth of the training samples of all classes but the base's."""
        kept = torch.isin(self.train[1], self.arriving[0])
        kept[(~kept).nonzero()[::5, 0]] = True
        return self._replace(train=(self.train[0][kept], self.train[1][kept]))


def features(row: str, seed: int, arguments: argparse.Namespace) -> Case:
    """Train the encoder of a row on its base classes, unless that was done before."""
    file = arguments.cache / f"{row}-{seed}.safetensors"
    if not file.is_file():
        settings = [*COMMON.split(), *ROWS[row].split(), f"data.root={arguments.root}"]
        if row in arguments.arrays:
            settings += [*AS_ARRAYS.split(), f"data.root={arguments.arrays[row]}"]
        trial = prepare(resolve([*settings, f"seed={seed}"]), Console(quiet=True))
        strategy, benchmark = trial.strategy, trial.stream.benchmark
        strategy.train(benchmark.train_stream[0])
        encoder = strategy.model.encoder.eval().encoder
        tensors = {}
        for name, stream in ("train", benchmark.train_stream), ("test", benchmark.test_stream):
            parts = [batch for part in stream for batch in strategy.batches(part.dataset.eval())]
            with torch.no_grad():
                tensors[f"{name}.x"] = torch.cat([encoder(x).flatten(1) for x, *_ in parts])
            tensors[f"{name}.y"] = torch.cat([y for _, y, *_ in parts])
        sizes = [len(part.classes_in_this_experience) for part in benchmark.train_stream]
        tensors |= {"order": torch.tensor(trial.stream.class_order), "sizes": torch.tensor(sizes)}
        file.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, file)
    kept = load_file(file)
    train, test = ((kept[f"{name}.x"], kept[f"{name}.y"]) for name in ("train", "test"))
    return Case(train, test, list(kept["order"].split(kept["sizes"].tolist())))


def accuracies(
    case: Case, learn: Callable[[int], None], predict: Callable[[Tensor], Tensor]
) -> dict[str, float]:
    """Accuracy after each experience; `learn` takes its number, `predict` features to labels."""
    seen, seconds = [], 0.0
    tests = case.parts(case.test)
    for number in range(len(case.arriving)):
        start = time.perf_counter()
        learn(number)
        seconds += time.perf_counter() - start
        x, y = (torch.cat(part) for part in zip(*tests[: number + 1]))
        with torch.no_grad():
            seen.append(float((predict(x) == y).double().mean()))
    return {"last": seen[-1], "average": statistics.mean(seen), "seconds": seconds}


def stream_of(case: Case) -> Any:
    """An Avalanche benchmark whose images are features."""
    train, test = (StoredImages(x[:, :, None, None], y) for x, y in (case.train, case.test))
    return nc_benchmark(
        train,
        test,
        n_experiences=len(case.arriving),
        task_labels=False,
        fixed_class_order=torch.cat(case.arriving).tolist(),
        per_exp_classes=dict(enumerate(map(len, case.arriving))),
    ).train_stream


def identity(width: int) -> nn.Module:
    encoder = nn.Flatten()
    encoder.num_features = width
    return encoder


def analytic(case: Case, dim: int, size: int, seed: int) -> dict[str, float]:
    """The strategy."""
    strategy = LSCAnalytic(
        model=identity(case.train[0].shape[1]),
        system=make_system("v21", dim),
        features=size,
        seed=seed,
        train_mb_size=256,
        evaluator=EvaluationPlugin(),
    )
    stream, model = stream_of(case), strategy.model

    def predict(x: Tensor) -> Tensor:
        return model.head.predict(model.eval().embed(x))

    row = accuracies(case, lambda number: strategy.train(stream[number]), predict)
    return row | {"numbers": strategy.ridge.moments.numel()}


def plain_ridge(case: Case, targets: Tensor, size: int, seed: int) -> dict[str, float]:
    """Ridge regression onto DoubleTensor[classes, n], answered by the largest inner product."""
    expansion = RandomFeatures(identity(case.train[0].shape[1]), size, seed=seed)
    ridge = RecursiveRidge(size, targets.shape[1])
    parts = case.parts(case.train)
    seen: list[Tensor] = []

    def learn(number: int) -> None:
        seen.append(case.arriving[number])
        x, y = parts[number]
        for features, labels in zip(x.split(1024), y.split(1024)):
            ridge.update(expansion(features), targets[labels])

    def predict(x: Tensor) -> Tensor:
        solution, classes = ridge.solve(), torch.cat(seen)
        z = expansion(x).double() @ solution.weight.T + solution.bias
        return classes[(z @ targets[classes].T).argmax(1)]

    return accuracies(case, learn, predict) | {"numbers": ridge.moments.numel()}


def slda(case: Case) -> dict[str, float]:
    """Avalanche's StreamingLDA on the encoder's features."""
    width = case.train[0].shape[1]
    strategy = StreamingLDA(
        slda_model=identity(width),
        criterion=nn.CrossEntropyLoss(),
        input_size=width,
        num_classes=case.classes,
        train_mb_size=4096,  # it inverts its covariance for each
        evaluator=EvaluationPlugin(),
    )
    stream = stream_of(case)

    def predict(x: Tensor) -> Tensor:
        unseen = strategy.cK == 0  # their means are zero, and could win
        return strategy.predict(x).masked_fill(unseen, -torch.inf).argmax(1)

    row = accuracies(case, lambda number: strategy.train(stream[number], num_workers=0), predict)
    return row | {"numbers": strategy.muK.numel() + strategy.Sigma.numel()}


def measure(case: Case, size: int, seed: int) -> dict[str, dict[str, float]]:
    """All methods, each told of when it is done."""
    head = TargetHead(make_system("v21", 256))
    head.add_classes(range(case.classes))
    targets = head.targets.of_labels(torch.arange(case.classes), torch.zeros(1).double())[0]
    methods: dict[str, Callable[[], dict[str, float]]] = {
        "StreamingLDA": lambda: slda(case),
        "one-hot twin": lambda: plain_ridge(case, torch.eye(case.classes).double(), size, seed),
        "no decorrelation, n = 256": lambda: plain_ridge(case, targets, size, seed),
    }
    for dim in DIMS:
        methods[f"LSC-analytic, n = {dim}"] = lambda dim=dim: analytic(case, dim, size, seed)
    rows = {}
    for name, method in methods.items():
        torch.manual_seed(seed)
        rows[name] = method()
        print(name, *(f"{key} {value:.4g}" for key, value in rows[name].items()), flush=True)
    return rows


def updates_per_second(size: int, dim: int = 256, count: int = 20_000) -> float:
    """Images/s of the moments, the encoder aside; the best of five."""
    x, y = torch.randn(256, size).relu(), torch.randn(256, dim)
    seconds = []
    for _ in range(5):
        ridge = RecursiveRidge(size, dim)
        start = time.perf_counter()
        for _ in range(0, count, len(x)):
            ridge.update(x, y)
        ridge.add_waiting()
        seconds.append((time.perf_counter() - start) / ridge.count)
    return 1 / min(seconds)


def summary(runs: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Means over seeds."""
    return {
        method: {key: statistics.mean(run[method][key] for run in runs) for key in figures}
        for method, figures in runs[0].items()
    }


def show(console: Console, tables: Mapping[str, dict[str, dict[str, float]]]) -> None:
    table = Table(title="accuracy in %: last and average incremental", title_justify="left")
    for header in ("data", "method", "last", "average", "seconds", "numbers kept"):
        table.add_column(header, justify="left" if header in ("data", "method") else "right")
    for name, rows in tables.items():
        for method, row in rows.items():
            last, average = f"{row['last']:.2%}", f"{row['average']:.2%}"
            cells = [name, method, last, average, f"{row['seconds']:.0f}", f"{row['numbers']:,.0f}"]
            table.add_row(*cells)
        table.add_section()
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path("data"))
    parser.add_argument("--arrays", nargs="*", default=[], metavar="ROW=FILE")
    parser.add_argument("--rows", nargs="*", default=list(ROWS), choices=list(ROWS))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--features", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--few", action="store_true", help="unbalanced classes too")
    parser.add_argument("--cache", type=Path, default=Path("analytic-features"))
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    arguments.arrays = dict(pair.split("=", 1) for pair in arguments.arrays)
    warnings.simplefilter("ignore")
    torch.set_num_threads(arguments.threads)

    tables: dict[str, dict[str, dict[str, float]]] = {}
    for row in arguments.rows:
        cases = [features(row, seed, arguments) for seed in range(arguments.seeds)]
        variants = {row: cases}
        if arguments.few:
            variants[f"{row}, few"] = [case.with_few() for case in cases]
        for name, chosen in variants.items():
            runs = [measure(case, arguments.features, seed) for seed, case in enumerate(chosen)]
            tables[name] = summary(runs)
    console = Console()
    show(console, tables)
    speed = updates_per_second(arguments.features)
    console.print(f"updates: {speed:,.0f} images/s with {arguments.features} features")
    if arguments.json:
        figures = {
            "environment": describe_environment(torch.device("cpu")),
            "features": arguments.features,
            "threads": arguments.threads,
            "seeds": arguments.seeds,
            "updates_per_second": speed,
            "tables": tables,
        }
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

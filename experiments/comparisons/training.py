"""Training speed: this package, Avalanche's own loop, and a loop written by hand.

    python benchmarks/training.py                # tables; --json FILE writes the numbers too
    python benchmarks/training.py --device cuda

Images are random, because speed does not depend on what they show. All loops train the same
encoder on the same images, with the same batch size, optimizer and augmentation. They take turns,
and ratios are medians over the turns, as machines are noisy. Then: the cost of one experience as
classes grow, and memory as experiences go by.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from avalanche.benchmarks import nc_benchmark
from avalanche.training.plugins import EvaluationPlugin, ReplayPlugin
from avalanche.training.supervised import Naive
from rich.console import Console
from torch import nn
from torchvision.transforms import v2

from lsc_continual import LSC, EmbeddingReplay, TargetClassifier, make_encoder, make_system
from lsc_continual.bench.tables import show
from lsc_continual.inputs import StoredImages
from lsc_continual.inputs.geometry import RandomGeometry
from lsc_continual.machine.environment import describe_environment
from lsc_continual.network.heads import TargetHead
from lsc_continual.network.losses import StructuredSoftmaxLoss
from lsc_continual.strategies import BatchAugmentation

BATCH, CLASSES, SHAPE, EPOCHS = 128, 10, (1, 28, 28), 4
MEAN, STD = [0.5], [0.29]


class Network(NamedTuple):
    """An encoder, and the dimension of the targets."""

    encoder: str
    options: dict[str, int]
    dim: int


NETWORKS = {
    "mlp, 64 units, n = 64": (Network("mlp", {"width": 64}, 64), 12_800),
    "mlp, 256 units, n = 384": (Network("mlp", {"width": 256}, 384), 12_800),
    "resnet-small, n = 384": (Network("resnet-small", {"width": 16}, 384), 1_280),
}


class Augmentation(NamedTuple):
    """The same random changes for batches and for single images."""

    batch: RandomGeometry
    sample: list[v2.Transform]


AUGMENTATIONS = {
    "none": None,
    "flip, shift": Augmentation(
        RandomGeometry(translate=0.1, flip=True),
        [
            v2.RandomAffine(0, (0.1, 0.1), interpolation=v2.InterpolationMode.BILINEAR),
            v2.RandomHorizontalFlip(),
        ],
    ),
}


def random_images(count: int, classes: int = CLASSES) -> StoredImages:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (count, *SHAPE), dtype=torch.uint8, generator=generator)
    return StoredImages(images, torch.arange(count) % classes)


def experience(count: int, transform: v2.Transform | None = None) -> Any:
    """One Avalanche experience of random images, with a transform of each sample."""
    images = random_images(count)
    test = images.subset(torch.arange(CLASSES))
    benchmark = nc_benchmark(images, test, 1, task_labels=False, train_transform=transform)
    return benchmark.train_stream[0]


def adamw(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)


def encoder(network: Network, **normalization: Any) -> nn.Module:
    torch.manual_seed(0)
    return make_encoder(network.encoder, SHAPE, options=network.options, **normalization)


def classifier(network: Network, **head: Any) -> TargetClassifier:
    body = encoder(network, mean=MEAN, std=STD)  # normalises whole batches
    return TargetClassifier(body, TargetHead(make_system("v21", dim=network.dim), **head))


def ours(
    network: Network, count: int, change: Augmentation | None, device: str, replay: bool
) -> Callable[[], None]:
    model = classifier(network)
    plugins: list[Any] = [BatchAugmentation(change.batch)] if change else []
    strategy = LSC(
        model=model,
        optimizer=adamw(model),
        train_mb_size=BATCH,
        train_epochs=EPOCHS,
        device=device,
        plugins=plugins
        + ([EmbeddingReplay(200, distillation=0, balanced=False)] if replay else []),
        evaluator=EvaluationPlugin(),
    )
    data = experience(count)
    return lambda: strategy.train(data)


def avalanche(
    network: Network, count: int, change: Augmentation | None, device: str, replay: bool
) -> Callable[[], None]:
    body = encoder(network)
    model = nn.Sequential(body, nn.Linear(body.num_features, CLASSES))
    strategy = Naive(
        model=model,
        optimizer=adamw(model),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=BATCH,
        train_epochs=EPOCHS,
        device=device,
        plugins=[ReplayPlugin(200)] if replay else [],
        evaluator=EvaluationPlugin(),
    )
    changes = change.sample if change else []
    data = experience(count, v2.Compose([*changes, v2.Normalize(MEAN, STD)]))
    return lambda: strategy.train(data)


def by_hand(
    network: Network, count: int, change: Augmentation | None, device: str
) -> Callable[[], None]:
    model = classifier(network).to(device)
    model.head.add_classes(range(CLASSES))
    optimizer, loss = adamw(model), StructuredSoftmaxLoss()
    data = random_images(count)
    images, labels = data.images.to(device), torch.tensor(data.targets, device=device)

    def train() -> None:
        for _ in range(EPOCHS):
            for rows in torch.randperm(count).to(device).split(BATCH):
                x = images[rows].float() / 255
                if change:
                    x = change.batch(x, seed=int(torch.randint(2**62, ())))
                optimizer.zero_grad()
                loss(model(x), labels[rows]).backward()
                optimizer.step()

    return train


def seconds(train: Callable[[], None], device: str) -> float:
    start = time.perf_counter()
    train()
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def compare(
    loops: dict[str, Callable[[], None]], turns: int, device: str
) -> dict[str, list[float]]:
    """Seconds of each loop at each turn; a first turn is not counted."""
    times: dict[str, list[float]] = {name: [] for name in loops}
    for turn in range(turns + 1):
        for name, loop in loops.items():
            elapsed = seconds(loop, device)
            if turn:
                times[name].append(elapsed)
    return times


def ratio(slow: list[float], fast: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))


def speeds(turns: int, device: str, scale: int) -> list[dict[str, Any]]:
    rows = []
    for title, (network, count) in NETWORKS.items():
        for name, change in AUGMENTATIONS.items():
            for replay in (False, True):
                size = count * scale
                setup = (network, size, change, device)
                loops = {"a": ours(*setup, replay), "b": avalanche(*setup, replay)}
                if not replay:
                    loops["c"] = by_hand(*setup)
                times = compare(loops, turns, device)
                # Batches with replay hold as many stored images as new ones.
                images = EPOCHS * size * (1 + replay)
                rates = {f"{k} images/s": images / statistics.median(v) for k, v in times.items()}
                against = {"a/b": ratio(times["b"], times["a"])}
                if not replay:
                    against["a/c"] = ratio(times["c"], times["a"])
                case = {"network": title, "augmentation": name, "replay": replay}
                rows.append(case | rates | against)
    return rows


def experiences_by_classes(turns: int, device: str) -> list[dict[str, Any]]:
    """Seconds of an experience that brings 10 classes to a head that owns more and more."""
    rows = []
    for prior in (None, 1.0):
        for classes in (100, 1_000, 10_000, 100_000):
            model = classifier(NETWORKS["mlp, 256 units, n = 384"][0], unknown_prior=prior)
            model.head.add_classes(range(CLASSES, classes + CLASSES))
            strategy = LSC(
                model=model,
                optimizer=adamw(model),
                train_mb_size=BATCH,
                device=device,
                plugins=[EmbeddingReplay(2000)],
                evaluator=EvaluationPlugin(),
            )
            data = experience(3200)
            times = compare({"": lambda s=strategy, d=data: s.train(d)}, turns, device)[""]
            rows.append(
                {"unknown_prior": prior or "default", "classes": classes}
                | {"seconds": statistics.median(times)}
            )
    return rows


def memory_by_experiences(experiences: int, device: str) -> list[dict[str, Any]]:
    """Resident memory as a stream goes by, two classes at a time, with a full replay buffer."""
    data = random_images(experiences * 400, classes=experiences * 2)
    benchmark = nc_benchmark(data, data, experiences, task_labels=False)
    model = classifier(NETWORKS["mlp, 256 units, n = 384"][0])
    strategy = LSC(
        model=model,
        optimizer=adamw(model),
        train_mb_size=BATCH,
        device=device,
        plugins=[EmbeddingReplay(1000)],
        evaluator=EvaluationPlugin(),
    )
    rows = []
    for number, arriving in enumerate(benchmark.train_stream, 1):
        strategy.train(arriving)
        if number in (experiences // 10, experiences // 2, experiences):
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            row = {"experience": number, "MiB": pages * os.sysconf("SC_PAGE_SIZE") / 2**20}
            rows.append(row | {"peak MiB": peak})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--scale", type=int, default=1, help="times as many images")
    parser.add_argument("--experiences", type=int, default=100, help="of the memory measurement")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")

    device = torch.device(arguments.device)
    figures: dict[str, Any] = {"environment": describe_environment(device), "batch": BATCH}
    # Memory first, before anything else has left its mark on the process.
    figures["memory"] = memory_by_experiences(arguments.experiences, arguments.device)
    figures["speed"] = speeds(arguments.turns, arguments.device, arguments.scale)
    figures["classes"] = experiences_by_classes(arguments.turns, arguments.device)
    console = Console()
    title = f"images/s, batch {BATCH}: a this package, b Avalanche (Naive, Replay), c by hand"
    show(console, title, figures["speed"])
    show(console, "one experience of 3,200 images, 10 new classes", figures["classes"])
    show(console, "memory after experiences of two classes", figures["memory"])
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

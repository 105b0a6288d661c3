"""Training speed: this package, Avalanche's own loop, and a loop written by hand.

Images are random, because speed does not depend on what they show. All loops train the same
encoder on the same images, with the same batch size, optimizer and augmentation. They take turns,
and ratios are medians over the turns, as machines are noisy. Then: the cost of one experience as
classes grow, and memory as experiences go by.

Here, and only here, strategies of Avalanche are put together by hand: `strategy=replay` would feed
them through this package's own loader, and that is what they are compared with.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import inf
from statistics import median
from typing import Any, NamedTuple

import torch
from avalanche.benchmarks import nc_benchmark
from avalanche.training.plugins import EvaluationPlugin, ReplayPlugin
from avalanche.training.supervised import Naive
from torch import nn
from torchvision.transforms import v2

from experiments.outcome import Outcome, Row, Table
from experiments.settings import Settings, option
from lsc_continual import (
    LSC,
    EmbeddingReplay,
    StructuredSoftmaxLoss,
    TargetClassifier,
    TargetHead,
    make_encoder,
    make_system,
)
from lsc_continual.bench.memory import peak_resident_bytes, resident_bytes
from lsc_continual.bench.timing import ratio, take_turns
from lsc_continual.inputs import StoredImages
from lsc_continual.inputs.geometry import RandomGeometry
from lsc_continual.strategies import BatchAugmentation

TITLE = "Training speed beside Avalanche's own loop and one by hand"
PAGE = "docs/training.md"

_BATCH, _CLASSES, _SHAPE, _EPOCHS = 128, 10, (1, 28, 28), 4
_MEAN, _STD = [0.5], [0.29]


class Network(NamedTuple):
    """An encoder, the dimension of the targets, and how many images it is trained on."""

    encoder: str
    options: dict[str, int]
    dim: int
    images: int


NETWORKS = {
    "mlp, 64 units, n = 64": Network("mlp", {"width": 64}, 64, 12_800),
    "mlp, 256 units, n = 384": Network("mlp", {"width": 256}, 384, 12_800),
    "resnet-small, n = 384": Network("resnet-small", {"width": 16}, 384, 1_280),
}
_LARGE = NETWORKS["mlp, 256 units, n = 384"]


@dataclass(frozen=True)
class Options:
    """How often and how much; `networks` and `owned` are what rows are measured of."""

    turns: int = option(5, help="how often the loops alternate")
    scale: float = option(1.0, help="times as many images")
    experiences: int = option(100, help="of the memory measurement")
    networks: tuple[str, ...] = option(tuple(NETWORKS), help="which", choices=tuple(NETWORKS))
    owned: tuple[int, ...] = option((100, 1_000, 10_000, 100_000), help="classes there already")


_SHIFT = v2.RandomAffine(0, (0.1, 0.1), interpolation=v2.InterpolationMode.BILINEAR)
_AUGMENTATIONS: dict[str, tuple[RandomGeometry, list[v2.Transform]]] = {
    "none": (RandomGeometry(), []),
    "flip, shift": (RandomGeometry(translate=0.1, flip=True), [_SHIFT, v2.RandomHorizontalFlip()]),
}
"""The same random changes for batches and for single images."""


def measure(settings: Settings, options: Options) -> Outcome:
    """Memory first, before anything else has left its mark on the process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        memory = _memory_by_experiences(options.experiences, settings.device)
        speed = [row for name in options.networks for row in _speeds(name, settings, options)]
        classes = _seconds_by_classes(settings, options)
    title = f"images/s, batch {_BATCH}: a this package, b Avalanche (Naive, Replay), c by hand"
    return Outcome(
        tables=[
            Table(title, speed),
            Table(f"one experience of {_images(options):,} images, 10 new classes", classes),
            Table("memory after experiences of two classes", memory),
        ],
    )


def _random_images(count: int, classes: int = _CLASSES) -> StoredImages:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (count, *_SHAPE), dtype=torch.uint8, generator=generator)
    return StoredImages(images, torch.arange(count) % classes)


def _experience(count: int, transform: v2.Transform | None = None) -> Any:
    """One Avalanche experience of random images, with a transform of each sample."""
    images = _random_images(count)
    test = images.subset(torch.arange(_CLASSES))
    benchmark = nc_benchmark(images, test, 1, task_labels=False, train_transform=transform)
    return benchmark.train_stream[0]


def _adamw(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)


def _encoder(network: Network, **normalization: Any) -> nn.Module:
    torch.manual_seed(0)
    return make_encoder(network.encoder, _SHAPE, options=network.options, **normalization)


def _classifier(network: Network, **head: Any) -> TargetClassifier:
    body = _encoder(network, mean=_MEAN, std=_STD)  # normalises whole batches
    return TargetClassifier(body, TargetHead(make_system("v21", dim=network.dim), **head))


def _lsc(model: TargetClassifier, device: torch.device, plugins: list[Any], epochs: int = 1) -> LSC:
    return LSC(
        model=model,
        optimizer=_adamw(model),
        train_mb_size=_BATCH,
        train_epochs=epochs,
        device=device,
        plugins=plugins,
        evaluator=EvaluationPlugin(),
    )


def _ours(
    network: Network, count: int, change: RandomGeometry, device: torch.device, replay: bool
) -> Callable[[], object]:
    plugins: list[Any] = [BatchAugmentation(change)] if change else []
    plugins += [EmbeddingReplay(200, distillation=0, balanced=False)] if replay else []
    strategy = _lsc(_classifier(network), device, plugins, _EPOCHS)
    data = _experience(count)
    return partial(strategy.train, data)


def _avalanche(
    network: Network, count: int, changes: list[v2.Transform], device: torch.device, replay: bool
) -> Callable[[], object]:
    body = _encoder(network)
    model = nn.Sequential(body, nn.Linear(int(body.num_features), _CLASSES))  # type: ignore[arg-type]
    strategy = Naive(
        model=model,
        optimizer=_adamw(model),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=_BATCH,
        train_epochs=_EPOCHS,
        device=device,
        plugins=[ReplayPlugin(200)] if replay else [],
        evaluator=EvaluationPlugin(),
    )
    data = _experience(count, v2.Compose([*changes, v2.Normalize(_MEAN, _STD)]))
    return partial(strategy.train, data)


def _by_hand(
    network: Network, count: int, change: RandomGeometry, device: torch.device
) -> Callable[[], object]:
    model = _classifier(network).to(device)
    model.head.add_classes(range(_CLASSES))
    optimizer, loss = _adamw(model), StructuredSoftmaxLoss()
    data = _random_images(count)
    images, labels = data.images.to(device), torch.as_tensor(data.targets, device=device)

    def train() -> None:
        for _ in range(_EPOCHS):
            for rows in torch.randperm(count).to(device).split(_BATCH):
                x = images[rows].float() / 255
                if change:
                    x = change(x, seed=int(torch.randint(2**62, ())))
                optimizer.zero_grad()
                loss(model(x), labels[rows]).backward()
                optimizer.step()

    return train


def _speeds(name: str, settings: Settings, options: Options) -> list[Row]:
    """A row for each augmentation, with replay and without."""
    network, rows = NETWORKS[name], []
    size = round(network.images * options.scale)
    for augmentation, (batch, sample) in _AUGMENTATIONS.items():
        for replay in (False, True):
            loops = {
                "a": _ours(network, size, batch, settings.device, replay),
                "b": _avalanche(network, size, sample, settings.device, replay),
            }
            if not replay:
                loops["c"] = _by_hand(network, size, batch, settings.device)
            times = take_turns(loops, options.turns, settings.device, patience=inf)
            # Batches with replay hold as many stored images as new ones.
            images = _EPOCHS * size * (1 + replay)
            row: Row = {"network": name, "augmentation": augmentation, "replay": replay}
            row |= {f"{loop} images/s": images / median(took) for loop, took in times.items()}
            row["a/b"] = ratio(times["b"], times["a"])
            if not replay:
                row["a/c"] = ratio(times["c"], times["a"])
            rows.append(row)
    return rows


def _images(options: Options) -> int:
    return round(3200 * options.scale)


def _seconds_by_classes(settings: Settings, options: Options) -> list[Row]:
    """Seconds of an experience that brings 10 classes to a head that owns more and more."""
    rows: list[Row] = []
    for prior in (None, 1.0):
        for classes in options.owned:
            model = _classifier(_LARGE, unknown_prior=prior)
            model.head.add_classes(range(_CLASSES, classes + _CLASSES))
            strategy = _lsc(model, settings.device, [EmbeddingReplay(2000)])
            ways = {"": partial(strategy.train, _experience(_images(options)))}
            times = take_turns(ways, options.turns, settings.device, patience=inf)[""]
            row: Row = {"unknown_prior": prior or "default", "classes": classes}
            rows.append(row | {"seconds": median(times)})
    return rows


def _memory_by_experiences(experiences: int, device: torch.device) -> list[Row]:
    """Resident memory as a stream goes by, two classes at a time, with a full replay buffer."""
    data = _random_images(experiences * 400, classes=experiences * 2)
    benchmark = nc_benchmark(data, data, experiences, task_labels=False)
    strategy = _lsc(_classifier(_LARGE), device, [EmbeddingReplay(1000)])
    rows: list[Row] = []
    for number, arriving in enumerate(benchmark.train_stream, 1):
        strategy.train(arriving)
        if number in (experiences // 10, experiences // 2, experiences):
            now, most = resident_bytes() / 2**20, peak_resident_bytes() / 2**20
            rows.append({"experience": number, "MiB": now, "peak MiB": most})
    return rows

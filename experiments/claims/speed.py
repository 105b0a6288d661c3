"""How fast networks learn characters, epoch by epoch: shared by four claims of arXiv 2512.07509."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from experiments.data import Data, load
from experiments.outcome import Row
from experiments.settings import Settings, option
from experiments.training import Loss, Recipe, accuracy_on, train
from lsc_continual import TargetHead, make_encoder, make_system
from lsc_continual.network.layers import Standardization
from lsc_continual.network.losses import CosineLoss, StructuredSoftmaxLoss
from lsc_continual.network.target_classifier import TargetClassifier

LEVELS = (50, 80, 95)
"""Training accuracies, in percent, whose epochs are counted."""

MARGIN = 0.1
"""A smaller part of the epochs counts as no difference."""

ABOUT = """
Omniglot characters at 28×28, 15 training and 5 test images each: 200 characters, three strided
convolutions and 12 epochs in the quick setting; all 1,623, a ResNet-18 and 60 epochs with `--full`.
The paper's optimiser, learning rate, batch and epochs could not be read. Ours: AdamW at a constant
rate (a schedule would hide when a network is done), 3e-3 unless a table says otherwise, batches of
100, no augmentation; accuracies are those of the network in evaluation mode after each epoch. One
network is called faster than another at a level if it needs at least a tenth fewer epochs.

"""


@dataclass(frozen=True)
class Progress:
    """Accuracy in percent on training and test data, after each of `epochs`."""

    epochs: Sequence[float]
    training: Sequence[float]
    test: Sequence[float]

    def epochs_to(self, level: float) -> float | None:
        """Epochs to a training accuracy for the first time; None if it was never reached.

        Straight lines join the measurements and the origin.

        >>> Progress([1, 2], [40.0, 80.0], [30.0, 50.0]).epochs_to(60)
        1.5
        """
        points = [(0.0, 0.0), *zip(self.epochs, self.training, strict=True)]
        for (before, low), (after, high) in pairwise(points):
            if high >= level:
                return before + (after - before) * (level - low) / (high - low)
        return None

    def shown(self, level: float) -> float | str:
        """`epochs_to` for a table."""
        reached = self.epochs_to(level)
        return f"> {self.epochs[-1]:g}" if reached is None else reached

    def rows(self) -> list[Row]:
        """One for each epoch, for plots."""
        columns = zip(self.epochs, self.training, self.test, strict=True)
        return [dict(zip(("epochs", "training, %", "test, %"), each)) for each in columns]

    @staticmethod
    def mean(of: Sequence[Progress]) -> Progress:
        """Over seeds, epoch by epoch."""
        training = torch.tensor([one.training for one in of]).mean(0)
        test = torch.tensor([one.test for one in of]).mean(0)
        return Progress(of[0].epochs, training.tolist(), test.tolist())


@dataclass(frozen=True)
class Learner:
    """What stands on the encoder, and how it is optimised.

    Args:
        loss: "cosine" (the papers'), "structured" or "owned" softmax (unknown prior 1 or 0), all
            three to fixed targets; or "cross-entropy" with a learned linear head.
        system: name of the vector system of the targets.
        dim: of the embedding. Cross-entropy needs none: with 0 its head is right on the features.
        sgd: momentum 0.9, instead of AdamW.
    """

    loss: str
    system: str = ""
    dim: int = 0
    lr: float = 3e-3
    sgd: bool = False


def build(learner: Learner, encoder: nn.Module, classes: int, dense: int) -> tuple[nn.Module, Loss]:
    """The network and its loss. Features are standardised before any head.

    Args:
        encoder: with `num_features`.
        dense: number of classes up to which all of them get a logit.
    """
    width: int = encoder.num_features  # type: ignore[assignment]
    if learner.loss == "cross-entropy":
        between = [nn.Linear(width, learner.dim)] if learner.dim else []
        head = nn.Linear(learner.dim or width, classes)
        model = nn.Sequential(encoder, nn.Flatten(), Standardization(width), *between, head)
        return model, nn.CrossEntropyLoss()
    targets = TargetHead(
        make_system(learner.system, learner.dim),
        allocation="random",
        unknown_prior=1.0 if learner.loss == "structured" else 0.0,
        dense_classes=dense,
    )
    targets.add_classes(range(classes))
    loss = CosineLoss() if learner.loss == "cosine" else StructuredSoftmaxLoss()
    return TargetClassifier(encoder, targets, standardize=True, hidden=0), loss


def learn(
    learner: Learner,
    encoder: Callable[[], nn.Module],
    data: Data,
    recipe: Recipe,
    classes: int,
    seed: int,
    *,
    dense: int = 10_000,
    measured: Data | None = None,
    augment: Callable[[Tensor, int], Tensor] | None = None,
) -> Progress:
    """Train, and measure after every epoch.

    Args:
        recipe: its learning rate is replaced by the learner's.
        measured: images to measure on; by default those of `data`.
    """
    torch.manual_seed(seed)
    device = data.train.labels.device
    model, loss = build(learner, encoder(), classes, dense)
    model = model.to(device)
    recipe = replace(recipe, lr=learner.lr)
    optimizer = None
    if learner.sgd:
        optimizer = torch.optim.SGD(model.parameters(), lr=learner.lr, momentum=0.9)
    epochs: list[float] = []
    curves: tuple[list[float], list[float]] = ([], [])
    for done in train(
        model, loss, data.train, recipe, seed=seed, augment=augment, optimizer=optimizer
    ):
        epochs.append(done)
        for curve, part in zip(curves, measured or data, strict=True):
            curve.append(accuracy_on(part, model))
    return Progress(epochs, *curves)


@dataclass(frozen=True)
class CharacterOptions:
    """How many characters, learnt how long, by which encoder."""

    classes: int = option(200, 1623)
    epochs: int = option(12, 60)
    encoder: str = option("experiments.claims.speed:Strided", "resnet18-cifar")


@cache
def characters(settings: Settings, classes: int) -> Data:
    """The images of the first so many."""
    return Data(*(part.of_classes(range(classes)) for part in load("split-omniglot", settings)))


def learned(settings: Settings, options: CharacterOptions, learner: Learner) -> Progress:
    """The learner's progress, the mean over seeds; claims measured together train nothing twice."""
    return _learned(settings, options.classes, options.epochs, options.encoder, learner)


@cache
def _learned(
    settings: Settings, classes: int, epochs: int, encoder: str, learner: Learner
) -> Progress:
    settings.say(
        f"{classes} characters: {learner.loss} {learner.system} {learner.dim or ''} at "
        f"{learner.lr:g}"
    )
    data = characters(settings, classes)
    make = partial(make_encoder, encoder, data.shape)
    recipe = Recipe(epochs, batch_size=100, cosine=False)
    seeds = range(settings.seeds)
    return Progress.mean([learn(learner, make, data, recipe, classes, seed) for seed in seeds])


class Strided(nn.Sequential):
    """Convolutions that each halve the side of grey images: small, for many networks on a CPU."""

    def __init__(self, side: int = 28, widths: Sequence[int] = (16, 32, 64)) -> None:
        layers: list[nn.Module] = []
        inputs = 1
        for width in widths:
            layers += [nn.Conv2d(inputs, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width)]
            layers += [nn.ReLU()]
            inputs, side = width, (side + 1) // 2
        super().__init__(*layers, nn.Flatten())
        self.num_features = side * side * inputs


def columns(progress: Progress) -> Row:
    """What tables say of a network."""
    return {
        **{f"epochs to {level} %": progress.shown(level) for level in LEVELS},
        "training, %": progress.training[-1],
        "test, %": progress.test[-1],
    }


def compared(one: Progress, other: Progress, digits: int = 1) -> str:
    """The epochs of two networks to each level, in words."""
    parts = []
    for level in LEVELS:
        few, many = (
            text if isinstance(text, str) else f"{text:.{digits}f}"
            for text in (one.shown(level), other.shown(level))
        )
        parts.append(f"{level} %: {few} against {many}")
    return "; to ".join(parts)


def faster(one: Progress, other: Progress) -> list[bool]:
    """Whether one needs clearly fewer epochs than the other, at each level that either reached."""
    pairs = [(one.epochs_to(level), other.epochs_to(level)) for level in LEVELS]
    return [
        a is not None and (b is None or a <= (1 - MARGIN) * b)
        for a, b in pairs
        if (a, b) != (None, None)
    ]

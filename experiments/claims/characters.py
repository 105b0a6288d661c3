"""The networks on handwritten characters that four claims of arXiv 2512.07509 share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from torch import nn

from experiments.claims.speed import Learner, Progress, learn
from experiments.data import Data, load
from experiments.outcome import Row, Verdict
from experiments.settings import Settings, option
from experiments.training import Recipe
from lsc_continual import make_encoder

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
class CharacterOptions:
    """How many characters, learnt how long, by which encoder."""

    classes: int = option(200, 1623)
    epochs: int = option(12, 60)
    encoder: str = option("experiments.claims.characters:Strided", "resnet18-cifar")


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

    def make() -> nn.Module:
        return make_encoder(encoder, data.shape)

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


def judged(parts: Sequence[bool]) -> Verdict:
    """OPEN where no level was reached, so that there is nothing to judge by."""
    return Verdict.of(*parts) if parts else Verdict.OPEN

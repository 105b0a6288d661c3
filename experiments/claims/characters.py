"""The networks on handwritten characters that three claims of arXiv 2512.07509 share."""

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


class Characters:
    """Trains what it is asked for, each learner once."""

    def __init__(self, settings: Settings, options: CharacterOptions) -> None:
        self.classes = options.classes
        self._recipe = Recipe(options.epochs, batch_size=100, cosine=False)
        self._encoder = options.encoder
        self._settings = settings
        every = load("split-omniglot", settings)
        self._data = Data(*(part.of_classes(range(self.classes)) for part in every))
        self._learned: dict[Learner, Progress] = {}

    @property
    def train_images(self) -> int:
        return len(self._data.train.labels)

    @property
    def test_images(self) -> int:
        return len(self._data.test.labels)

    def __call__(self, learner: Learner) -> Progress:
        """Its progress, the mean over seeds."""
        if learner not in self._learned:
            self._settings.say(
                f"{self.classes} characters: {learner.loss} {learner.system} "
                f"{learner.dim or ''} at {learner.lr:g}"
            )
            self._learned[learner] = Progress.mean(
                [self._learn(learner, seed) for seed in range(self._settings.seeds)]
            )
        return self._learned[learner]

    def _learn(self, learner: Learner, seed: int) -> Progress:
        def encoder() -> nn.Module:
            return make_encoder(self._encoder, self._data.shape)

        return learn(learner, encoder, self._data, self._recipe, classes=self.classes, seed=seed)


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


def characters(settings: Settings, options: CharacterOptions) -> Characters:
    """The same for the same settings, so that claims measured together train nothing twice."""
    return _made(settings, CharacterOptions(options.classes, options.epochs, options.encoder))


_made = cache(Characters)


def columns(progress: Progress) -> Row:
    """What tables say of a network."""
    return {
        **{f"epochs to {level} %": progress.shown(level) for level in LEVELS},
        "training, %": progress.training[-1],
        "test, %": progress.test[-1],
    }


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

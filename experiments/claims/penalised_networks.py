"""Networks with a penalty on their latent: variants, training, and what is measured of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import cos, pi

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from experiments.data import Data, Part, load
from experiments.outcome import Row
from experiments.settings import Settings, option
from experiments.training import Recipe, accuracy_on, outputs, train
from lsc_continual import make_encoder
from lsc_continual.strategies.point_collapse import ICLR_2025

_NEAR = 0.2
"""A coordinate lies in a mode if it is that near, in half the distance of the two modes."""
_SAMPLE = 10_000


@dataclass(frozen=True)
class Variant:
    """What comes between the encoder and the classifier.

    Args:
        width: of the penultimate layer; None: there is none, and the latent is the encoder's.
        linear: whether that layer is, else it ends in a SiLU.
        penalised: whether the latent is.
    """

    width: int | None
    linear: bool = True
    penalised: bool = False


def variants(wide: int) -> dict[str, Variant]:
    """Those of the paper, by name; `wide` is the width of the widest layer."""
    middle, narrow = 64, 8
    return {
        "LPC": Variant(middle, penalised=True),
        "LPC, wide": Variant(wide, penalised=True),
        "LPC, narrow": Variant(narrow, penalised=True),
        "LPC, not linear": Variant(middle, linear=False, penalised=True),
        "linear": Variant(middle),
        "not linear": Variant(middle, linear=False),
        "no penultimate": Variant(None),
    }


class Network(nn.Module):
    """encoder → penultimate layer → classifier; `features` is the latest latent."""

    def __init__(
        self, encoder: nn.Module, variant: Variant, classes: int, bias: bool = False
    ) -> None:
        super().__init__()
        width: int = encoder.num_features  # type: ignore[assignment]
        layers: list[nn.Module] = [encoder, nn.Flatten()]
        if variant.width is not None:
            layers.append(nn.Linear(width, variant.width))
            width = variant.width
            if not variant.linear:
                layers.append(nn.SiLU())
        self.latent = nn.Sequential(*layers)
        self.classifier = nn.Linear(width, classes, bias=bias)
        self.features: Tensor | None = None

    def forward(self, images: Tensor) -> Tensor:
        self.features = self.latent(images)
        return self.classifier(self.features)  # type: ignore[no-any-return]


_PUBLISHED_EPOCHS = 800
TITLES = {
    "split-mnist": "MNIST",
    "split-fashion-mnist": "Fashion-MNIST",
    "split-cifar100": "CIFAR-100",
}


@dataclass(frozen=True)
class Options:
    """How long and how fast. γ and the learning rate take the paper's course whatever the length.

    Args:
        pace: the classifier's learning rate by that of the rest. The latent vanishes as γ grows
            unless the classifier's weights grow like √γ: near 0, the curvature of the cross-entropy
            is of the order of their squares, that of the penalty is 2γ/d. Steps of Adam are as
            large as the learning rate, so few steps have to be larger.
        scenarios: what is learned; their titles are in `TITLES`.
        halved: whether images have half the rows and columns.
        steps: of the attack HopSkipJump.
    """

    epochs: int = option(12, _PUBLISHED_EPOCHS)
    batch_size: int = option(64, 128)
    lr: float = option(1e-3, 4e-4)
    pace: float = option(150.0, 1.0)
    encoder: str = option("mlp", "resnet18-cifar")
    units: int = option(128)  # of the perceptron
    wide: int = option(256, 2048)
    scenarios: tuple[str, ...] = option(tuple(TITLES)[:2], tuple(TITLES))
    halved: bool = option(True, False)
    inputs: int = option(100)  # that are attacked
    steps: int = option(30, 64)


@cache
def images_of(scenario: str, settings: Settings, options: Options) -> Data:
    """The data of a scenario."""
    data = load(scenario, settings)
    return data.halved() if options.halved else data


def _sample(data: Data) -> Part:
    """Training images that the spread is measured on."""
    return data.train.rows(torch.arange(min(_SAMPLE, len(data.train.labels))))


@dataclass
class Trained:
    """A network, and how it came there: a row an epoch."""

    network: Network
    course: list[Row]


@cache
def network_of(
    scenario: str, name: str, seed: int, settings: Settings, options: Options
) -> Trained:
    """The variant of this name, trained on the data of the scenario; claims share it."""
    data = images_of(scenario, settings, options)
    return trained(variants(options.wide)[name], data, options, seed)


def trained(variant: Variant, data: Data, options: Options, seed: int) -> Trained:
    """Train one variant on the training images."""
    recipe = Recipe(options.epochs, options.batch_size, options.lr, decay=5e-4, cosine=False)
    torch.manual_seed(seed)
    own = {"width": options.units} if options.encoder == "mlp" else {}
    encoder = make_encoder(options.encoder, data.shape, options=own)
    network = Network(encoder, variant, data.classes).to(data.train.labels.device)
    optimizer = torch.optim.AdamW(
        [
            {"params": network.latent.parameters(), "weight_decay": recipe.decay},
            # What weight decay takes off in a step is its product with the learning rate.
            {
                "params": network.classifier.parameters(),
                "lr": recipe.lr * options.pace,
                "weight_decay": recipe.decay / options.pace,
            },
        ],
        lr=recipe.lr,
        fused=True,
    )
    steps = recipe.epochs * -(-len(data.train.labels) // recipe.batch_size)
    done = 0

    def loss(output: Tensor, labels: Tensor) -> Tensor:
        nonlocal done
        progress = done / steps
        done += 1
        optimizer.param_groups[0]["lr"] = recipe.lr * decayed(progress)  # not the classifier's
        result = F.cross_entropy(output, labels)
        if variant.penalised:
            assert network.features is not None
            result = result + ICLR_2025(network.features, _PUBLISHED_EPOCHS * progress)
        return result

    rows: list[Row] = []
    sample = _sample(data)
    for epoch in train(network, loss, data.train, recipe, seed=seed, optimizer=optimizer):
        if epoch % max(1, recipe.epochs // 50) == 0 or epoch == recipe.epochs:
            spread = Spread.of(outputs(network.latent, sample.images), sample.labels)
            progress = {"training, %": 100 * epoch / recipe.epochs}
            found = {"variance within a class": spread.within, "within / between": spread.relative}
            rows.append(progress | found)
    return Trained(network, rows)


def decayed(progress: float) -> float:
    """Factor of the learning rate: constant for a fifth of the training, then along a cosine."""
    return (1 + cos(pi * max(0.0, (progress - 0.2) / 0.8))) / 2


@dataclass(frozen=True)
class Spread:
    """Of the latents of labelled images.

    Args:
        within: trace of the covariance within a class, mean over classes.
        relative: the same by the trace of the covariance of the class means.
    """

    within: float
    relative: float

    @classmethod
    def of(cls, z: Tensor, labels: Tensor) -> Spread:
        """FloatTensor[count, dim], LongTensor[count] -> their spread."""
        z = z.double()
        groups = [z[labels == label] for label in labels.unique()]
        within = torch.stack([group.var(0, correction=0).sum() for group in groups]).mean()
        between = torch.stack([group.mean(0) for group in groups]).var(0, correction=0).sum()
        return cls(within.item(), (within / between).item())


def binarity(z: Tensor) -> float:
    """Share, in percent, of the coordinates that lie in one of their dimension's two modes.

    The modes are the means of the dimension's positive and of its negative values; a vertex of a
    hypercube has all its coordinates in modes. Gaussian coordinates give 19 %.
    """
    positive = z > 0
    upper = (z * positive).sum(0) / positive.sum(0).clamp_min(1)
    lower = (z * ~positive).sum(0) / (~positive).sum(0).clamp_min(1)
    distance = (z - torch.where(positive, upper, lower)).abs()
    return 100 * (distance <= _NEAR * (upper - lower) / 2).double().mean().item()


def sign_patterns(z: Tensor, labels: Tensor) -> int:
    """How many vertices the class means are nearest to, among all 2^dim."""
    means = torch.stack([z[labels == label].mean(0) for label in labels.unique()])
    return len((means > 0).unique(dim=0))


def variation(z: Tensor) -> float:
    """Coefficient of variation of ‖z‖."""
    norms: Tensor = z.double().norm(dim=1)
    return (norms.std() / norms.mean()).item()


@torch.no_grad()
def figures_of(network: Network, data: Data) -> Row:
    """All that is measured of a trained network.

    The spread "by answer" takes what the network says for the class, as the authors' code does: a
    training image that it gets wrong then counts where it lies.
    """
    row: Row = {}
    seen = _sample(data)
    for part, name in ((data.train, "training"), (data.test, "test")):
        row[f"{name} accuracy"] = accuracy_on(part, network)
    z = outputs(network.latent, seen.images)
    for part, latent, name in (
        (seen, z, ""),
        (data.test, outputs(network.latent, data.test.images), "test: "),
    ):
        by_label = Spread.of(latent, part.labels)
        by_answer = Spread.of(latent, network.classifier(latent).argmax(1))
        if not name:
            row["within"] = by_label.within
        row[f"{name}within / between"] = by_label.relative
        row[f"{name}by answer"] = by_answer.relative
    row["variation of ‖z‖"] = variation(z)
    row["vertices"] = sign_patterns(z, seen.labels)
    if isinstance(network.latent[-1], nn.Linear):  # others have a mode at 0 anyway
        row["in two modes, %"] = binarity(z)
    return row

"""The same classes in vector systems from nearly full to nearly empty, and networks trained so.

The occupancy of a system is the share of its vectors that classes own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor, nn

from experiments.data import Data, load
from experiments.outcome import Row, grouped
from experiments.settings import Settings, option
from experiments.training import Recipe, outputs, train
from lsc_continual import TargetHead, VectorSystem, make_encoder, make_system, min_dim
from lsc_continual.inputs.geometry import RandomGeometry
from lsc_continual.network.layers import Standardization
from lsc_continual.network.losses import CosineLoss, StructuredSoftmaxLoss, TargetLoss

PAPERS_LOSS = "cosine"
_LOSSES: dict[str, tuple[TargetLoss, float]] = {
    PAPERS_LOSS: (CosineLoss(), 0.0),
    "structured softmax": (StructuredSoftmaxLoss(), 1.0),
}
"""Each with ω of the heads that it takes outputs of."""


@dataclass(frozen=True)
class Options:
    """How many characters are known, and the networks that place them.

    Args:
        halved: whether images have half the rows and columns.
        shared: whether all systems share an encoder, which is trained on the sum of their losses.
            Else each has a network of its own.
    """

    classes: int = option(100, 1000)
    halved: bool = option(True, False)
    shared: bool = option(True, False)
    width: int = option(16, 32)
    epochs: int = option(40, 60)
    batch_size: int = option(32, 128)


class Embedded(NamedTuple):
    """Embeddings, FloatTensor[count, dim], and LongTensor[count]."""

    z: Tensor
    labels: Tensor


class Placement(NamedTuple):
    """A trained network's images in one system."""

    loss: str
    head: TargetHead
    train: Embedded
    """Images that were trained on."""
    test: Embedded
    """Other images of the same classes."""
    unknown: Embedded
    """Images of classes that were not trained on."""

    @property
    def occupancy(self) -> float:
        return len(self.head.targets) / self.head.system.size

    def describe(self) -> Row:
        """The first columns of a table."""
        system = self.head.system
        return {
            "loss": self.loss,
            "system": f"{system.name}, n = {system.dim}",
            "occupancy": in_words(self.occupancy),
        }


def in_words(occupancy: float) -> str:
    """A share that may be tiny.

    >>> in_words(0.952), in_words(160 / 124_992)
    ('95 %', '1 in 781')
    """
    return f"{100 * occupancy:.0f} %" if occupancy >= 0.01 else f"1 in {1 / occupancy:,.0f}"


def systems(classes: int) -> list[VectorSystem]:
    """Systems that hold so many classes, the fullest first.

    V21 in the fewest dimensions, in the fewest with four times the room, and in 384; V11, V21, V22
    and V33 in 64. So one series has one kind of system, and another has one dimension.
    """
    chosen = [("v21", min_dim("v21", room * classes)) for room in (1, 4)]
    chosen += [("v21", 384), *((name, 64) for name in ("v11", "v21", "v22", "v33"))]
    return sorted((make_system(*each) for each in chosen), key=lambda system: system.size)


class _Projections(nn.Module):
    """encoder → standardisation → a linear projection into each system, side by side."""

    def __init__(self, encoder: nn.Module, dims: Sequence[int]) -> None:
        super().__init__()
        self.encoder = encoder
        width: int = encoder.num_features  # type: ignore[assignment]
        self.standardization = Standardization(width)
        self.projection = nn.Linear(width, sum(dims))

    def forward(self, images: Tensor) -> Tensor:
        """FloatTensor[batch, …] -> FloatTensor[batch, Σ dims]."""
        features: Tensor = self.standardization(self.encoder(images).flatten(1))
        return self.projection(features)  # type: ignore[no-any-return]


@cache
def placements(settings: Settings, options: Options) -> list[Placement]:
    """Omniglot characters in all `systems`, by both losses and every seed; trained once."""
    data = load("split-omniglot", settings, halved=options.halved)
    several = systems(options.classes)
    groups = [several] if options.shared else [[system] for system in several]
    found: list[Placement] = []
    for seed, loss, group in product(range(settings.seeds), _LOSSES, groups):
        names = ", ".join(f"{system.name} in {system.dim}" for system in group)
        settings.say(f"training by the {loss} loss: {names} dimensions, seed {seed}")
        found += trained(data, group, loss, seed, options)
    return found


def trained(
    data: Data, group: list[VectorSystem], loss: str, seed: int, options: Options
) -> list[Placement]:
    """One encoder with a projection into each system of a group.

    Args:
        data: of which the first classes are trained on, as many as the options say.
    """
    known = range(options.classes)
    per_head, unknown_prior = _LOSSES[loss]
    heads = [TargetHead(system, unknown_prior=unknown_prior, seed=seed) for system in group]
    for head in heads:
        head.add_classes(known)
    dims = [system.dim for system in group]
    torch.manual_seed(seed)
    encoder = make_encoder("resnet-small", data.shape, options={"width": options.width})
    model = _Projections(encoder, dims).to(data.train.labels.device)

    def criterion(output: Tensor, labels: Tensor) -> Tensor:
        parts = zip(heads, output.split(dims, dim=1), strict=True)
        return torch.stack([per_head(head(z), labels) for head, z in parts]).sum()

    images = data.train.of_classes(known)
    recipe = Recipe(options.epochs, options.batch_size, lr=2e-3)
    augment = RandomGeometry(rotate=10, translate=0.1, zoom=0.1)
    for _ in train(model, criterion, images, recipe, seed=seed, augment=augment):
        pass
    new = range(options.classes, 2 * options.classes)
    parts = [images, data.test.of_classes(known), data.test.of_classes(new)]
    embedded = [outputs(model, part.images).split(dims, dim=1) for part in parts]
    labels = [part.labels for part in parts]
    return [
        Placement(loss, head, *map(Embedded, each, labels))
        for head, each in zip(heads, zip(*embedded, strict=True), strict=True)
    ]


def series(rows: list[Row]) -> dict[str, list[Row]]:
    """Rows of the papers' loss in two orders of falling occupancy, by what changes in them."""
    own = grouped(rows, "loss")[PAPERS_LOSS]
    return {
        "V21 in more dimensions": [row for row in own if row["system"].startswith("v21,")],
        "64 dimensions, V11 to V33": [row for row in own if row["system"].endswith("n = 64")],
    }

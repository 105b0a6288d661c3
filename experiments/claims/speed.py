"""How fast networks learn: the same encoder under different heads, accuracy epoch by epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor, nn

from experiments.data import Data, Part
from experiments.training import Loss, Recipe, accuracy, outputs, train
from lsc_continual import TargetHead, make_system
from lsc_continual.network.losses import CosineLoss, StructuredSoftmaxLoss
from lsc_continual.network.target_classifier import Standardization, TargetClassifier


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
            curve.append(_accuracy(model, part))
    return Progress(epochs, *curves)


def _accuracy(model: nn.Module, part: Part) -> float:
    output = outputs(model, part.images)
    # Beyond its dense classes a head answers with labels.
    return accuracy(output if output.ndim == 1 else output.argmax(1), part.labels)

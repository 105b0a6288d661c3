"""Neural collapse with learned and with fixed classifiers, over the epochs.

The measures of Papyan, Han and Donoho (PNAS 2020) on the embedding as the classifier compares it
(with fixed targets, its direction), with a learned linear head and with fixed targets, over the
epochs. `metrics.neural_collapse=true` measures the same in any run. A perceptron on 2,000 images of
Fashion-MNIST (60,000 with `--full`), trained far beyond the point where it fits them; AdamW with
weight decay 5e-4. Ten targets of V21 in 64 dimensions are not equiangular, so complete collapse to
a simplex is not what is asked of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from experiments.claims.penalised_networks import Network, Variant
from experiments.data import Data, load
from experiments.outcome import Finding, Outcome, Row, Table, Verdict, grouped
from experiments.settings import Settings, option
from experiments.training import Recipe, accuracy, accuracy_on, outputs, predictions, train
from lsc_continual import (
    CosineLoss,
    StructuredSoftmaxLoss,
    TargetClassifier,
    TargetHead,
    make_encoder,
    make_system,
)
from lsc_continual.bench.plots import draw_lines
from lsc_continual.network.collapse import neural_collapse

TITLE = "Neural collapse, with learned and with fixed classifiers"
PAPER = "arXiv 2008.08186"

_CLASSES = 10
_MEASURES = {
    "NC1 variability": (
        "within_class_variability",
        "Features of a class gather at one point (NC1).",
    ),
    "NC2 equinorm": ("equinorm", "Class means come to be equally long (NC2)."),
    "NC2 equiangularity": ("equiangularity", "Class means come to be equally far apart (NC2)."),
    "NC3 self-duality": ("self_duality", "Classifier and class means come to agree (NC3)."),
}
"""By name: the field of `NeuralCollapse`, and what is said of it."""


class Compared(NamedTuple):
    """What can be asked of a network, whatever its classifier."""

    model: nn.Module
    loss: Callable[[Tensor, Tensor], Tensor]
    embed: Callable[[Tensor], Tensor]
    """Images to what the classifier takes inner products with."""
    vectors: Callable[[], Tensor]
    """The classifier's, FloatTensor[classes, dim]."""


def _linear(data: Data, settings: Settings) -> Compared:
    encoder = make_encoder("mlp", data.shape)
    model = Network(encoder, Variant(64), _CLASSES, bias=True).to(settings.device)
    return Compared(model, F.cross_entropy, model.latent, model.classifier.weight.detach)


def _fixed(
    data: Data, settings: Settings, system: str, loss: nn.Module, prior: float | None = None
) -> Compared:
    head = TargetHead(make_system(system, 64), unknown_prior=prior)
    head.add_classes(range(_CLASSES))
    model = TargetClassifier(make_encoder("mlp", data.shape), head).to(settings.device)

    def compared(images: Tensor) -> Tensor:
        return head.logits_per_coordinate(model.embed(images))

    return Compared(model, loss, compared, head.targets.vectors)


def _networks(data: Data, settings: Settings) -> dict[str, Callable[[], Compared]]:
    fixed = partial(_fixed, data, settings)
    return {
        "linear head, cross-entropy": partial(_linear, data, settings),
        "v21, structured softmax": partial(fixed, "v21", StructuredSoftmaxLoss()),
        "v21, cosine loss": partial(fixed, "v21", CosineLoss(), 0.0),
        "simplex, owned softmax": partial(fixed, "simplex", StructuredSoftmaxLoss(), 0.0),
    }


@dataclass(frozen=True)
class Options:
    """Images of each class, and passes over them."""

    images: int = option(200, 6_000)
    epochs: int = option(150, 350)


def measure(settings: Settings, options: Options) -> Outcome:
    """Train each network far beyond the point where it fits, and measure after each epoch."""
    data = load("split-fashion-mnist", settings, options.images)
    part = data.train
    recipe = Recipe(epochs=options.epochs, batch_size=100, decay=5e-4)
    points: list[Row] = []
    rows: list[Row] = []
    for name, make in _networks(data, settings).items():
        settings.say(name)
        torch.manual_seed(0)
        network = make()
        for epoch in train(network.model, network.loss, part, recipe, seed=0):
            predicted = predictions(network.model, part.images)
            z = outputs(network.embed, part.images)
            found = neural_collapse(z, part.labels, predicted, network.vectors())
            values = {short: getattr(found, field) for short, (field, _) in _MEASURES.items()}
            points.append({"network": name, "epoch": epoch} | values)
        rows.append(
            {"network": name}
            | {short: f"{value:.3g}" for short, value in values.items()}
            | {
                "NC4 nearest centre, %": 100 * found.nearest_centre_agreement,
                "training, %": accuracy(predicted, part.labels),
                "test, %": accuracy_on(data.test, network.model),
            }
        )
    figure = draw_lines(points, x="epoch", y=list(_MEASURES), line="network", log="y", marked=False)
    return Outcome(
        [_finding(points, short, said) for short, (_, said) in _MEASURES.items()],
        [Table("After the last epoch, on the training images", rows)],
        {"epochs": figure},
    )


def _finding(points: list[Row], short: str, said: str) -> Finding:
    """Whether a measure falls to less than half between the first and the last epoch."""
    ends = {
        name: (own[0][short], own[-1][short]) for name, own in grouped(points, "network").items()
    }
    return Finding(
        f"{said} Judged: less than half of what it was after the first epoch.",
        "; ".join(f"{name}: {first:.3g} → {last:.3g}" for name, (first, last) in ends.items()),
        Verdict.of(*(last < first / 2 for first, last in ends.values())),
    )

"""arXiv 2606.00344: the encoding of the classes decides where their features end up.

The unrestricted-feature model with mean-squared error, trained by gradient descent; cosines between
uncentred class means. The formula is our derivation for one-hot labels, as the paper's own
constants could not be read. For other encodings, where no formula is known to us, points are
compared with the convex problem that remains once W and H are optimised for a given bias (the
lines). The network is a perceptron with a linear layer of 64 features and the same loss, on 5,000
images of Fashion-MNIST (60,000 with `--full`); features are penalised, weights of the encoder are
not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor

from experiments.claims.penalised_networks import Network, Variant
from experiments.data import Data, load
from experiments.outcome import Finding, Outcome, Row, Table, Verdict, grouped
from experiments.settings import Settings, option
from experiments.training import Recipe, accuracy_on, outputs, train
from lsc_continual import make_encoder, make_system
from lsc_continual.bench.plots import panels

TITLE = "Simplex or orthogonal frame: the bias decides"
PAPER = "arXiv 2606.00344"

_CLASSES = 5
_SHRINKAGE = 0.2  # c = K √(λ_W λ_H) of the formula
_BIAS_PENALTIES = (0.05, 0.15, 0.25, 0.3, 0.4, 0.5, 0.7, 1.0, 2.0, 5.0, 20.0, 50.0)
_NETWORK_PENALTIES = (0.1, 0.5, 1.0, 5.0, 50.0)
_TOLERANCE = 0.01
"""In cosine, between formula and experiment."""


def formula(classes: int, shrinkage: float, bias_penalty: float) -> float:
    """Cosine between two class means of the unrestricted-feature model, one-hot labels.

    Of L = (1/2K)‖WH + b1ᵀ − I‖² + λ_W/2 ‖W‖² + λ_H/2 ‖H‖² + λ_b/2 ‖b‖². Up to λ_b = c/(1 − c) the
    means form a simplex, from there on they open towards an orthogonal frame.

    Args:
        shrinkage: c = K √(λ_W λ_H) < 1.
        bias_penalty: λ_b.

    >>> formula(5, 0.2, 0.25), round(formula(5, 0.2, 1.0), 4)
    (-0.25, -0.0526)
    """
    if bias_penalty <= shrinkage / (1 - shrinkage):
        return -1 / (classes - 1)
    ratio = 1 - shrinkage / (bias_penalty * (1 - shrinkage))
    return (ratio - 1) / (classes - 1 + ratio)


def predicted(labels: Tensor, shrinkage: float, bias_penalty: float) -> tuple[Tensor, Tensor]:
    """Class means and bias of the same model for labels of any encoding, by convex optimisation.

    For a given bias, the best W H is the matrix Y − b1ᵀ with c taken off its singular values, and
    what remains to minimise is convex in b. So this shares nothing with gradient descent on W, H.

    Args:
        labels: Y, DoubleTensor[encoding's dimension, classes].

    Returns:
        H up to a rotation, [classes, classes], and b.
    """
    bias = torch.zeros(len(labels), dtype=labels.dtype, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [bias], max_iter=500, tolerance_grad=1e-10, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        values = torch.linalg.svdvals(labels - bias[:, None])
        kept = values.clamp_max(shrinkage)
        # min over t of (σ − t)²/2 + c t, for each singular value
        cost = (kept.square() / 2 + shrinkage * (values - kept)).sum()
        total: Tensor = cost / labels.shape[1] + bias_penalty / 2 * bias.square().sum()
        total.backward()
        return total

    optimizer.step(loss)
    with torch.no_grad():
        _, values, right = torch.linalg.svd(labels - bias[:, None], full_matrices=False)
        return (values - shrinkage).clamp_min(0).sqrt()[:, None] * right, bias.detach()


def trained(
    labels: Tensor, shrinkage: float, bias_penalty: float, steps: int, seed: int
) -> tuple[Tensor, Tensor]:
    """Class means H and bias b of the model after gradient descent from a random start."""
    size, classes = labels.shape
    penalty = shrinkage / classes  # λ_W = λ_H
    generator = torch.Generator().manual_seed(seed)
    weights, means = (
        torch.randn(*shape, generator=generator, dtype=labels.dtype).mul_(0.3).requires_grad_()
        for shape in ((size, 2 * classes), (2 * classes, classes))
    )
    bias = torch.zeros(size, dtype=labels.dtype, requires_grad=True)
    lr = min(0.3, 1 / bias_penalty)  # beyond 2/λ_b the bias would diverge
    optimizer = torch.optim.SGD([weights, means, bias], lr=lr, momentum=0.9, nesterov=True)
    for _ in range(steps):
        optimizer.zero_grad()
        error = (weights @ means + bias[:, None] - labels).square().sum() / (2 * classes)
        decay = penalty * (weights.square().sum() + means.square().sum())
        (error + decay / 2 + bias_penalty / 2 * bias.square().sum()).backward()
        optimizer.step()
    return means.detach(), bias.detach()


def mean_cosine(means: Tensor) -> float:
    """Between different classes; a column for each class. Not centred."""
    cosines = (directions := F.normalize(means, dim=0)).T @ directions
    count = len(cosines)
    return float((cosines.sum() - cosines.trace()) / (count * (count - 1)))


def encodings(classes: int) -> dict[str, Tensor]:
    """Labels Y of so many classes, DoubleTensor[dim, classes]; a column each, of length 1."""
    named = {"one-hot": ("orthogonal", classes), "V21": ("v21", 5), "hypercube": ("hypercube", 4)}
    generator = torch.Generator().manual_seed(0)
    found = {}
    for name, (system_name, dim) in named.items():
        system = make_system(system_name, dim)
        order = torch.randperm(system.size, generator=generator)[:classes]
        addresses = order if system.size > classes else torch.arange(classes)
        found[name] = system.vectors(addresses).double().T
    return found


@dataclass(frozen=True)
class Options:
    """How long the model and the network are trained, and on how many images of each class."""

    steps: int = option(6_000, 60_000)
    images: int = option(500, 6_000)
    epochs: int = option(60, 300)


def measure(settings: Settings, options: Options) -> Outcome:
    """The unrestricted-feature model, other encodings in it, and a real network."""
    # Rather missed now than after all the rest.
    data = load("split-fashion-mnist", settings, options.images)
    rows: list[Row] = []
    for name, labels in encodings(_CLASSES).items():
        settings.say(f"unrestricted features, {name}")
        centre = labels.mean(1)
        for bias_penalty in _BIAS_PENALTIES:
            means, bias = trained(labels, _SHRINKAGE, bias_penalty, options.steps, seed=0)
            row: Row = {"encoding": name, "λ_b": bias_penalty, "cosine": mean_cosine(means)}
            expected, _ = predicted(labels, _SHRINKAGE, bias_penalty)
            row["convex problem"] = mean_cosine(expected)
            if name == "one-hot":
                row["formula"] = formula(_CLASSES, _SHRINKAGE, bias_penalty)
            shift = (bias @ centre / centre.square().sum()).item() if centre.norm() > 1e-6 else None
            rows.append(row | {"bias / mean of the labels": shift})
    network = _network(data, settings, options)
    return Outcome(
        [*_findings(rows), _network_finding(network)],
        [
            Table("Unrestricted features, five classes, c = 0.2", [_rounded(row) for row in rows]),
            Table(
                "A perceptron on Fashion-MNIST, one-hot, ten classes, c = 0.2",
                [_rounded(row) for row in network],
            ),
        ],
        {"cosines": _draw(rows, network)},
    )


def _network(data: Data, settings: Settings, options: Options) -> list[Row]:
    """A perceptron trained with the model's loss; its last layer's features are unrestricted."""
    classes = data.classes
    recipe = Recipe(options.epochs, batch_size=250, lr=2e-3)
    rows: list[Row] = []
    for bias_penalty in _NETWORK_PENALTIES:
        settings.say(f"perceptron on Fashion-MNIST, λ_b = {bias_penalty:g}")
        torch.manual_seed(0)
        encoder = make_encoder("mlp", data.shape)
        network = Network(encoder, Variant(64), classes, bias=True).to(settings.device)
        loss = partial(_loss, network, bias_penalty)
        for _ in train(network, loss, data.train, recipe, seed=0):
            pass
        h, y = outputs(network.latent, data.train.images), data.train.labels
        means = torch.stack([h[y == label].mean(0) for label in range(classes)], 1)
        within = torch.stack([h[y == c].var(0).sum() for c in range(classes)]).mean()
        rows.append(
            {
                "λ_b": bias_penalty,
                "cosine": mean_cosine(means),
                "formula": formula(classes, _SHRINKAGE, bias_penalty),
                "within-class variance / norm²": (within / means.square().sum(0).mean()).item(),
                "test accuracy, %": accuracy_on(data.test, network),
            }
        )
    return rows


def _loss(network: Network, bias_penalty: float, output: Tensor, labels: Tensor) -> Tensor:
    """The model's: squared error, and penalties on weights, features and bias."""
    classifier, features = network.classifier, network.features
    assert features is not None
    classes = len(classifier.weight)
    error = (output - F.one_hot(labels, classes)).square().sum(1).mean() / 2
    # The mean over images of one class counts as that class's column of H.
    size = classifier.weight.square().sum() + classes * features.square().sum(1).mean()
    return error + (_SHRINKAGE / classes * size + bias_penalty * classifier.bias.square().sum()) / 2


def _findings(rows: list[Row]) -> list[Finding]:
    by_encoding = grouped(rows, "encoding")
    one_hot = by_encoding.pop("one-hot")
    worst = max(abs(row["cosine"] - row["formula"]) for row in one_hot)
    worst_other = max(
        abs(row["cosine"] - row["convex problem"]) for own in by_encoding.values() for row in own
    )
    opens = all(a["cosine"] <= b["cosine"] + 1e-6 for a, b in pairwise(one_hot))
    ends = one_hot[0]["cosine"], one_hot[-1]["cosine"]
    v21 = [row["bias / mean of the labels"] for row in by_encoding["V21"]]
    return [
        Finding(
            "One-hot labels: uncentred class means go from a simplex to an orthogonal frame as the "
            "regularisation of the bias grows.",
            f"cosine {ends[0]:.3f} at λ_b = {one_hot[0]['λ_b']:g} (simplex: "
            f"{-1 / (_CLASSES - 1):.3f}) to {ends[1]:.3f} at {one_hot[-1]['λ_b']:g}; at most "
            f"{worst:.1e} from the formula over {len(one_hot)} values",
            Verdict.of(opens, worst < _TOLERANCE),
        ),
        Finding(
            "Any encoding: the bias aims at centring the labels.",
            f"V21, whose labels' mean is not 0: the bias is {v21[0]:.2f} of that mean at λ_b = "
            f"{_BIAS_PENALTIES[0]:g} and {v21[-1]:.2f} at {_BIAS_PENALTIES[-1]:g}; cosines of V21 "
            f"and hypercube at most {worst_other:.1e} from the solution of the convex problem",
            Verdict.of(v21[0] > v21[-1], worst_other < _TOLERANCE),
        ),
    ]


def _network_finding(rows: list[Row]) -> Finding:
    worst = max(abs(row["cosine"] - row["formula"]) for row in rows)
    opens = all(a["cosine"] < b["cosine"] + _TOLERANCE for a, b in pairwise(rows))
    return Finding(
        "A network with free features behaves like the model (our test of it).",
        f"perceptron on Fashion-MNIST: cosine {rows[0]['cosine']:.3f} to {rows[-1]['cosine']:.3f}, "
        f"at most {worst:.3f} from the formula",
        Verdict.of(opens, worst < 2 * _TOLERANCE),
    )


def _rounded(row: Row) -> Row:
    """Cosines with four digits; two would hide what is compared."""
    return {
        key: f"{value:.4f}" if isinstance(value, float) and "%" not in key else value
        for key, value in row.items()
    }


def _draw(rows: list[Row], network: list[Row]) -> Figure:
    figure, (left, right) = panels(2)
    for number, (name, own) in enumerate(grouped(rows, "encoding").items()):
        places = [row["λ_b"] for row in own]
        left.plot(places, [row["cosine"] for row in own], f"C{number}o", markersize=4, label=name)
        left.plot(places, [row["convex problem"] for row in own], f"C{number}-", linewidth=1)
    left.set(title="unrestricted features", ylabel="mean cosine of class means")
    left.legend(fontsize="small")
    places = torch.logspace(-1.2, 2, 200).tolist()
    right.plot(places, [formula(10, _SHRINKAGE, place) for place in places], "C0-", label="formula")
    right.plot([r["λ_b"] for r in network], [r["cosine"] for r in network], "C1o", label="network")
    right.set(title="perceptron on Fashion-MNIST, one-hot")
    right.legend(fontsize="small")
    for axes in (left, right):
        axes.set(xscale="log", xlabel="regularisation of the bias, λ_b")
    return figure

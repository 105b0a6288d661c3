"""arXiv 2510.04090: one network, the same to the last byte, for any number of classes.

A network ends in an embedding of 384 coordinates, and each class owns a vector of a predefined
system there. It is trained with 10, 1,000, 10,000 and 1,281,167 classes. Every image of the first
set is its own class, as in the paper's largest experiment: an image of Fashion-MNIST in one of 22
views, turned, zoomed and mirrored, made when it is asked for (`experiments/endless.py`). It is
always trained on as it is; the test shifts it by up to a pixel. The second set has pairs of
characters of Omniglot, each in one of four orientations on a channel of its own; people whose
writing was not trained on wrote the test images.

Accuracies are those of the nearest owned vector among all classes, over a sample of 500 of the
classes that were shown (10,000 with `--full`). The quick setting shows 1,000 of the 1,281,167, so
its figures tell what so many possible answers do, not whether so many classes can be learnt;
`--full` shows all.

The paper leaves open, and we chose: networks (a small residual one and torchvision's vision
transformer, both with standardised features), AdamW with a learning rate of 3·10⁻³ that falls along
a cosine and a weight decay of 0.01, epochs, the weight of the L2 term (10⁻³ of the mean squared
norm), the perturbation (noise of a quarter of the vectors' length), and what interpolated A_n is
(A_n with the midpoints of neighbouring roots). A_n has 147,072 vectors in 384 dimensions, so 1.28
million classes take the interpolated one, or V21 with its 28 million. "Shuffled" is a random choice
of vectors; those of V21 are given out by a formula, without a table. The Euclidean loss is
squared, and the projection's first weights are scaled so that embeddings begin as long as the
vectors; torch's make them eleven times as long, which a training of its own is about.
The paper's data (Cinic-10, ImageNet) are replaced, so its percentages are a guide.
"""

from __future__ import annotations

from collections.abc import Iterable

from matplotlib.figure import Figure

from experiments.claims.numbers_of_classes import (
    LARGE,
    NETWORKS,
    PERTURBED,
    ROOTS,
    Options,
    every_image,
    pairs,
)
from experiments.claims.target_networks import Trained, Training
from experiments.outcome import Finding, Outcome, Row, Table, Verdict
from experiments.settings import Settings
from lsc_continual.bench.memory import peak_resident_bytes
from lsc_continual.bench.plots import panels

TITLE = "One network for ten or 1.28 million classes"
PAPER = "arXiv 2510.04090"

_PAPER = 87, 99
"""Training accuracies, in percent: from the least to the best one that the paper reports."""
_CLOSE = 5
"""Points between training and test accuracy that count as hardly a difference."""
_MEMORY = 4 * 2**30


def measure(settings: Settings, options: Options) -> Outcome:
    """Train on sets of 10 to 1.28 million classes, with several losses, targets and networks."""
    own = _measured(every_image(settings, options), settings, options)
    written = _measured(pairs(settings, options), settings, options)
    _, few, _, most = options.numbers
    large = [result for result in own if result.classes == most]
    return Outcome(
        [
            _size_finding(own),
            *_accuracy_findings(own, large),
            _memory_finding(large),
            *_variant_findings(own, few),
            _test_finding(own, written),
        ],
        [
            Table("The same network for any number of classes", _sizes(own)),
            Table("Every image its own class, from Fashion-MNIST", _accuracies(own, few)),
            Table(
                "Pairs of characters of Omniglot, tested on other people's",
                _accuracies(written, few),
            ),
        ],
        {"accuracy": _draw(own, written)},
    )


def _measured(trainings: Iterable[Training], settings: Settings, options: Options) -> list[Trained]:
    results = []
    for one in trainings:
        results.append(result := one.measure(settings, options))
        settings.say(
            f"{one.network}, {one.loss}, {one.targets}, {one.classes:,} classes, {one.of}: "
            f"training {result.accuracy:.1f} %, test {result.test:.1f} %"
        )
    return results


def _chosen(results: list[Trained], loss: str = "cosine", network: str = "CNN") -> list[Trained]:
    """A line of the figure: targets of A_n as far as they go, or the only ones there are."""
    own = [r for r in results if r.loss == loss and r.network == network]
    plain = [r for r in own if r.targets == ROOTS]
    reached = {r.classes for r in plain}
    return plain + [r for r in own if r.targets == LARGE and r.classes not in reached]


def _complete(results: list[Trained]) -> list[Trained]:
    """Those where every class was trained on."""
    return [r for r in results if r.shown == r.classes]


def _listed(results: list[Trained]) -> str:
    return ", ".join(f"{r.accuracy:.1f} % ({r.classes:,})" for r in results)


def _reach(results: list[Trained]) -> list[bool]:
    return [r.accuracy >= _PAPER[0] for r in results]


def _size_finding(results: list[Trained]) -> Finding:
    measured, same = [], []
    for network in NETWORKS:
        own = _chosen(results, network=network)
        sizes = sorted({(int(r.parameters), int(r.state_bytes)) for r in own})
        numbers = [r.classes for r in own]
        described = " or ".join(f"{count:,} parameters, {size:,} bytes" for count, size in sizes)
        measured.append(f"{network}, {min(numbers):,} to {max(numbers):,} classes: {described}")
        same.append(len(sizes) == 1)
    return Finding(
        "The same network serves any number of classes; there is no classification layer.",
        "; ".join(measured),
        Verdict.of(*same),
    )


def _accuracy_findings(results: list[Trained], large: list[Trained]) -> list[Finding]:
    networks = {network: _chosen(results, network=network) for network in NETWORKS}
    complete = {network: _complete(own) for network, own in networks.items()}
    large = [r for own in networks.values() for r in own if r in large]
    partial = [r for r in large if r not in _complete(large)]
    return [
        Finding(
            f"Training accuracies of {_PAPER[0]} to {_PAPER[1]} %, cosine loss (judged: at least "
            f"{_PAPER[0]} %).",
            "; ".join(f"{network}: {_listed(own)}" for network, own in complete.items()),
            Verdict.of(*(ok for own in complete.values() for ok in _reach(own))),
        ),
        Finding(
            f"The same with 1.28 million classes, every image its own (ViT; at least {_PAPER[0]} "
            "%).",
            "; ".join(
                f"{r.network}, {_targets(r)}: {r.accuracy:.1f} % on "
                f"{r.shown:,} of the classes that were shown, all being possible answers"
                for r in large
            ),
            Verdict.OPEN if partial else Verdict.of(*_reach(large)),
        ),
    ]


def _memory_finding(large: list[Trained]) -> Finding:
    one, peak = large[0], peak_resident_bytes()
    return Finding(
        "So many classes need no large machine (judged: 1.28 million train and predict within 4 "
        "GiB of resident memory).",
        f"{len(large)} networks with {one.classes:,} classes, {one.shown:,} of them shown; "
        f"peak of the whole process {peak / 2**30:.2f} GiB",
        Verdict.of(peak <= _MEMORY),
    )


def _variant_findings(results: list[Trained], few: int) -> list[Finding]:
    euclidean = _complete(_chosen(results, "Euclidean"))
    long_start = _chosen(results, "Euclidean, long start")
    variants = [
        r
        for r in results
        if r.classes == few
        and (r.loss == "cosine + L2" or r.targets in (PERTURBED, LARGE))
        and r.loss != "structured softmax"
    ]
    papers = {r.classes: r for r in _complete(_chosen(results))}
    ours = _complete(_chosen(results, "structured softmax"))
    compared = [(own, papers[own.classes]) for own in ours]
    return [
        Finding(
            f"Embeddings are matched by either cosine or Euclidean distance (judged: Euclidean "
            f"trains to at least {_PAPER[0]} % too).",
            f"Euclidean: {_listed(euclidean)}; where embeddings begin eleven times as long as the "
            f"vectors: {_listed(long_start)}",
            Verdict.of(*_reach(euclidean)),
        ),
        Finding(
            f"An L2 term on the embeddings, perturbed vectors, another system (judged: each trains "
            f"{few:,} classes to at least {_PAPER[0]} %).",
            "; ".join(f"{r.loss}, {r.targets}: {r.accuracy:.1f} %" for r in variants),
            Verdict.of(*_reach(variants)),
        ),
        Finding(
            "Ours, for comparison: the structured softmax trains at least as well as the cosine "
            "loss.",
            "; ".join(
                f"{own.classes:,} classes: {own.accuracy:.1f} % against {cosine.accuracy:.1f} %, "
                f"tested {own.test:.1f} % against {cosine.test:.1f} %"
                for own, cosine in compared
            ),
            Verdict.of(*(own.accuracy >= cosine.accuracy for own, cosine in compared)),
        ),
    ]


def _test_finding(own: list[Trained], written: list[Trained]) -> Finding:
    sets = {"every image its own class": _chosen(own), "pairs of characters": _chosen(written)}
    return Finding(
        "No test accuracy is reported. Our question: are other images of the classes recognised "
        f"like those of training (judged: within {_CLOSE} points)?",
        "; ".join(
            f"{name}: "
            + ", ".join(f"{r.test:.1f} after {r.accuracy:.1f} % ({r.classes:,})" for r in results)
            for name, results in sets.items()
        ),
        Verdict.of(*(r.test >= r.accuracy - _CLOSE for rs in sets.values() for r in rs)),
    )


def _targets(result: Trained) -> str:
    name = result.targets
    return f"interpolated {name}" if result.system.name == "a-interpolated" else name


def _sizes(results: list[Trained]) -> list[Row]:
    return [
        {
            "network": r.network,
            "classes": r.classes,
            "targets": _targets(r),
            "parameters": int(r.parameters),
            "bytes of its state": int(r.state_bytes),
            "parameters of a linear layer instead": int(r.features + 1) * r.classes,
            "images/s in training": r.rate,
        }
        for network in NETWORKS
        for r in _chosen(results, network=network)
    ]


def _accuracies(results: list[Trained], images: int) -> list[Row]:
    return [
        {
            "network": r.network,
            "targets": _targets(r),
            "loss": r.loss,
            "classes": r.classes,
            "shown in training": r.shown,
            "epochs": r.epochs * -(-images // r.shown),
            "training, %": r.accuracy,
            "test, %": r.test,
        }
        for r in results
    ]


def _draw(own: list[Trained], written: list[Trained]) -> Figure:
    figure, (left, right) = panels(2, height=4, sharey=True)
    lines = {
        "CNN, cosine": _chosen(own),
        "CNN, Euclidean": _chosen(own, "Euclidean"),
        "ViT, cosine": _chosen(own, network="ViT"),
        "CNN, structured softmax": _chosen(own, "structured softmax"),
    }
    for axes, shown in ((left, lines), (right, {"CNN, cosine": _chosen(written)})):
        for number, (name, results) in enumerate(shown.items()):
            complete = _complete(results)
            for some, line, dotted in (
                (complete, "o-", "o:"),
                ([r for r in results if r not in complete], "*", "*"),
            ):
                places = [r.classes for r in some]
                colour, label = f"C{number}", name if some is complete else None
                axes.plot(places, [r.accuracy for r in some], colour + line, label=label)
                axes.plot(places, [r.test for r in some], colour + dotted, fillstyle="none")
        axes.set(xscale="log", xlabel="classes (star: only some of them shown)", ylim=(0, 103))
    left.axhspan(*_PAPER, color="0.9", zorder=0, label="the paper, training")
    left.set(title="every image its own class", ylabel="accuracy, % (dotted: test)")
    right.set(title="pairs of characters")
    labels = left.get_legend_handles_labels()
    figure.legend(*labels, loc="outside lower center", ncols=5, fontsize="small")
    return figure

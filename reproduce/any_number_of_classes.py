"""arXiv 2510.04090: one network, the same to the last byte, for any number of classes."""

from __future__ import annotations

import resource
from collections.abc import Iterable

from matplotlib.figure import Figure

from reproduce.claims import Claim
from reproduce.embedding_trial import Result, Trial
from reproduce.number_trials import (
    FEW,
    LARGE,
    MILLION,
    NETWORKS,
    PERTURBED,
    ROOTS,
    every_image,
    pairs,
)
from reproduce.outcome import Finding, Outcome, Row, Settings, Table, Verdict

_PAPER = 87, 99
"""Training accuracies, in percent: from the least to the best one that the paper reports."""
_CLOSE = 5
"""Points between training and test accuracy that count as hardly a difference."""
_MEMORY = 4 * 2**30


def measure(settings: Settings) -> Outcome:
    """Train on sets of 10 to 1.28 million classes, with several losses, targets and networks."""
    own = _run(every_image(settings), settings)
    written = _run(pairs(settings), settings)
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Outcome(
        [
            _size_finding(own),
            *_accuracy_findings(own),
            _memory_finding(own, peak),
            *_variant_findings(own),
            _test_finding(own, written),
        ],
        [
            Table("The same network for any number of classes", _sizes(own)),
            Table("Every image its own class, from Fashion-MNIST", _accuracies(own)),
            Table(
                "Pairs of characters of Omniglot, tested on other people's", _accuracies(written)
            ),
        ],
        {"accuracy": _draw(own, written)},
    )


def _run(trials: Iterable[Trial], settings: Settings) -> list[Result]:
    results = []
    for trial in trials:
        results.append(result := trial.run(settings))
        settings.say(
            f"{trial.network}, {trial.loss}, {trial.targets}, {trial.classes:,} classes of "
            f"{type(trial.data).__name__}: training {result.training:.1f} %, test "
            f"{result.test:.1f} %"
        )
    return results


def _chosen(results: list[Result], loss: str = "cosine", network: str = "CNN") -> list[Result]:
    """A line of the figure: targets of A_n as far as they go, or the only ones there are."""
    own = [r for r in results if r.trial.loss == loss and r.trial.network == network]
    plain = [r for r in own if r.trial.targets == ROOTS]
    reached = {r.trial.classes for r in plain}
    return plain + [r for r in own if r.trial.targets == LARGE and r.trial.classes not in reached]


def _complete(results: list[Result]) -> list[Result]:
    """Those where every class was trained on."""
    return [r for r in results if r.trial.shown == r.trial.classes]


def _listed(results: list[Result]) -> str:
    return ", ".join(f"{r.training:.1f} % ({r.trial.classes:,})" for r in results)


def _reach(results: list[Result]) -> list[bool]:
    return [r.training >= _PAPER[0] for r in results]


def _size_finding(results: list[Result]) -> Finding:
    measured, same = [], []
    for network in NETWORKS:
        own = _chosen(results, network=network)
        sizes = sorted({(int(r.parameters), int(r.state_bytes)) for r in own})
        numbers = [r.trial.classes for r in own]
        described = " or ".join(f"{count:,} parameters, {size:,} bytes" for count, size in sizes)
        measured.append(f"{network}, {min(numbers):,} to {max(numbers):,} classes: {described}")
        same.append(len(sizes) == 1)
    return Finding(
        "The same network serves any number of classes; there is no classification layer.",
        "; ".join(measured),
        Verdict.of(*same),
    )


def _accuracy_findings(results: list[Result]) -> list[Finding]:
    networks = {network: _chosen(results, network=network) for network in NETWORKS}
    complete = {network: _complete(own) for network, own in networks.items()}
    large = [r for own in networks.values() for r in own if r.trial.classes == MILLION]
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
                f"{r.trial.network}, {_targets(r)}: {r.training:.1f} % on {r.trial.shown:,} of the "
                "classes that were shown, all being possible answers"
                for r in large
            ),
            Verdict.OPEN if partial else Verdict.of(*_reach(large)),
        ),
    ]


def _memory_finding(results: list[Result], peak: int) -> Finding:
    large = [r for r in results if r.trial.classes == MILLION]
    return Finding(
        "So many classes need no large machine (judged: 1.28 million train and predict within 4 "
        "GiB of resident memory).",
        f"{len(large)} networks with {MILLION:,} classes, {large[0].trial.shown:,} of them shown; "
        f"peak of the whole process {peak / 2**30:.2f} GiB",
        Verdict.of(peak <= _MEMORY),
    )


def _variant_findings(results: list[Result]) -> list[Finding]:
    euclidean = _complete(_chosen(results, "Euclidean"))
    long_start = _chosen(results, "Euclidean, long start")
    variants = [
        r
        for r in results
        if r.trial.classes == FEW
        and (r.trial.loss == "cosine + L2" or r.trial.targets in (PERTURBED, LARGE))
        and r.trial.loss != "structured softmax"
    ]
    ours = _complete(_chosen(results, "structured softmax"))
    papers = {r.trial.classes: r for r in _complete(_chosen(results))}
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
            f"{FEW:,} classes to at least {_PAPER[0]} %).",
            "; ".join(f"{r.trial.loss}, {r.trial.targets}: {r.training:.1f} %" for r in variants),
            Verdict.of(*_reach(variants)),
        ),
        Finding(
            "Ours, for comparison: the structured softmax trains at least as well as the cosine "
            "loss.",
            "; ".join(
                f"{r.trial.classes:,} classes: {r.training:.1f} % against "
                f"{papers[r.trial.classes].training:.1f} %, tested {r.test:.1f} % against "
                f"{papers[r.trial.classes].test:.1f} %"
                for r in ours
            ),
            Verdict.of(*(r.training >= papers[r.trial.classes].training for r in ours)),
        ),
    ]


def _test_finding(own: list[Result], written: list[Result]) -> Finding:
    sets = {"every image its own class": _chosen(own), "pairs of characters": _chosen(written)}
    return Finding(
        "No test accuracy is reported. Our question: are other images of the classes recognised "
        f"like those of training (judged: within {_CLOSE} points)?",
        "; ".join(
            f"{name}: "
            + ", ".join(
                f"{r.test:.1f} after {r.training:.1f} % ({r.trial.classes:,})" for r in results
            )
            for name, results in sets.items()
        ),
        Verdict.of(*(r.test >= r.training - _CLOSE for rs in sets.values() for r in rs)),
    )


def _targets(result: Result) -> str:
    name = result.trial.targets
    return f"interpolated {name}" if result.trial.system.name == "a-interpolated" else name


def _sizes(results: list[Result]) -> list[Row]:
    return [
        {
            "network": r.trial.network,
            "classes": r.trial.classes,
            "targets": _targets(r),
            "parameters": int(r.parameters),
            "bytes of its state": int(r.state_bytes),
            "parameters of a linear layer instead": int(r.features + 1) * r.trial.classes,
            "images/s in training": r.rate,
        }
        for network in NETWORKS
        for r in _chosen(results, network=network)
    ]


def _accuracies(results: list[Result]) -> list[Row]:
    return [
        {
            "network": r.trial.network,
            "targets": _targets(r),
            "loss": r.trial.loss,
            "classes": r.trial.classes,
            "shown in training": r.trial.shown,
            "epochs": r.trial.epochs * -(-FEW // r.trial.shown),
            "training, %": r.training,
            "test, %": r.test,
        }
        for r in results
    ]


def _draw(own: list[Result], written: list[Result]) -> Figure:
    figure = Figure(figsize=(8.4, 4), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
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
                places = [r.trial.classes for r in some]
                colour, label = f"C{number}", name if some is complete else None
                axes.plot(places, [r.training for r in some], colour + line, label=label)
                axes.plot(places, [r.test for r in some], colour + dotted, fillstyle="none")
        axes.set(xscale="log", xlabel="classes (star: only some of them shown)", ylim=(0, 103))
        axes.grid(alpha=0.3)
    left.axhspan(*_PAPER, color="0.9", zorder=0, label="the paper, training")
    left.set(title="every image its own class", ylabel="accuracy, % (dotted: test)")
    right.set(title="pairs of characters")
    labels = left.get_legend_handles_labels()
    figure.legend(*labels, loc="outside lower center", ncols=5, fontsize="small")
    return figure


CLAIMS = [
    Claim(
        "any-number-of-classes",
        "arXiv 2510.04090",
        "One network for ten or 1.28 million classes",
        """
A network ends in an embedding of 384 coordinates, and each class owns a vector of a predefined
system there. It is trained with 10, 1,000, 10,000 and 1,281,167 classes. Every image of the first
set is its own class, as in the paper's largest experiment: an image of Fashion-MNIST in one of 22
orientations and polarities, made when it is asked for. It is always trained on as it is; tests
shift it by up to a pixel and add noise (standard deviation 0.05). The second set has pairs of
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
vectors; torch's make them eleven times as long, which a trial of its own is about.
The paper's data (Cinic-10, ImageNet) are replaced, so its percentages are a guide.
""",
        measure,
    )
]

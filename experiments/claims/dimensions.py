"""arXiv 2512.07509: the smallest dimension that holds all classes is said to train fastest.

Between the encoder's standardised features and the targets stands one linear layer, whatever the
dimension; the learned head of the last rows stands behind the same layer. "Epochs to" is the first
time that training accuracy reached a level, with straight lines between epochs.
"""

from __future__ import annotations

from functools import partial
from math import sqrt

from matplotlib.figure import Figure

from experiments.claims import speed
from experiments.outcome import Finding, Outcome, Row, Table, Verdict
from experiments.settings import Settings
from lsc_continual import make_system, min_dim
from lsc_continual.bench.plots import panels

TITLE = "The smallest dimension: speed of training and what it costs"
PAPER = "arXiv 2512.07509"
PREFACE = speed.ABOUT
Options = speed.CharacterOptions

_WIDE = 384
_SGD_RATE = 0.5


def measure(settings: Settings, options: Options) -> Outcome:
    """Cosine loss to V21 targets in few and many dimensions; two checks at the ends."""
    by = partial(speed.learned, settings, options)
    least = min_dim("v21", options.classes)
    dims = (least, least + 2, 64, 128, _WIDE)
    cosine = {dim: by(speed.Learner("cosine", "v21", dim)) for dim in dims}
    sgd = {dim: by(speed.Learner("cosine", "v21", dim, _SGD_RATE, True)) for dim in (least, _WIDE)}
    usual = {dim: by(speed.Learner("cross-entropy", dim=dim)) for dim in (least, _WIDE)}
    size = make_system("v21", least - 2).size
    too_few = {f"epochs to {speed.LEVELS[0]} %": f"cannot be: {size} vectors"}
    rows: list[Row] = [{"loss": "cosine", "dim": least - 2} | too_few]
    for name, group in (("cosine", cosine), ("cosine, SGD", sgd), ("cross-entropy", usual)):
        rows += [{"loss": name, "dim": dim} | speed.columns(group[dim]) for dim in group]
    images = len(speed.characters(settings, options.classes).test.labels)
    findings = [*_of_speed(cosine, sgd, usual, least), _of_cost(cosine, least, images)]
    title = f"{options.classes} characters, V21 targets (n_min = {least}) or a learned head"
    return Outcome(findings, [Table(title, rows)], {"dimensions": _draw(cosine, options.classes)})


def _compared(group: dict[int, speed.Progress], least: int) -> str:
    words = speed.compared(group[least], group[_WIDE])
    return f"epochs in {least} against {_WIDE} dimensions, to {words}"


def _of_speed(
    cosine: dict[int, speed.Progress],
    sgd: dict[int, speed.Progress],
    usual: dict[int, speed.Progress],
    least: int,
) -> list[Finding]:
    by_end = max(cosine, key=lambda dim: sum(cosine[dim].training))
    sooner = [speed.faster(group[least], group[_WIDE]) for group in (cosine, sgd, usual)]
    return [
        Finding(
            "The smallest dimension that holds all classes trains clearly faster than 384.",
            f"{_compared(cosine, least)}; fastest over the whole run: {by_end} dimensions",
            Verdict.of(*sooner[0]),
        ),
        Finding(
            "The same with another optimiser (our check).",
            f"SGD with momentum 0.9 at {_SGD_RATE:g}: {_compared(sgd, least)}",
            Verdict.of(*sooner[1]),
        ),
        Finding(
            "An ordinary classifier with cross-entropy gains no speed by few dimensions.",
            _compared(usual, least),
            Verdict.of(*(not each for each in sooner[2])),
        ),
    ]


def _of_cost(cosine: dict[int, speed.Progress], least: int, images: int) -> Finding:
    best = max(cosine, key=lambda dim: cosine[dim].test[-1])
    few, many = cosine[least].test[-1], cosine[best].test[-1]
    error = sqrt((few * (100 - few) + many * (100 - many)) / images)  # of the difference
    return Finding(
        "It costs no test accuracy (our question: the paper reports training).",
        f"test accuracy {few:.1f} % in {least} dimensions, {many:.1f} % in {best} "
        f"(twice the standard error: {2 * error:.1f} points)",
        Verdict.of(many - few <= 2 * error),
    )


def _draw(cosine: dict[int, speed.Progress], classes: int) -> Figure:
    figure, (left, right) = panels(2)
    for number, (dim, progress) in enumerate(cosine.items()):
        left.plot(progress.epochs, progress.training, f"C{number}-", label=f"{dim} dimensions")
        left.plot(progress.epochs, progress.test, f"C{number}:")
    left.set(xlabel="epochs", ylabel="accuracy, %: training, test (dotted)")
    left.set(title=f"{classes} characters, V21")
    left.legend(fontsize="x-small", loc="center right", bbox_to_anchor=(1, 0.68))
    dims = list(cosine)
    right.plot(dims, [one.test[-1] for one in cosine.values()], "C0o-", label="test, %")
    right.set(xscale="log", xlabel="dimensions", ylabel="final test accuracy, %")
    epochs = right.twinx()
    for level, style in zip(speed.LEVELS, ("C1v:", "C1o--", "C1^-"), strict=True):
        reached = [cosine[dim].epochs_to(level) for dim in dims]
        places = [(dim, value) for dim, value in zip(dims, reached) if value is not None]
        if places:
            epochs.plot(*zip(*places, strict=True), style, label=f"epochs to {level} %")
    epochs.set(ylabel="epochs to a training accuracy", ylim=(0, None))
    lines = [*right.get_lines(), *epochs.get_lines()]
    right.legend(handles=lines, fontsize="x-small", loc="upper center")
    return figure

"""arXiv 2512.07509: the largest cosine of a system is to lie between 0.5 and far below 0.9.

Systems V^{mk} with growing m + k have the largest cosine 1 − 1/(m + k) between two vectors (the
paper prints it as the smallest, "mcs"). All are in 64 dimensions, so that nothing but the targets
differs; as few of the vectors are owned, "among the targets" is the largest cosine that occurs.
"""

from __future__ import annotations

from functools import partial

from matplotlib.figure import Figure

from experiments.claims import speed
from experiments.outcome import Finding, Outcome, Row, Table, Verdict
from experiments.settings import Settings
from lsc_continual import make_system
from lsc_continual.bench.plots import panels
from lsc_continual.targets import Targets

TITLE = "Whether the largest cosine decides the speed"
PAPER = "arXiv 2512.07509"
PREFACE = speed.ABOUT
Options = speed.CharacterOptions

_SYSTEMS = ("v11", "v21", "v22", "v32", "v33", "v43", "v44", "v55")
_DIM = 64


def measure(settings: Settings, options: Options) -> Outcome:
    """Cosine loss to targets of V^{mk} with growing m and k, in the same dimension."""
    by = partial(speed.learned, settings, options)
    progress = {name: by(speed.Learner("cosine", name, _DIM)) for name in _SYSTEMS}
    rows: list[Row] = [
        {
            "system": name,
            "largest cosine": make_system(name, _DIM).max_cosine,
            "among the targets": _among_targets(name, options.classes),
        }
        | speed.columns(progress[name])
        for name in _SYSTEMS
    ]
    title = f"{options.classes} characters, {_DIM} dimensions, cosine loss"
    return Outcome(_findings(progress), [Table(title, rows)], {"largest-cosine": _draw(progress)})


def _among_targets(name: str, classes: int) -> float:
    """The largest cosine between two targets, as few of a system's vectors are owned."""
    targets = Targets(make_system(name, _DIM), "random")
    targets.add(range(classes))
    vectors = targets.vectors()
    return (vectors @ vectors.T).fill_diagonal_(-1).max().item()


def _findings(progress: dict[str, speed.Progress]) -> list[Finding]:
    differences = {
        level: b / a - 1
        for level in speed.LEVELS
        if (a := progress["v21"].epochs_to(level)) and (b := progress["v22"].epochs_to(level))
    }
    text = ", ".join(f"{100 * part:+.0f} % to {level} %" for level, part in differences.items())
    marginal = [abs(part) < speed.MARGIN for part in differences.values()]
    highest = _SYSTEMS[-1]
    return [
        _faster("V21 (largest cosine 0.67) trains faster than A_n (0.5).", "v21", "v11", progress),
        _faster("V22 (0.75) trains faster than A_n (0.5).", "v22", "v11", progress),
        Finding(
            "V22 differs from V21 only marginally.",
            f"epochs of V22 beside those of V21: {text or 'levels not reached'}",
            Verdict.of(*marginal),
        ),
        _faster("Near 0.9 training is slower than at 0.67.", "v21", highest, progress),
    ]


def _faster(statement: str, one: str, other: str, progress: dict[str, speed.Progress]) -> Finding:
    return Finding(
        statement,
        f"epochs of {one.upper()} against {other.upper()} in {_DIM} dimensions, to "
        + speed.compared(progress[one], progress[other], digits=2),
        Verdict.of(*speed.faster(progress[one], progress[other])),
    )


def _draw(progress: dict[str, speed.Progress]) -> Figure:
    figure, (left, right) = panels(2)
    cosines = {name: make_system(name, _DIM).max_cosine for name in _SYSTEMS}
    for level in speed.LEVELS:
        reached = {name: one.epochs_to(level) for name, one in progress.items()}
        points = [(cosines[name], value) for name, value in reached.items() if value is not None]
        if points:
            left.plot(*zip(*points, strict=True), "o-", label=f"{level} %")
    left.set(ylabel="epochs to a training accuracy")
    if left.lines:
        left.legend(fontsize="x-small")
    right.plot(list(cosines.values()), [one.test[-1] for one in progress.values()], "C0o-")
    right.set(ylabel="final test accuracy, %")
    for axes in (left, right):
        axes.set(xlabel="largest cosine of the system", ylim=(0, 1.05 * axes.get_ylim()[1]))
    return figure

"""arXiv 2512.07509: a cosine loss to fixed targets takes more epochs than cross-entropy.

Each loss is trained at learning rates 1e-3, 3e-3 and 1e-2 and judged by the one under which its
training accuracy rose soonest (the highest mean over all epochs). The linear head stands right on
the features, as usual; the others have a linear layer to 384 dimensions, or to the fewest that
hold all classes, and no parameters behind it. A loss counts as closing the gap at a level if it
takes away at least half of the epochs by which the cosine loss lags behind cross-entropy there.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from experiments.claims import speed
from experiments.outcome import Finding, Outcome, Row, Table, Verdict
from experiments.settings import Settings
from lsc_continual import min_dim
from lsc_continual.bench.plots import draw_lines

TITLE = "How many more epochs than cross-entropy"
PAPER = "arXiv 2512.07509"
PREFACE = speed.ABOUT
Options = speed.CharacterOptions

_RATES = (1e-3, 3e-3, 1e-2)
_USUAL, _COSINE, _STRUCTURED, _OWNED = (
    "linear head, cross-entropy",
    "cosine to V21",
    "structured softmax, V21",
    "softmax over owned classes, V21",
)


def measure(settings: Settings, options: Options) -> Outcome:
    """Every loss at three learning rates, each judged by its best."""
    by = partial(speed.learned, settings, options)
    least = min_dim("v21", options.classes)
    learners = {
        _USUAL: speed.Learner("cross-entropy"),
        _COSINE: speed.Learner("cosine", "v21", 384),
        f"{_COSINE}, {least} dimensions": speed.Learner("cosine", "v21", least),
        _STRUCTURED: speed.Learner("structured", "v21", 384),
        _OWNED: speed.Learner("owned", "v21", 384),
    }
    best: dict[str, speed.Progress] = {}
    rows: list[Row] = []
    for name, learner in learners.items():
        progress = {rate: by(replace(learner, lr=rate)) for rate in _RATES}
        # The sooner training accuracy rose, the higher is its mean over all epochs.
        rate = max(_RATES, key=lambda rate: sum(progress[rate].training))
        best[name] = progress[rate]
        rows.append({"loss": name, "rate": f"{rate:g}"} | speed.columns(best[name]))
    findings = [
        _slower(best[_COSINE], best[_USUAL]),
        _closed(_STRUCTURED, best),
        _closed(_OWNED, best),
    ]
    points = [
        {"loss": name, "epochs": epochs, "training, %": training, "test, %": test}
        for name, one in best.items()
        for epochs, training, test in zip(one.epochs, one.training, one.test)
    ]
    figure = draw_lines(
        points,
        title=f"{options.classes} characters",
        x="epochs",
        y=["training, %", "test, %"],
        line="loss",
        log="",
        marked=False,
    )
    title = f"{options.classes} characters, 384 dimensions, each loss at its best learning rate"
    return Outcome(findings, [Table(title, rows)], {"losses": figure})


def _ratios(one: speed.Progress, other: speed.Progress) -> dict[int, float]:
    """Epochs of one over those of the other, at the levels that both reached."""
    pairs = {level: (one.epochs_to(level), other.epochs_to(level)) for level in speed.LEVELS}
    return {level: a / b for level, (a, b) in pairs.items() if a is not None and b}


def _shown(ratios: dict[int, float]) -> str:
    return ", ".join(f"{ratio:.1f} (to {level} %)" for level, ratio in ratios.items()) or "unknown"


def _slower(cosine: speed.Progress, usual: speed.Progress) -> Finding:
    ratios = _ratios(cosine, usual)
    as_much = [2.5 <= ratio < 4.5 for ratio in ratios.values()]
    return Finding(
        "Fixed targets with the cosine loss take 3 to 4 times the epochs of cross-entropy.",
        f"{_shown(ratios)} times the epochs; test accuracy {cosine.test[-1]:.1f} % against "
        f"{usual.test[-1]:.1f} %",
        # In part: more epochs, but another number of times.
        Verdict.of(*speed.faster(usual, cosine), *as_much),
    )


def _closed(name: str, best: dict[str, speed.Progress]) -> Finding:
    """By the part of the gap, in epochs, that a loss closes at each level: at least half?"""
    own, usual, cosine = best[name], best[_USUAL], best[_COSINE]
    closed = {
        level: (behind - epochs) / (behind - least)
        for level in speed.LEVELS
        if (least := usual.epochs_to(level)) is not None
        and (behind := cosine.epochs_to(level)) is not None
        and (epochs := own.epochs_to(level)) is not None
        and behind > least
    }
    parts = ", ".join(f"{100 * part:.0f} % (to {level} %)" for level, part in closed.items())
    return Finding(
        f"The {name.removesuffix(', V21')} closes that gap (ours, not the paper's).",
        f"it closes {parts or 'an unknown part'} of the gap in epochs, and takes "
        f"{_shown(_ratios(own, usual))} times the epochs of cross-entropy; test accuracy "
        f"{own.test[-1]:.1f} %",
        Verdict.of(*(part >= 0.5 for part in closed.values())),
    )

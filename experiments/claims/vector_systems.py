"""arXiv 2512.07509: which vector system trains fastest, from 5,000 to 600,000 classes.

Cosine loss to random vectors of A_n, interpolated A_n, V21, V22 and P_n, all with the same encoder
and recipe (AdamW at a constant 3e-3). The paper defines neither P_n nor the interpolated A_n: here
the permutohedron, all permutations of n equally spaced values, and A_n with the normalised
midpoints of neighbouring roots. Training accuracies after the same number of epochs count as level
if they lie within a tenth or within three standard errors (of having measured on so many images; it
says nothing of another seed). A system fails if it reaches less than a tenth of what V21 does.

Each system stands in the fewest dimensions that hold all classes, and then all of them in the same.
First, real characters, with 20 for the latter (a permutohedron in more has too many vectors for a
64-bit address); see the claims below for their recipe. Then as many classes as the paper has: class
c is an image of Fashion-MNIST turned, zoomed and mirrored in a way of its own
(`experiments/endless.py`), training sees 16 slightly moved versions of it, the test another; the
same dimension is 384. In the quick setting (14×14 pixels, three strided convolutions) 50,000
classes are seen once each and of 600,000 only one in forty: "images a class" says how often, and
accuracies there are those of classes that were seen. `--full` shows 5,000, 50,000 and 600,000
classes 300, 150 and 60 times to a residual network at 28×28.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import sqrt

import torch
from matplotlib.figure import Figure
from torch import nn

from experiments.claims import speed
from experiments.data import Data, Part, load
from experiments.endless import Views
from experiments.outcome import Finding, Outcome, Row, Table, Verdict
from experiments.settings import Settings, option
from experiments.training import Recipe
from lsc_continual import make_encoder, make_system, min_dim
from lsc_continual.bench.plots import draw_lines

TITLE = "Which vector system trains fastest"
PAPER = "arXiv 2512.07509"

_SYSTEMS = ("a", "a-interpolated", "v21", "v22", "permutohedron")
_WIDE = 384  # the width of a ViT-S
_LARGEST_PERMUTOHEDRON = 20  # whose vectors a 64-bit address can name
_SHOWN = 16
"""Images of a class that training draws from."""
_FAILURE = 0.1
"""A system fails if it reaches less than this part of V21's training accuracy."""


@dataclass(frozen=True)
class Scale:
    """How many classes, and what they get.

    Args:
        seen: how many of them are trained on; the others only own targets.
        measured: images whose accuracy is taken, one each of classes that were trained on.
        wide: whether systems also meet in the same, wide dimension.
    """

    classes: int
    seen: int
    epochs: int
    measured: int
    wide: bool = False


_QUICK = (
    Scale(5_000, 5_000, 40, 1000, wide=True),
    Scale(50_000, 50_000, 1, 1000),
    Scale(600_000, 15_000, 1, 200),
)
_FULL = (
    Scale(5_000, 5_000, 300, 5_000, wide=True),
    Scale(50_000, 50_000, 150, 10_000, wide=True),
    Scale(600_000, 600_000, 60, 10_000),
)


@dataclass(frozen=True)
class Options(speed.CharacterOptions):
    """Of the characters, and of the endless classes.

    Args:
        side: of the images of the latter, in pixels.
    """

    scales: tuple[Scale, ...] = option(_QUICK, _FULL)
    side: int = option(14, 28)
    many_encoder: str = option("experiments.claims.speed:Strided", "resnet-small")
    batch_size: int = option(100, 500)


@dataclass(frozen=True)
class _Run:
    """A network's progress, and on how many images it was measured."""

    learner: speed.Learner
    progress: speed.Progress
    images: int

    @property
    def reached(self) -> float:
        """Training accuracy in the end."""
        return self.progress.training[-1]

    def ahead(self, other: _Run) -> bool | None:
        """Whether it reached more; None within a tenth or three standard errors, as level."""
        shares = ((run.reached / 100, run.images) for run in (self, other))
        deviation = 100 * sqrt(sum(share * (1 - share) / images for share, images in shares))
        difference = self.reached - other.reached
        level = max(3 * deviation, speed.MARGIN * max(self.reached, other.reached))
        return None if abs(difference) <= level else difference > 0


_Groups = dict[str, list[_Run]]
"""Runs by the classes that they learned."""


def measure(settings: Settings, options: Options) -> Outcome:
    """The same encoder, recipe and cosine loss; only the targets differ."""
    groups = {"characters": _characters(settings, options)}
    rows = _rows(f"{options.classes:,} characters", groups["characters"], images=15)
    views = Views(load("split-fashion-mnist", settings).train.images, options.side)
    for scale in options.scales:
        name = f"{scale.classes:,}"
        groups[name] = _synthetic(scale, views, settings, options)
        rows += _rows(name, groups[name], scale.epochs * scale.seen / scale.classes)
    return Outcome(
        [
            _ahead("V21 trains faster than A_n.", "a", groups),
            _permutohedra(groups),
            _ahead(
                "V21 trains faster than the interpolated A_n, up to 600,000 classes.",
                "a-interpolated",
                {name: group for name, group in groups.items() if name != "characters"},
            ),
        ],
        [Table("Cosine loss to the targets of five vector systems", rows)],
        {"systems": _draw(groups)},
    )


def _characters(settings: Settings, options: Options) -> list[_Run]:
    """Real classes: in each system's fewest dimensions, and in the most that all of them have."""
    most, classes = _LARGEST_PERMUTOHEDRON, options.classes
    dims = [(name, min_dim(name, classes)) for name in _SYSTEMS]
    dims += [(name, most) for name in _SYSTEMS if make_system(name, most).size >= classes]
    images = len(speed.characters(settings, classes).train.labels)
    learners = [speed.Learner("cosine", name, dim) for name, dim in dims]
    return [_Run(each, speed.learned(settings, options, each), images) for each in learners]


def _synthetic(scale: Scale, views: Views, settings: Settings, options: Options) -> list[_Run]:
    """Each system in the fewest dimensions that hold all classes, and in the same ones."""
    dims = [(name, min_dim(name, scale.classes)) for name in _SYSTEMS]
    if scale.wide:
        dims += [(name, _WIDE) for name in _SYSTEMS if name != "permutohedron"]
    group: list[_Run] = []
    for name, dim in dims:
        settings.say(f"{scale.classes:,} synthetic classes: {name} in {dim} dimensions")
        learner, seeds = speed.Learner("cosine", name, dim), range(settings.seeds)
        runs = [_learn(learner, scale, views, options, seed) for seed in seeds]
        group.append(_Run(learner, speed.Progress.mean(runs), scale.measured * len(seeds)))
    return group


def _learn(
    learner: speed.Learner, scale: Scale, views: Views, options: Options, seed: int
) -> speed.Progress:
    draws = torch.Generator().manual_seed(seed)
    seen = torch.randperm(scale.classes, generator=draws)[: scale.seen].to(views.sources.device)
    # Images are made where they are needed, so the labels stand in for them.
    shown = Part(seen, seen)
    some = seen[: scale.measured]
    numbers = torch.arange(len(some), device=some.device) % _SHOWN
    measured = Data(*(Part(views(some, n), some) for n in (numbers, -1 - numbers)))

    def encoder() -> nn.Module:
        own = {"side": options.side} if ":" in options.many_encoder else {"width": 64}
        return make_encoder(options.many_encoder, views.shape, options=own)

    return speed.learn(
        learner,
        encoder,
        Data(shown, shown),
        Recipe(scale.epochs, batch_size=options.batch_size, cosine=False),
        scale.classes,
        seed,
        dense=0,
        measured=measured,
        augment=lambda labels, draw: views(labels, draw % _SHOWN),
    )


def _rows(classes: str, group: list[_Run], images: float) -> list[Row]:
    return [
        {
            "classes": classes,
            "images a class": images,
            "epochs": run.progress.epochs[-1],
            "system": run.learner.system,
            "dim": run.learner.dim,
            "largest cosine": make_system(run.learner.system, run.learner.dim).max_cosine,
            "training, %": run.reached,
            "test, %": run.progress.test[-1],
        }
        for run in group
    ]


def _pairs(groups: _Groups, one: str, other: str) -> list[tuple[str, _Run, _Run]]:
    """Runs of two systems side by side: both in their fewest dimensions, both in the same."""
    found = []
    for classes, group in groups.items():
        ours, theirs = ([r for r in group if r.learner.system == name] for name in (one, other))
        for a, b in zip(ours, theirs):
            found.append((f"{classes} ({a.learner.dim}, {b.learner.dim} dimensions)", a, b))
    return found


def _judged(pairs: Sequence[tuple[str, _Run, _Run]]) -> Verdict:
    """By all comparisons whose difference is more than chance."""
    aheads = (one.ahead(other) for _, one, other in pairs)
    return Verdict.of(*(ahead for ahead in aheads if ahead is not None))


def _compared(pairs: Sequence[tuple[str, _Run, _Run]]) -> str:
    return "; ".join(
        f"{where}: {one.reached:.1f} % against {other.reached:.1f} %"
        + (" (level)" if one.ahead(other) is None else "")
        for where, one, other in pairs
    )


def _ahead(statement: str, other: str, groups: _Groups) -> Finding:
    """Whether V21 reached more than another system after the same number of epochs."""
    pairs = _pairs(groups, "v21", other)
    return Finding(statement, f"training accuracy, {_compared(pairs)}", _judged(pairs))


def _permutohedra(groups: _Groups) -> Finding:
    pairs = _pairs(groups, "permutohedron", "v21")
    nothing = speed.Progress([0], [0.0], [0.0])
    telling = [(p, v) for _, p, v in pairs if v.ahead(replace(v, progress=nothing))]
    return Finding(
        "Training to P_n (here the permutohedron) fails.",
        f"training accuracy of P_n against V21, {_compared(pairs)}",
        Verdict.of(*(p.reached < _FAILURE * v.reached for p, v in telling)),
    )


def _draw(groups: _Groups) -> Figure:
    """Training accuracy over the epochs, where there are several."""
    points = [
        {"classes": name, "system": f"{run.learner.system}, {run.learner.dim}"}
        | {"epochs": epochs, "training, %": training}
        for name, group in groups.items()
        for run in group
        if len(run.progress.epochs) > 1
        for epochs, training in zip(run.progress.epochs, run.progress.training)
    ]
    return draw_lines(
        points,
        x="epochs",
        y=["training, %"],
        line="system",
        panel="classes",
        log="",
        marked=False,
    )

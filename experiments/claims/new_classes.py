"""arXiv 2604.00779: new classes seen from decoded addresses that nobody owns.

The abstract says that decoding lets one predict the existence of new classes; how, could not be
read. Our reading: a decoded address that no class owns announces a new one. Known are the
characters that the networks of `decoding` were trained on; the next ones in Omniglot's order, as
many (623 with `--full`) and partly of the same alphabet, were never shown. Test drawings of both
are compared by this test and by every novelty score of the package; a fifth of the known ones is
left out for the scores that have to be fitted.

The test has a single threshold, and so its own rate of false alarms: the first table gives it, and
what `maxcos` (the cosine to the nearest owned target) and `auto` (the default of the package)
detect at the same rate. At 5 % false alarms, detection is read off the straight lines between the
points of the ROC curve, as if by lot. Standard errors count classes, not drawings.
"""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import auc, roc_curve
from torch import Tensor

from experiments.claims.occupancy import (
    PAPERS_LOSS,
    Options,
    Placement,
    placements,
    series,
)
from experiments.outcome import Finding, Outcome, Row, Table, Verdict, averaged, grouped
from experiments.settings import Settings
from lsc_continual.bench.noise import miss_rate
from lsc_continual.bench.plots import panels
from lsc_continual.novelty import available_scores
from lsc_continual.novelty.base import Placed

TITLE = "New classes by decoding: an address that nobody owns"
PAPER = "arXiv 2604.00779"

_FALSE_ALARMS = 0.05
_RIVALS = ("maxcos", "auto")
"""Beside which "unowned" is judged: the plainest score of the package, and its default."""
_DRAWN = ("unowned", "gap", "doubt", *_RIVALS)
_ERRORS = 3
"""Standard errors that tell a difference from chance."""


class Curve(NamedTuple):
    """ROC curve of a score; unknown inputs are the positive ones. DoubleArray[points] each."""

    false_alarms: NDArray[np.float64]
    detected: NDArray[np.float64]

    @classmethod
    def of(cls, known: Tensor, unknown: Tensor) -> Curve:
        """From scores of known and of unknown inputs, higher = more novel."""
        scores = torch.cat([known, unknown]).double().cpu()
        novel = torch.cat([torch.zeros(len(known)), torch.ones(len(unknown))])
        false_alarms, detected, _ = roc_curve(novel, scores)
        return cls(false_alarms, detected)

    @property
    def area(self) -> float:
        return float(auc(self.false_alarms, self.detected))

    def detected_at(self, false_alarms: float) -> float:
        """Share of unknown inputs that are found at such a share of false alarms.

        Between two thresholds on the straight line, which choosing between them by lot attains.

        >>> Curve.of(torch.tensor([0.0, 0.0, 0.0, 1.0]), torch.ones(2)).detected_at(0.05)
        0.2
        """
        return float(np.interp(false_alarms, self.false_alarms, self.detected))


class Compared(NamedTuple):
    """All scores on one network: known classes' test images against those of unknown classes."""

    curves: dict[str, Curve]
    false_alarms: float
    """Share of the known images whose decoded address nobody owns."""
    detected: float
    """The same of the unknown ones."""


def compare(placement: Placement) -> Compared:
    """Every score of the package; those that need it are fitted on the training images."""
    head = placement.head
    reference, known, unknown = (
        Placed(head, part.z) for part in (placement.train, placement.test, placement.unknown)
    )
    curves = {}
    for name, score in available_scores(head).items():
        if score.needs_fit:
            score.fit(reference)
        curves[name] = Curve.of(score.of(known), score.of(unknown))
    return Compared(curves, miss_rate(head.targets, known.z), miss_rate(head.targets, unknown.z))


def measure(settings: Settings, options: Options) -> Outcome:
    """Every score on every network, at the false alarms of "unowned" and at a chosen rate."""
    alarms: list[Row] = []
    quality: list[Row] = []
    drawn: dict[str, dict[str, Curve]] = {}
    for placement in placements(settings, options):
        found = compare(placement)
        system = placement.describe()
        classes = [len(part.labels.unique()) for part in (placement.test, placement.unknown)]
        alarms.append(system | _at_its_own_rate(found, classes) | {"share": placement.occupancy})
        if placement.loss == PAPERS_LOSS:
            drawn.setdefault(system["system"], found.curves)
        for name, curve in found.curves.items():
            figures = 100 * curve.area, 100 * curve.detected_at(_FALSE_ALARMS)
            quality.append(system | {"score": name, "area": figures[0], "detected": figures[1]})
    alarms = averaged(alarms, ["loss", "system"])
    quality = averaged(quality, ["loss", "system", "score"])
    hidden = ("share", "errors")
    shown = [{k: value for k, value in row.items() if k not in hidden} for row in alarms]
    title = (
        '"Nobody owns the decoded address" as a test, % of test images; and what other scores '
        "detect at as many false alarms"
    )
    tables = [Table(title, shown), *_quality_tables(quality)]
    return Outcome(_findings(alarms, quality), tables, {"detection": _draw(alarms, drawn)})


def _at_its_own_rate(found: Compared, classes: list[int]) -> Row:
    """Columns for "unowned", which has one threshold, and for its rivals at its false alarms."""
    false, true = found.false_alarms, found.detected
    # Images of one class are alike, so that classes are counted as independent, not images.
    error = sqrt(sum(p * (1 - p) / count for p, count in zip((false, true), classes)))
    row = {"detected": 100 * true, "false alarms": 100 * false}
    row |= {f"{name}, detected": 100 * found.curves[name].detected_at(false) for name in _RIVALS}
    return row | {"errors": (true - false) / max(error, 1e-9)}


def _quality_tables(quality: list[Row]) -> list[Table]:
    """A table for each loss: a row a score, a column a system."""
    tables = []
    for loss, own in grouped(quality, "loss").items():
        rows: dict[str, Row] = {}
        for row in own:
            cell = f"{row['area']:.1f} / {row['detected']:.1f}"
            rows.setdefault(row["score"], {"score": row["score"]})[row["system"]] = cell
        title = f"AUROC, % / detected at 5 % false alarms, %; {loss} loss, fullest system first"
        tables.append(Table(title, list(rows.values())))
    return tables


def _findings(alarms: list[Row], quality: list[Row]) -> list[Finding]:
    own = grouped(alarms, "loss")[PAPERS_LOSS]
    best = max(own, key=lambda row: row["detected"] - row["false alarms"])
    told = [row["errors"] > _ERRORS for row in own]
    ahead = {name: [row["detected"] >= row[f"{name}, detected"] for row in own] for name in _RIVALS}
    scores = grouped(grouped(quality, "loss")[PAPERS_LOSS], "score")
    areas = {name: [row["area"] for row in scores[name]] for name in ("unowned", *_RIVALS)}
    return [
        Finding(
            "Decoding allows to predict the existence of new classes.",
            f"{PAPERS_LOSS} loss: images of new classes land on addresses that nobody owns more "
            f"often than test images of known ones, by over {_ERRORS} standard errors, in "
            f"{sum(told)} of {len(told)} systems; widest apart with {best['occupancy']} owned: "
            f"{best['detected']:.0f} % against {best['false alarms']:.0f} %; fullest system: "
            f"{own[0]['detected']:.0f} % against {own[0]['false alarms']:.0f} %, emptiest: "
            f"{own[-1]['detected']:.0f} % against {own[-1]['false alarms']:.0f} %",
            Verdict.of(*told),
        ),
        Finding(
            "It is as good a test of novelty as others on the same network (our test).",
            "at as many false alarms it detects no less than "
            + " and ".join(
                f"{name} in {sum(parts)} of {len(parts)} systems" for name, parts in ahead.items()
            )
            + "; mean AUROC "
            + ", ".join(f"{name} {sum(each) / len(each):.1f}" for name, each in areas.items()),
            Verdict.of(*(part for parts in ahead.values() for part in parts)),
        ),
    ]


def _draw(alarms: list[Row], drawn: dict[str, dict[str, Curve]]) -> Figure:
    figure, (left, right) = panels(2)
    for color, (name, own) in zip(("C0", "C1"), series(alarms).items(), strict=True):
        places = [row["share"] for row in own]
        for style, key in (("o-", "detected"), ("s--", "false alarms")):
            values = [row[key] for row in own]
            left.plot(places, values, color + style, markersize=4, label=f"{key}: {name}")
    left.set(xscale="log", xlabel="occupancy of the system", ylabel="nobody's address, %")
    left.invert_xaxis()
    left.legend(fontsize="x-small", loc="upper left")
    left.set_yticks(range(0, 101, 20))
    left.set_ylim(top=140)  # room for the legend
    name, found = list(drawn.items())[len(drawn) // 2]
    for score in _DRAWN:
        points = 100 * found[score].false_alarms, 100 * found[score].detected
        right.plot(*points, "o-" if score == "unowned" else "-", markersize=5, label=score)
    right.set(title=f"{PAPERS_LOSS} loss, {name}", xlabel="false alarms, %", ylabel="detected, %")
    right.legend(fontsize="small")
    return figure

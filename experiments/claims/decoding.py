"""arXiv 2604.00779: labels read off the largest and smallest coordinates, by occupancy.

Theorem 1 reads the nearest vector of the whole system off the largest and smallest coordinates.
Whether that vector is a class's own depends on how many others the system holds, of which the paper
says nothing that could be read; nor are its data and encoders known. So the same characters of
Omniglot (15 drawings each to train on, 5 to test) are put into systems from nearly full to nearly
empty, and each trained network answers twice: with the owner of the decoded address (wrong if it
has none), and with the nearest owned target. The papers' cosine loss is beside our structured
softmax over the whole system, with ω = 1. The encoder is a small ResNet. In the quick setting (100
characters, 14×14 pixels) all systems share one encoder, trained on the sum of their losses, with a
linear projection into each; with `--full` (1,000 characters, 28×28) each has a network of its own.
Unchanged means by at most half a point.
"""

from __future__ import annotations

from typing import NamedTuple

from matplotlib.figure import Figure
from torch import Tensor

from experiments.claims.occupancy import (
    PAPERS_LOSS,
    Options,
    placements,
    series,
)
from experiments.outcome import Finding, Outcome, Row, Table, Verdict, averaged, grouped
from experiments.settings import Settings
from experiments.training import accuracy
from lsc_continual.bench.plots import panels
from lsc_continual.targets import Targets

TITLE = "Labels by decoding: what it does to accuracy"
PAPER = "arXiv 2604.00779"

_UNCHANGED = 0.5
"""Points of accuracy, far less than from one training to the next."""


class Answers(NamedTuple):
    """Three predictions for the same embeddings, as ordinals of classes: LongTensor[count] each."""

    decoded: Tensor
    """Owner of the nearest vector of the whole system, −1 if it has none."""
    nearest: Tensor
    """The nearest owned target: decoding, and a search from there where nobody is the owner."""
    exhaustive: Tensor
    """Arg-max of the cosine over all targets, in float64."""


def answers(targets: Targets, z: Tensor) -> Answers:
    """FloatTensor[count, dim] -> all three."""
    _, decoded = targets.allocation.decode(z)
    scores = z.double() @ targets.matrix(z).double().T
    return Answers(decoded, targets.nearest(z).ordinal, scores.argmax(-1))


def measure(settings: Settings, options: Options) -> Outcome:
    """Accuracy of the same networks by each way to answer."""
    several: list[Row] = []
    compared = different = 0
    for placement in placements(settings, options):
        targets = placement.head.targets
        row = placement.describe() | {"share": placement.occupancy}
        for part, embedded in (("training", placement.train), ("test", placement.test)):
            found, owners = answers(targets, embedded.z), targets.ordinals(embedded.labels)
            row[f"{part}, decoded"] = accuracy(found.decoded, owners)
            row[f"{part}, nearest"] = accuracy(found.nearest, owners)
            different += int((found.nearest != found.exhaustive).sum())
            compared += len(embedded.z)
        row["nobody's, test, %"] = accuracy(found.decoded, found.decoded.new_tensor(-1))
        several.append(row)
    rows = averaged(several, ["loss", "system"])
    findings = [
        _finding(
            rows, "training", "Label prediction by decoding does not change training accuracy."
        ),
        _finding(rows, "test", "The same of test accuracy (our test; the paper reports training)."),
        _emptiness_finding(rows),
        Finding(
            "Decoding, and a search from there where nobody owns the address, answers what an "
            "exhaustive arg-max over the targets does (our test).",
            f"{different} of {compared:,} answers differ",
            Verdict.of(different == 0),
        ),
    ]
    title = "Accuracy, %; nobody's is the share of test images whose decoded address is not owned"
    shown = [{key: value for key, value in row.items() if key != "share"} for row in rows]
    return Outcome(findings, [Table(title, shown)], {"accuracy": _draw(rows)})


def _lost(row: Row, part: str) -> float:
    """Points of accuracy by which decoding falls behind the nearest owned target."""
    return float(row[f"{part}, nearest"] - row[f"{part}, decoded"])


def _finding(rows: list[Row], part: str, statement: str) -> Finding:
    """What decoding loses, judged on the papers' loss; a verdict part for each system."""
    lost = {loss: [_lost(row, part) for row in own] for loss, own in grouped(rows, "loss").items()}
    listed = "; ".join(f"{_listed(points)} ({loss} loss)" for loss, points in lost.items())
    return Finding(
        statement,
        f"points of {part} accuracy lost against the nearest owned target, from the fullest system "
        f"to the emptiest: {listed}",
        Verdict.of(*(abs(points) <= _UNCHANGED for points in lost[PAPERS_LOSS])),
    )


def _emptiness_finding(rows: list[Row]) -> Finding:
    lost = {name: [_lost(row, "test") for row in own] for name, own in series(rows).items()}
    return Finding(
        "The emptier the system, the more decoding loses (our test).",
        "points of test accuracy lost: "
        + "; ".join(f"{name}: {_listed(points)}" for name, points in lost.items()),
        Verdict.of(*(points == sorted(points) for points in lost.values())),
    )


def _listed(points: list[float]) -> str:
    return ", ".join(f"{each:.1f}" for each in points)


def _draw(rows: list[Row]) -> Figure:
    several = series(rows)
    figure, places = panels(len(several), sharey=True)
    for axes, (name, own) in zip(places, several.items(), strict=True):
        shares = [row["share"] for row in own]
        for color, part in (("C0", "training"), ("C1", "test")):
            for style, way in (("o-", "nearest"), ("s--", "decoded")):
                values = [row[f"{part}, {way}"] for row in own]
                label = f"{part}, {'nearest owned target' if way == 'nearest' else 'decoding'}"
                axes.plot(shares, values, color + style, markersize=4, label=label)
        axes.set(title=name, xscale="log", xlabel="occupancy of the system")
        axes.invert_xaxis()
    places[0].set_ylabel(f"accuracy, %, {PAPERS_LOSS} loss")
    places[0].legend(fontsize="small")
    return figure

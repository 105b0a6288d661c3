"""arXiv 2604.00779: encoder and label prediction, in images a second, as classes grow.

This is `lsc-cl bench train` (docs/speed.md), in few turns and for two of its encoders; with
`--full` for all three, and for up to ten million classes. Weights of the encoders are random, as
speed does not depend on them. The system is V21 in 384 dimensions. Ours is the nearest owned
target, of which decoding is the first step: a tenth of the embeddings miss, and are searched for.
Ratios are taken within a turn of one run. Data, encoders, batches and processor of the paper could
not be read, and the acceleration depends on all of them: it is the share of the time that a linear
head takes beside its encoder.
"""

from __future__ import annotations

from dataclasses import dataclass

from experiments.outcome import Finding, Outcome, Row, Table, Verdict, grouped
from experiments.settings import Settings, option
from lsc_continual.bench import train
from lsc_continual.bench.settings import resolve

TITLE = "Labels by decoding: what it saves"
PAPER = "arXiv 2604.00779"

_INDEPENDENT = 2.0
"""Times as long, at most, however many times as many classes there are."""
_SHARE = "prediction, % of the encoder's time"


@dataclass(frozen=True)
class Options:
    """What `lsc-cl bench train` is asked for."""

    encoders: tuple[str, ...] = option(tuple(train.ENCODERS)[:2], tuple(train.ENCODERS))
    turns: int = option(3, 11)
    quick: bool = option(True, False)
    classes: str | None = option(None)


def measure(settings: Settings, options: Options) -> Outcome:
    """The table of `lsc-cl bench train`, with a row for each number of classes."""
    asked = resolve(
        settings.say,
        classes=options.classes,
        device=str(settings.device),
        turns=options.turns,
        quick=options.quick,
    )
    measured = list(train.rows(asked, options.encoders))
    rows = side_by_side(measured)
    title = "Encoder and prediction together; ours is the nearest owned target"
    return Outcome(_findings(rows), [Table(title, rows)], {"acceleration": train.draw(measured)})


def side_by_side(measured: list[Row]) -> list[Row]:
    """A row for each encoder and number of classes, from one for each way to predict too."""
    rows: dict[tuple[str, int], Row] = {}
    for one in measured:
        names = {"encoder": one["encoder"], "classes": one["classes"]}
        row = rows.setdefault((one["encoder"], one["classes"]), names)
        if one["prediction"] == train.OURS:
            row["ours, images/s"] = one["images/s"]
            row[_SHARE] = one["prediction/encoder, %"]
        else:
            row[f"{one['prediction']}, images/s"] = one.get("images/s")
            row[f"time, {one['prediction']}/ours"] = one.get("time/ours")
    return list(rows.values())


def _findings(rows: list[Row]) -> list[Finding]:
    by_encoder = grouped(rows, "encoder")
    best = {name: max(own, key=_acceleration) for name, own in by_encoder.items()}
    growth = {name: own[-1][_SHARE] / own[0][_SHARE] for name, own in by_encoder.items()}
    reached = ", ".join(
        f"{_acceleration(row):.1f}× with {name} at {row['classes']:,} classes"
        for name, row in best.items()
    )
    fewest, most = rows[0]["classes"], rows[-1]["classes"]
    largest = max(map(_acceleration, best.values()))
    return [
        Finding(
            f"Up to {train.REPORTED}× overall acceleration against a linear head or cosines.",
            f"at most {reached}",
            Verdict.of(largest >= train.REPORTED),
        ),
        Finding(
            f"{train.REPORTED}× whatever the encoder (our test; the paper says up to).",
            f"{reached}; a linear head that needs more memory than there is has no ratio",
            Verdict.of(*(_acceleration(row) >= train.REPORTED for row in best.values())),
        ),
        Finding(
            "Prediction takes a time that does not depend on the number of classes.",
            f"from {fewest:,} to {most:,} classes, prediction takes "
            + ", ".join(f"{times:.2f}× as long ({name})" for name, times in growth.items()),
            Verdict.of(*(times <= _INDEPENDENT for times in growth.values())),
        ),
    ]


def _acceleration(row: Row) -> float:
    """Against the slower of linear head and prototypes; 0 where neither was measured."""
    return max(
        (value for key, value in row.items() if key.startswith("time, ") and value), default=0.0
    )

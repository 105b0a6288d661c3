"""What an experiment gives: findings, tables and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import mean, stdev
from typing import Any

from matplotlib.figure import Figure

Row = dict[str, Any]


class Verdict(StrEnum):
    """How a claim fared."""

    HOLDS = "holds"
    IN_PART = "holds in part"
    FAILS = "does not hold here"
    OPEN = "not decided here"

    @classmethod
    def of(cls, *parts: bool) -> Verdict:
        """HOLDS if all parts do, FAILS if none does; OPEN without any, as nothing was measured."""
        if not parts:
            return cls.OPEN
        return cls.HOLDS if all(parts) else cls.IN_PART if any(parts) else cls.FAILS


def spread(values: Sequence[float]) -> str:
    """Mean ± standard deviation.

    >>> spread([1.0, 3.0]), spread([5.0])
    ('2.0 ± 1.4', '5.0 ± 0.0')
    """
    deviation = stdev(values) if len(values) > 1 else 0.0
    return f"{mean(values):.1f} ± {deviation:.1f}"


def spreads(runs: Sequence[Mapping[str, float]]) -> Row:
    """Columns for figures of several runs that are shares of 1: in percent, as `spread` does."""
    return {
        f"{name.replace('_', ' ')}, %": spread([100 * run[name] for run in runs])
        for name in runs[0]
    }


def grouped(rows: Sequence[Row], column: str) -> dict[Any, list[Row]]:
    """Rows by what they have in a column."""
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        groups.setdefault(row[column], []).append(row)
    return groups


def averaged(rows: Sequence[Row], by: Sequence[str]) -> list[Row]:
    """One row for each combination of the columns `by`, with the means of all other numbers."""
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[column] for column in by), []).append(row)
    return [
        {
            column: sum(row[column] for row in group) / len(group)
            if isinstance(value, int | float) and column not in by
            else value
            for column, value in group[0].items()
        }
        for group in groups.values()
    ]


@dataclass
class Finding:
    """A single statement, judged.

    Args:
        statement: what the paper says, with its number.
        measured: what was found, with numbers.
        verdict: computed from the figures by the claim's own code, never by hand.
    """

    statement: str
    measured: str
    verdict: Verdict


@dataclass
class Table:
    """Figures; a column for each key that occurs in the rows.

    Floats are shown with two decimals, so figures in percent are given as percents.
    """

    title: str
    rows: list[Row]


@dataclass
class Outcome:
    """All that a measurement gives.

    Args:
        findings: on what a paper says; of comparisons, none.
        figures: by a short name, which becomes part of the file's name.
    """

    findings: list[Finding] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    figures: dict[str, Figure] = field(default_factory=dict)

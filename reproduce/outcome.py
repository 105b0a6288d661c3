"""What measuring a claim takes and gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import torch
from matplotlib.figure import Figure

T = TypeVar("T")
Row = dict[str, Any]


@dataclass(frozen=True)
class Settings:
    """What the user chose.

    Args:
        full: the setting for a GPU, rather than the quick one for two CPU cores.
        root: folder of the data, as `data.root` of a run.
        arrays: .npz files (as scenario `arrays` reads them) to take instead, by scenario.
        device: where to compute.
        seeds: how many, counted from 0.
        say: shows a line of progress.
    """

    full: bool = False
    root: Path = Path("data")
    arrays: Mapping[str, Path] = field(default_factory=dict, hash=False)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    seeds: int = 1
    say: Callable[[str], None] = print

    def pick(self, quick: T, full: T) -> T:
        """One value or the other, by the setting."""
        return full if self.full else quick


class Verdict(StrEnum):
    """How a claim fared."""

    HOLDS = "holds"
    IN_PART = "holds in part"
    FAILS = "does not hold here"
    OPEN = "not decided here"

    @classmethod
    def of(cls, *parts: bool) -> Verdict:
        """HOLDS if all parts do, FAILS if none does."""
        return cls.HOLDS if all(parts) else cls.IN_PART if any(parts) else cls.FAILS


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
        figures: by a short name, which becomes part of the file's name.
    """

    findings: list[Finding]
    tables: list[Table] = field(default_factory=list)
    figures: dict[str, Figure] = field(default_factory=dict)

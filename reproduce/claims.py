"""Every claim that can be measured, by the name that the command line takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from lsc_continual.errors import unknown_name
from reproduce.outcome import Outcome, Settings

_MODULES = (
    "any_number_of_classes",
    "vector_systems",
    "dimensions",
    "cross_entropy",
    "largest_cosine",
    "decoding",
    "prediction_time",
    "new_classes",
    "scatterings",
    "point_collapse",
    "robustness",
    "hypercube_classes",
    "class_encoding",
    "neural_collapse",
)
"""In the order of the page: that of the papers."""


@dataclass(frozen=True)
class Claim:
    """What a paper says, and how it is measured here."""

    name: str
    paper: str
    """Its number, such as "arXiv 2510.04090"."""
    title: str
    """In a few words, as a heading."""
    about: str
    """Markdown: what is done, and what the paper leaves open and was chosen here."""
    measure: Callable[[Settings], Outcome]


def claims() -> dict[str, Claim]:
    """All of them, by name."""
    found: dict[str, Claim] = {}
    for module in _MODULES:
        for claim in import_module(f"reproduce.{module}").CLAIMS:
            found[claim.name] = claim
    return found


def chosen(names: list[str]) -> list[Claim]:
    """Those of these names; "all" is every one.

    Raises:
        LSCError: an unknown name, with the nearest valid one.
    """
    known = claims()
    for name in names:
        if name != "all" and name not in known:
            raise unknown_name("claim", name, [*known, "all"])
    return [claim for name, claim in known.items() if name in names or "all" in names]

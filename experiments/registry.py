"""Every experiment, by the name that the command line takes.

One is a module that has a `TITLE`, a `PAPER` (claims) or a `PAGE` (comparisons), its `Options`, and
`measure`; its name is the experiment's, and its docstring says what is done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from experiments.outcome import Outcome
from experiments.settings import Settings
from lsc_continual.errors import unknown_name

_MODULES = (
    "claims.any_number_of_classes",
    "claims.vector_systems",
    "claims.dimensions",
    "claims.against_cross_entropy",
    "claims.largest_cosine",
    "claims.decoding",
    "claims.prediction_time",
    "claims.new_classes",
    "claims.scatterings",
    "claims.point_collapse",
    "claims.robustness",
    "claims.hypercube_classes",
    "claims.class_encoding",
    "claims.neural_collapse",
    "comparisons.analytic",
    "comparisons.defaults",
    "comparisons.distributed",
    "comparisons.living",
    "comparisons.novelty",
    "comparisons.parameters",
    "comparisons.price",
    "comparisons.streaming",
    "comparisons.training",
)
"""Claims in the order of their page, which is that of the papers."""
PAPERS = "docs/papers.md"


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One measurement, and what it is for."""

    name: str
    title: str
    """In a few words, as a heading."""
    about: str
    """A module's docstring: below its first line, in Markdown, what is done, and what a paper
    leaves open and was chosen here."""
    preface: str = ""
    """What several experiments say before."""
    measure: Callable[[Settings, Any], Outcome]
    """Takes the settings of all experiments, and `options`."""
    options: type
    """A frozen dataclass of fields made by `option`."""
    paper: str | None = None
    """Whose claims are judged, such as "arXiv 2510.04090"."""
    page: str = PAPERS
    """Where its figures are reported."""


def experiments() -> dict[str, Experiment]:
    """All of them, by name."""
    return {each.name: each for each in map(_of_module, _MODULES)}


def _of_module(path: str) -> Experiment:
    module = import_module(f"experiments.{path}")
    return Experiment(
        name=path.partition(".")[2].replace("_", "-"),
        title=module.TITLE,
        about=module.__doc__,
        preface=getattr(module, "PREFACE", ""),
        measure=module.measure,
        options=module.Options,
        paper=getattr(module, "PAPER", None),
        page=getattr(module, "PAGE", PAPERS),
    )


def claims() -> dict[str, Experiment]:
    """Those that judge what a paper says."""
    return {name: each for name, each in experiments().items() if each.paper is not None}


def named(names: Sequence[str]) -> list[Experiment]:
    """Those of these names; "all" is every one.

    Raises:
        LSCError: an unknown name, with the nearest valid one.
    """
    known = experiments()
    for name in names:
        if name != "all" and name not in known:
            raise unknown_name("experiment", name, [*known, "all"])
    return [each for name, each in known.items() if name in names or "all" in names]

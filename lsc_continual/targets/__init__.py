"""Targets: which class owns which vector, and the nearest owned one."""

from lsc_continual.targets.allocation import AffineAllocation, Allocation, make_allocation
from lsc_continual.targets.labels import AnyLabels, Labels
from lsc_continual.targets.nearest import Nearest
from lsc_continual.targets.table_allocation import (
    AffinityAllocation,
    RandomAllocation,
    SpreadAllocation,
)
from lsc_continual.targets.targets import Targets

__all__ = [
    "AffineAllocation",
    "AffinityAllocation",
    "Allocation",
    "AnyLabels",
    "Labels",
    "Nearest",
    "RandomAllocation",
    "SpreadAllocation",
    "Targets",
    "make_allocation",
]

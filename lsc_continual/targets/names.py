"""The allocations by name. Nothing heavy is imported."""

from __future__ import annotations

from lsc_continual.registry import Entry, Registry

_RULES = "lsc_continual.targets.allocation:"
_TABLE = "lsc_continual.targets.table_allocation:"

ALLOCATIONS: Registry[Entry] = Registry(
    "allocation",
    "a subclass of Allocation, called with (system, seed)",
    {
        "affine": Entry(_RULES + "AffineAllocation", "a·i + b mod size: no table at all"),
        "named": Entry(
            "lsc_continual.targets.named_allocation:NamedAllocation",
            "by a hash of the class's name, the same in any order and on every machine",
        ),
        "random": Entry(_TABLE + "RandomAllocation", "a seeded random free vector"),
        "spread": Entry(_TABLE + "SpreadAllocation", "as far as possible from the owned targets"),
        "affinity": Entry(_TABLE + "AffinityAllocation", "the free vector nearest to the class"),
    },
)

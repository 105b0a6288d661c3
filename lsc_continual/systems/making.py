"""Vector systems by name."""

from __future__ import annotations

from lsc_continual.errors import LSCError
from lsc_continual.registry import is_own
from lsc_continual.systems.base import VectorSystem
from lsc_continual.systems.counting import canonical, checked_size, least_dim, rule_of
from lsc_continual.systems.names import SYSTEMS, check_system


def make_system(name: str, dim: int) -> VectorSystem:
    """The vector system `name` in `dim` dimensions.

    Names: "a" = "v11", "v21", "v22", "v{m}{k}" ("v{m}-{k}" for numbers above nine),
    "permutohedron", "a-interpolated", "dyadic{level}", "hypercube", "simplex", "orthogonal"; or
    "module:attribute", a class of your own that is called with (name, dim).

    >>> make_system("v21", dim=64).size
    124992
    >>> round(make_system("v22", dim=64).max_cosine, 6)
    0.75

    Raises:
        LSCError: unknown name, or a dimension in which the system does not exist.
        CapacityError: 2⁶³ vectors or more.
    """
    check_system(name, dim)
    return SYSTEMS.make(name, canonical(name), dim, of=VectorSystem)


def min_dim(name: str, classes: int) -> int:
    """Smallest dimension in which the system `name` of this package holds `classes` vectors.

    >>> min_dim("v21", classes=1000), min_dim("a", classes=600_000)
    (14, 776)

    Raises:
        LSCError: unknown name, or no number of classes.
        CapacityError: more classes than addresses can name.
    """
    if classes < 1:
        raise LSCError(f"the number of classes is a positive integer, not {classes!r}")
    SYSTEMS[name]
    if is_own(name):
        raise LSCError(f"system {name!r} is your own: ask its method min_dim")
    rule = rule_of(name)
    dim = least_dim(rule, max(classes, 2))  # no system holds one
    checked_size(canonical(name), dim, rule)
    return dim

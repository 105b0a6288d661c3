"""Vector systems: pure geometry on tensors, knowing nothing of networks or streams."""

from __future__ import annotations

import re

from lsc_continual.catalog import SYSTEMS
from lsc_continual.errors import LSCError
from lsc_continual.systems.base import Decoded, Ranked, VectorSystem
from lsc_continual.systems.hypercube import Hypercube
from lsc_continual.systems.orbit import Orbit, PermutationSystem, Permutohedron
from lsc_continual.systems.simplex import Simplex
from lsc_continual.systems.union import DyadicScattering, InterpolatedRoots, OrbitUnion

__all__ = [
    "Decoded",
    "DyadicScattering",
    "Hypercube",
    "InterpolatedRoots",
    "Orbit",
    "OrbitUnion",
    "PermutationSystem",
    "Permutohedron",
    "Ranked",
    "Simplex",
    "VectorSystem",
    "make_system",
    "min_dim",
]

_ALIASES = {"a": "v11", "orthogonal": "v10", "dyadic": "dyadic2"}
_PERMUTATION = re.compile(r"v(\d)(\d)|v(\d+)-(\d+)")
_DYADIC = re.compile(r"dyadic(\d+)")


def make_system(name: str, dim: int) -> VectorSystem:
    """The vector system `name` in `dim` dimensions.

    Names: "a" = "v11", "v21", "v22", "v{m}{k}" ("v{m}-{k}" for numbers above nine),
    "permutohedron", "a-interpolated", "dyadic{level}", "hypercube", "simplex", "orthogonal".

    >>> make_system("v21", dim=64).size
    124992
    >>> round(make_system("v22", dim=64).max_cosine, 6)
    0.75

    Raises:
        LSCError: unknown name, or a dimension in which the system does not exist.
        CapacityError: 2⁶³ vectors or more.
    """
    if not isinstance(dim, int) or isinstance(dim, bool) or dim < 1:
        raise LSCError(f"the dimension of a vector system is a positive integer, not {dim!r}")
    canonical = _ALIASES.get(name, name)
    if match := _PERMUTATION.fullmatch(canonical):
        m, k = (int(digits) for digits in match.groups() if digits is not None)
        return PermutationSystem(canonical, dim, m, k)
    if match := _DYADIC.fullmatch(canonical):
        return DyadicScattering(canonical, dim, int(match[1]))
    if "{" in canonical:  # the catalogue's way of writing a family of names
        raise LSCError(f"{name!r} stands for a family: put numbers in, for example v32 or dyadic1")
    system: VectorSystem = SYSTEMS.load(canonical)(canonical, dim)
    return system


def min_dim(name: str, classes: int) -> int:
    """Smallest dimension in which the system `name` holds `classes` vectors.

    >>> min_dim("v21", classes=1000), min_dim("a", classes=600_000)
    (14, 776)
    """
    if classes < 1:
        raise LSCError(f"the number of classes is a positive integer, not {classes!r}")
    match = _PERMUTATION.fullmatch(_ALIASES.get(name, name))
    entries = sum(int(digits) for digits in match.groups() if digits) if match else 2
    dim = make_system(name, dim=entries + 1).min_dim(max(classes, 2))  # no system holds one
    make_system(name, dim)  # refuses what no address can name
    return dim

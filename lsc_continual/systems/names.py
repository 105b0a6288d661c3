"""The vector systems by name. Nothing heavy is imported."""

from __future__ import annotations

from lsc_continual.errors import LSCError
from lsc_continual.registry import Entry, Registry, is_own
from lsc_continual.systems.counting import canonical, checked_size, rule_of

_ORBITS = "lsc_continual.systems.permutation:"
_REGULAR = "lsc_continual.systems.regular:"
_UNION = "lsc_continual.systems.union:"
_PERMUTATION = _ORBITS + "PermutationSystem"

SYSTEMS: Registry[Entry] = Registry(
    "system",
    "a class of vector systems, called with (name, dim)",
    {
        "a": Entry(_PERMUTATION, "roots of A_n: one +1, one −1 (= v11)"),
        "v21": Entry(_PERMUTATION, "two +1, one −1; the default"),
        "v22": Entry(_PERMUTATION, "two +1, two −1"),
        "v{m}{k}": Entry(
            _PERMUTATION, "m entries +1, k entries −1, any m and k", pattern=r"v\d\d|v\d+-\d+"
        ),
        "frame-v{m}{k}": Entry(
            _UNION + "FramedOrbit",
            "the n unit vectors, which allocation=affine gives first, and V^{mk}",
            pattern=r"frame-v\d\d|frame-v\d+-\d+",
        ),
        "permutohedron": Entry(_ORBITS + "Permutohedron", "all permutations of n spaced values"),
        "a-interpolated": Entry(_UNION + "InterpolatedRoots", "A_n and midpoints of its roots"),
        "dyadic{level}": Entry(
            _UNION + "DyadicScattering", "lattice points of a root polytope", pattern=r"dyadic\d*"
        ),
        "hypercube": Entry(_REGULAR + "Hypercube", "all sign vectors"),
        "simplex": Entry(_REGULAR + "Simplex", "n + 1 equiangular vectors"),
        "orthogonal": Entry(_PERMUTATION, "the n unit vectors (= v10)"),
    },
)


def check_system(name: str, dim: int) -> None:
    """Refuse a vector system that cannot be made, as far as this can be told without making it.

    Raises:
        LSCError: an unknown name, or a dimension in which the system does not exist.
        CapacityError: 2⁶³ vectors or more.
    """
    if not isinstance(name, str):
        raise LSCError(f"a vector system is called by text, such as 'v21', and not by {name!r}")
    SYSTEMS.check(name)
    if "{" in name:
        raise LSCError(f"{name!r} stands for a family: put numbers in, for example v32 or dyadic1")
    if not is_own(name):
        checked_size(canonical(name), dim, rule_of(name))

"""How many vectors a system has: arithmetic alone, for checks before torch is loaded."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from math import comb, factorial

from lsc_continual.errors import CapacityError, LSCError

INT64_MAX = 2**63 - 1
MAX_LEVEL = 3
"""The highest level of dyadic scatterings."""

Rule = Callable[[int], int]
"""Dimension -> number of vectors."""

Weights = tuple[int, ...]
"""The entries other than zero of a base vector, descending."""

_ALIASES = {"a": "v11", "orthogonal": "v10", "dyadic": "dyadic2"}
_PERMUTATION = re.compile(r"v(\d)(\d)|v(\d+)-(\d+)")
_FRAME = "frame-"
INTERPOLATED: tuple[Weights, ...] = ((1, -1), (2, -1, -1), (1, 1, -2))


def canonical(name: str) -> str:
    """The name of a system that has several."""
    return _ALIASES.get(name, name)


def permutation_entries(name: str) -> tuple[int, int] | None:
    """(m, k) of a permutation system, None for the name of something else.

    >>> permutation_entries("v21"), permutation_entries("v10-2"), permutation_entries("simplex")
    ((2, 1), (10, 2), None)
    """
    match = _PERMUTATION.fullmatch(canonical(name))
    if match is None:
        return None
    m, k = (int(digits) for digits in match.groups() if digits is not None)
    return m, k


def permutations(m: int, k: int) -> Rule:
    """C(n, m) C(n − m, k)."""
    return lambda dim: comb(dim, m) * comb(max(dim - m, 0), k)


def factorials(dim: int) -> int:
    """n!, as far as anybody needs it exactly."""
    return factorial(dim) if dim <= 60 else INT64_MAX * INT64_MAX


def union(bases: tuple[Weights, ...]) -> Rule:
    """The sum over orbits of base vectors."""
    return lambda dim: sum(_arrangements(base, dim) for base in bases)


def _arrangements(weights: Weights, dim: int) -> int:
    """How many different vectors the orbit of `weights`, padded with zeros, has."""
    size, free = 1, dim
    for value in dict.fromkeys(weights):
        count = weights.count(value)
        size *= comb(free, count) if free >= count else 0
        free -= count
    return size


def framed_bases(name: str) -> tuple[Weights, ...]:
    """The base vectors of "frame-v21": a single 1, then those of V21.

    Raises:
        LSCError: V^{mk} has none but that.
    """
    m, k = permutation_entries(name.removeprefix(_FRAME)) or (0, 0)
    if m + k < 2:
        raise LSCError(f"{name!r} has nothing beside the frame: use frame-v21, for example")
    return (1,), (*[1] * m, *[-1] * k)


def dyadic_bases(level: int) -> tuple[Weights, ...]:
    """The base vectors of a dyadic scattering, those of lower levels first.

    Raises:
        LSCError: there is no such level.
    """
    if not 0 <= level <= MAX_LEVEL:
        raise LSCError(
            f"dyadic scatterings have levels 0 to {MAX_LEVEL}, not {level}: choose "
            f"system.name=dyadic{MAX_LEVEL} or lower"
        )
    bases: list[Weights] = []
    for coarse in range(level + 1):
        step = 2 ** (level - coarse)
        shapes = list(_partitions(2**coarse))
        for plus in shapes:
            for minus in shapes:
                base = (*plus, *(-w for w in reversed(minus)))
                if coarse == 0 or any(w % 2 for w in base):  # else a lower level has it
                    bases.append(tuple(step * w for w in base))
    return tuple(bases)


def _partitions(total: int, largest: int | None = None) -> Iterator[Weights]:
    """All ways to write `total` as a sum of positive integers, each descending."""
    if total == 0:
        yield ()
    for first in range(min(total, largest or total), 0, -1):
        for rest in _partitions(total - first, first):
            yield (first, *rest)


def dyadic_level(name: str) -> int:
    """2 from "dyadic2"."""
    return int(canonical(name).removeprefix("dyadic"))


def rule_of(name: str) -> Rule:
    """How many vectors the system `name` of this package has in each dimension."""
    if entries := permutation_entries(name):
        return permutations(*entries)
    name = canonical(name)
    if name.startswith(_FRAME):
        return union(framed_bases(name))
    if name.startswith("dyadic"):
        return union(dyadic_bases(dyadic_level(name)))
    rules: dict[str, Rule] = {
        "permutohedron": factorials,
        "a-interpolated": union(INTERPOLATED),
        "hypercube": lambda dim: 1 << dim,
        "simplex": lambda dim: dim + 1 if dim else 0,
    }
    return rules[name]


def least_dim(rule: Rule, classes: int) -> int:
    """Smallest dimension in which there are `classes` vectors."""
    low, high = 0, 1
    while rule(high) < classes:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if rule(middle) >= classes else (middle, high)
    return high


def checked_size(name: str, dim: int, rule: Rule) -> int:
    """The number of vectors in `dim` dimensions.

    Raises:
        LSCError: a dimension in which the system does not exist.
        CapacityError: 2⁶³ vectors or more.
    """
    if not isinstance(dim, int) or isinstance(dim, bool) or dim < 1:
        raise LSCError(f"the dimension of a vector system is a positive integer, not {dim!r}")
    entries = permutation_entries(name.removeprefix(_FRAME))
    if entries and sum(entries) < 1:
        raise LSCError(f"{name!r} has no entries but 0: use 1 or more of +1 or −1")
    if entries and dim < max(sum(entries), 2):
        raise LSCError(
            f"{name!r} needs at least {max(sum(entries), 2)} dimensions, not {dim}: raise "
            "system.dim"
        )
    size = rule(dim)
    if size < 2:
        raise LSCError(
            f"{name!r} in {dim} dimensions is not a vector system: use dim={least_dim(rule, 2)} "
            "or more"
        )
    if size > INT64_MAX:
        raise CapacityError(
            f"{name!r} in {dim} dimensions has {_shown(size)} vectors, more than a 64-bit "
            f"address can name: use dim={least_dim(rule, INT64_MAX + 1) - 1} or less"
        )
    return size


def _shown(size: int) -> str:
    """A number that may be too large for a float."""
    digits = str(size) if size < 10**4000 else "9" * 4000
    return f"{digits[0]}.{digits[1:4]}e+{len(digits) - 1}"

"""Scatterings by brute force: nearest vectors, and what is kept when they are extended."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lsc_continual import Targets, VectorSystem, make_system
from lsc_continual.errors import CapacityError
from lsc_continual.systems import DyadicScattering
from lsc_continual.systems.counting import permutations

EXACT = 1e-6
"""In cosine or coordinate: rounding of float32, and a little more."""
CLASSES = 50
"""Whose targets are watched."""
_ROWS = 512  # that an exhaustive comparison takes at a time


def scattering(level: int, dim: int) -> DyadicScattering | None:
    """The scattering of a level; None where it holds more vectors than an address can name."""
    try:
        system = make_system(f"dyadic{level}", dim)
    except CapacityError:
        return None
    assert isinstance(system, DyadicScattering)
    return system


def neighbour_cosines(vectors: Tensor) -> Tensor:
    """Cosine of each vector with the nearest other one, by brute force: [count, dim] -> [count]."""
    found = []
    for rows in torch.arange(len(vectors), device=vectors.device).split(_ROWS):
        cosines = vectors[rows] @ vectors.T
        cosines[torch.arange(len(rows)), rows] = -torch.inf
        found.append(cosines.amax(1))
    return torch.cat(found)


def exhaustive(z: Tensor, vectors: Tensor) -> Tensor:
    """Index of the nearest of all vectors: [batch, dim], [count, dim] -> LongTensor[batch]."""
    return torch.cat([(rows @ vectors.T).argmax(1) for rows in z.split(_ROWS)])


def kept(coarse: VectorSystem, fine: VectorSystem) -> tuple[Tensor, Tensor]:
    """Which vectors of a system another one has, in as many or more dimensions; and where.

    Missing coordinates are filled with zeros.

    Returns:
        BoolTensor[vectors of `coarse`], and for each the address of the vector of `fine` that is
        nearest to it: the same one, if it is kept.
    """
    vectors = coarse.vectors(torch.arange(coarse.size))
    padded = F.pad(vectors, (0, fine.dim - coarse.dim))
    addresses = fine.decode(padded).address
    return (fine.vectors(addresses) - padded).abs().amax(1) <= EXACT, addresses


def extended(targets: Targets, system: VectorSystem) -> Targets:
    """A saved target map, loaded into another system of the same dimension."""
    return Targets.from_dict(
        targets.to_dict() | {"system": {"name": system.name, "dim": system.dim}}
    )


def moved(allocation: str, coarse: VectorSystem, fine: VectorSystem) -> int:
    """How many classes change their target when their map is loaded into another system.

    Then twice as many classes arrive as there is room for in the first system.
    """
    targets = Targets(coarse, allocation)
    targets.add(range(min(CLASSES, coarse.size)))
    before = targets.vectors()
    larger = extended(targets, fine)
    larger.add(range(2 * coarse.size))
    after = larger.vectors(torch.arange(len(before)))
    return int(((after - before).abs().amax(1) > EXACT).sum())


def largest_permutation_system(dim: int, cosine: float) -> tuple[int, int, int]:
    """m, k and size of the largest V^{mk} whose largest cosine, 1 − 1/(m + k), is no larger.

    >>> largest_permutation_system(8, 0.7)
    (2, 1, 168)
    """
    fitting = (
        (permutations(m, k)(dim), m, k)
        for m in range(1, dim)
        for k in range(m + 1)
        if m + k < dim and 1 - 1 / (m + k) <= cosine
    )
    size, m, k = max(fitting)
    return m, k, size

"""Permutation systems V^{mk}, among them the roots of A_n, and the permutohedron."""

from __future__ import annotations

from math import comb

import torch
from torch import Tensor

from lsc_continual.systems.base import Ranked, VectorSystem
from lsc_continual.systems.counting import (
    checked_size,
    factorials,
    permutation_entries,
    permutations,
)
from lsc_continual.systems.orbit import Orbit
from lsc_continual.systems.rank_patterns import MAX_RANKED, rank_patterns


class PermutationSystem(Orbit):
    """V^{mk}_n: m entries +1, k entries −1, the rest 0, divided by √(m + k).

    A_{n−1} is V^{11} and the orthogonal frame is V^{10}. size = C(n, m) C(n − m, k); the largest
    cosine is 1 − 1/(m + k) for n > m + k. (arXiv 2512.07509, arXiv 2604.00779.)

    >>> import torch
    >>> system = PermutationSystem("v21", dim=384)
    >>> system.size
    28090752
    >>> system.decode(system.vectors(torch.tensor([123456]))).address
    tensor([123456])
    """

    def __init__(self, name: str, dim: int) -> None:
        entries = permutation_entries(name)
        assert entries is not None, name
        self.m, self.k = m, k = entries
        checked_size(name, dim, self.size_at)
        super().__init__(name, (1.0, 0.0, -1.0), (m, dim - m - k, k))
        self.has_zeros = dim > m + k
        self.minus_sets = comb(dim - m, k)
        """In how many ways the entries −1 can be placed, once those of +1 are."""

    def size_at(self, dim: int) -> int:
        return permutations(self.m, self.k)(dim)

    def inner(self, x: Tensor, addresses: Tensor) -> Tensor:
        # In float64 sums of float32 coordinates are exact, so that equal scores are equal; else a
        # dense product beats scattered reads in few dimensions.
        few = self.dim <= 32 * (self.m + self.k) and x.dtype != torch.float64
        if few or not self.has_zeros:
            return super().inner(x, addresses)
        out = x.new_zeros(len(x), len(addresses))
        for entry, column in enumerate(self.places(addresses).unbind(-1)):
            out = out + x[:, column] if entry < self.m else out - x[:, column]
        return out / self.norm

    def places(self, addresses: Tensor) -> Tensor:
        """Where the entries +1 and then the entries −1 are: LongTensor[...] -> [..., m + k].

        Only for systems that have zeros; LSCError for an address outside 0 … size − 1.
        """
        self._check_addresses(addresses)
        return torch.cat(self._positions(addresses), -1)

    def rank_limit(self) -> int:
        if super().rank_limit():
            return super().rank_limit()
        halves_hold_all = self.dim >= 2 * max(self.m, self.k) and self.has_zeros
        return MAX_RANKED if halves_hold_all else 0

    def _ranked(self, x: Tensor, count: int) -> Ranked:
        if super().rank_limit():
            return super()._ranked(x, count)
        plus, minus = rank_patterns(self.m, self.k, self.dim, count, x.device)
        ordered, position = x.sort(dim=-1, descending=True, stable=True)
        score = x.new_zeros(len(x), max(len(plus), len(minus)))
        for column in plus.unbind(-1):
            score = score + ordered[:, column]
        for column in minus.unbind(-1):
            score = score - ordered[:, column]
        best, chosen = score.topk(count, dim=-1)
        expanded = position.unsqueeze(1).expand(-1, count, -1)
        sides = [expanded.gather(-1, side[chosen]) for side in (plus, minus) if side.shape[-1]]
        return Ranked(self._address(sides), best / self.norm)


class Permutohedron(Orbit):
    """P_n: all permutations of n distinct, equally spaced values, centred at zero.

    size = n!, which fits an address up to n = 20. Neighbours close up as n grows: the papers
    report that training on it fails (arXiv 2512.07509, which does not define it; equal spacing is
    our reading). Its log partition is the logarithm of a permanent, and not tractable.
    """

    has_log_partition = False

    def __init__(self, name: str, dim: int) -> None:
        super().__init__(name, [(dim - 1) / 2 - i for i in range(dim)], [1] * dim)

    def size_at(self, dim: int) -> int:
        return factorials(dim)

    def _log_partition(self, x: Tensor) -> Tensor:
        return VectorSystem._log_partition(self, x)

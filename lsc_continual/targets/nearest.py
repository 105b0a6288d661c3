"""The nearest owned target, exactly, without scanning all classes where that is cheaper.

The search has three steps; each takes only the embeddings that the one before left over.

1. Decode. The nearest vector of the whole system, if it is owned, is the nearest owned one: O(n).
2. Walk the vectors of the system, nearest first, until an owned one appears: size/classes steps if
   owners are anywhere, far fewer if the embedding lies near its target.
3. Scan the owned targets, once the walk has cost as much as that.

Since min(size/C, C) ≤ √size, walk and scan together never cost more than about 2√size steps, and
never more than twice the cheaper of the two. How many vectors lie nearer than the answer is itself
a measure of ambiguity.

Scores are compared as sums of coordinates in float64: equal ones are equal, and the lowest address
wins, as in an exhaustive search.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from lsc_continual.kernels.compiler import over_rows, usable
from lsc_continual.systems import PermutationSystem, VectorSystem
from lsc_continual.systems.base import as_float
from lsc_continual.targets.allocation import Allocation

_WALKS = (16, 128, 1024)  # lengths tried one after another, in plain torch
_LONGEST_WALK = 2**15  # compiled
_SCANNED_PER_STEP = 64  # targets that a scan compares in the time of one step of a walk, compiled
_SHORTEST_WALK = 8  # that is worth sorting coordinates for
_SCAN_CHUNK = 8192  # owned targets compared at a time
_KEPT = 2**16  # classes for which the scan's table is kept: 20 bytes each for V^21
_NOBODY = torch.iinfo(torch.int64).max


class Nearest(NamedTuple):
    """The nearest owned target for each embedding."""

    ordinal: Tensor
    """LongTensor[batch]: which class, in order of arrival."""
    score: Tensor
    """FloatTensor[batch]: cosine between the embedding and that target."""


class Search:
    """Looks for owned vectors of a system.

    Args:
        system: whose vectors are owned.
        allocation: who owns which; it may grow.
    """

    def __init__(self, system: VectorSystem, allocation: Allocation) -> None:
        self._system = system
        self._allocation = allocation
        self._kept: tuple[Tensor, Tensor] | None = None  # places and addresses of owned vectors

    def nearest(self, z: Tensor) -> Nearest:
        """The nearest owned vector; of equally near ones, the one with the lowest address.

        Args:
            z: FloatTensor[batch, dim]; at least one address is owned.
        """
        (_, score, _), ordinal = self._allocation.decode(z)
        z = as_float(z)
        missed = (ordinal < 0).nonzero().squeeze(-1)
        if not len(missed):
            return Nearest(ordinal, score)
        rest = z[missed]
        found, best = self._compiled(rest) if self._can_compile(z) else self._plain(rest)
        score = score.index_put((missed,), best.to(score))
        return Nearest(ordinal.index_put((missed,), found), score)

    def several(self, z: Tensor, count: int, steps: int) -> Nearest:
        """Owned ones among the nearest `steps` vectors of the system, at a cost that never changes.

        Args:
            z: FloatTensor[batch, dim].
            count: how many of them at most.
            steps: fewer than that if the system cannot rank so many.

        Returns:
            Ordinals and cosines, [batch, at most count], nearest first; −1 and −inf where there is
            none.
        """
        z = as_float(z)
        if self._can_compile(z):
            ordinal, score, _ = self._walk_compiled(z, steps, count)
            return Nearest(ordinal, self._cosine(z, score))
        steps = min(self._system.rank_limit(), steps)
        ranked = self._system.ranked(z, steps)
        owner = self._allocation.owner(ranked.address)
        cosine = ranked.score.masked_fill(owner < 0, -torch.inf)
        cosine, place = cosine.topk(min(count, steps), dim=-1)
        return Nearest(owner.gather(-1, place), cosine)

    def vectors_before(self, z: Tensor, steps: int) -> Tensor:
        """How many vectors of the system are nearer than the nearest owned one, up to `steps`.

        FloatTensor[batch, dim] -> LongTensor[batch]; `steps` is at most what the system can rank.
        """
        z = as_float(z)
        if self._can_compile(z):
            return self._walk_compiled(z, steps, 1)[2]
        owned = self._allocation.owner(self._system.ranked(z, steps).address) >= 0
        return torch.where(owned.any(-1), owned.byte().argmax(-1), steps)

    def _can_compile(self, z: Tensor) -> bool:
        system = self._system
        return isinstance(system, PermutationSystem) and system.has_zeros and usable(z)

    def _cosine(self, z: Tensor, total: Tensor) -> Tensor:
        """Sums of coordinates, [batch, …], over the lengths of vectors and embeddings."""
        assert isinstance(self._system, PermutationSystem)
        length: Tensor = z.norm(dim=-1).clamp_min(torch.finfo(z.dtype).tiny) * self._system.norm
        return (total / length.double().reshape(-1, *[1] * (total.ndim - 1))).to(z.dtype)

    def _compiled(self, z: Tensor) -> tuple[Tensor, Tensor]:
        steps = min(len(self._allocation) // _SCANNED_PER_STEP, _LONGEST_WALK)
        if steps < _SHORTEST_WALK:
            ordinal, total = self._scan_compiled(z)
            return ordinal, self._cosine(z, total)
        ordinal, total, _ = (part.squeeze(-1) for part in self._walk_compiled(z, steps, 1))
        missed = (ordinal < 0).nonzero().squeeze(-1)
        if len(missed):
            ordinal[missed], total[missed] = self._scan_compiled(z[missed])
        return ordinal, self._cosine(z, total)

    def _walk_compiled(self, z: Tensor, steps: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Ordinals and sums of coordinates, [batch, count], and the length of walks, [batch]."""
        from lsc_continual.kernels.search import walk_rows

        ordinal = torch.empty((len(z), count), dtype=torch.int64)
        total = torch.empty((len(z), count), dtype=torch.float64)
        walked = torch.empty(len(z), dtype=torch.int64)
        *formula, addresses, ordinals = self._allocation.owners
        owners = (*formula, addresses.numpy(), ordinals.numpy())
        z, shape = z.contiguous(), self._shape()
        over_rows(walk_rows, len(z), z, *shape, owners, steps, ordinal, total, walked)
        return ordinal, total, walked

    def _shape(self) -> tuple[int, int, int, Tensor]:
        system = self._system
        assert isinstance(system, PermutationSystem)
        return system.m, system.k, system.minus_sets, system.binomials

    def _scan_compiled(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Ordinal and sum of coordinates by comparison with every owned vector."""
        from lsc_continual.kernels.search import scan_rows

        z = z.contiguous()
        address = torch.full((len(z),), _NOBODY)
        total = torch.full((len(z),), -torch.inf, dtype=torch.float64)
        for places, owned in self._owned():
            over_rows(scan_rows, len(z), z, self._shape()[0], places, owned, address, total)
        return self._allocation.owner(address), total

    def _owned(self) -> Iterable[tuple[Tensor, Tensor]]:
        """Places and addresses of owned vectors, some at a time: IntTensor[some, m + k], [some]."""
        classes = len(self._allocation)
        if classes > _KEPT:
            return map(self._some_owned, torch.arange(classes).split(_SCAN_CHUNK))
        if self._kept is None or len(self._kept[1]) != classes:
            self._kept = self._some_owned(torch.arange(classes))
        return [self._kept]

    def _some_owned(self, ordinals: Tensor) -> tuple[Tensor, Tensor]:
        assert isinstance(self._system, PermutationSystem)
        addresses = self._allocation.addresses(ordinals)
        return self._system.places(addresses).int(), addresses

    def _plain(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Ordinal and cosine, in plain torch."""
        ordinal = torch.full((len(z),), -1, device=z.device)
        score = z.new_empty(len(z), dtype=torch.float64)
        missed = torch.arange(len(z), device=z.device)
        for length in self._walks():
            if not len(missed):
                break
            found, score[missed] = self._walk(z[missed], length)
            ordinal[missed] = found
            missed = missed[found < 0]
        if len(missed):
            ordinal[missed], score[missed] = self._scan(z[missed])
        return ordinal, score

    def _walks(self) -> list[int]:
        """Lengths of walk worth trying: beyond the number of classes, a scan is cheaper."""
        classes = len(self._allocation)
        longest = min(self._system.rank_limit(), classes)
        if self._system.size > longest * classes:  # most walks would end without an owner
            return []
        return [length for length in _WALKS if length <= longest]

    def _walk(self, z: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """Ordinal and cosine of the first owner among the `length` nearest vectors, or −1."""
        ranked = self._system.ranked(z.double(), length)
        owner = self._allocation.owner(ranked.address)  # [batch, length]
        score = ranked.score.masked_fill(owner < 0, -torch.inf)
        best = score.amax(-1, keepdim=True)
        tied = (score == best) & (owner >= 0)
        lowest = ranked.address.masked_fill(~tied, _NOBODY).argmin(-1, True)
        ordinal = owner.gather(-1, lowest).squeeze(-1)
        cut = (best == ranked.score[:, -1:]).squeeze(-1)  # others beyond the list may be as near
        return ordinal.masked_fill(cut & (length < self._system.size), -1), best.squeeze(-1)

    def _scan(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Ordinal and cosine by comparison with every owned target, a chunk at a time."""
        x = z.double()
        best = x.new_full((len(x),), -torch.inf)
        address = torch.full((len(x),), _NOBODY, device=x.device)
        everyone = torch.arange(len(self._allocation), device=x.device)
        for ordinals in everyone.split(_SCAN_CHUNK):
            owned = self._allocation.addresses(ordinals).sort().values
            score, place = self._system.inner(x, owned).max(-1)
            here = owned[place]
            better = (score > best) | ((score == best) & (here < address))
            best, address = torch.where(better, score, best), torch.where(better, here, address)
        length = x.norm(dim=-1).clamp_min(torch.finfo(z.dtype).tiny)
        return self._allocation.owner(address), best / length

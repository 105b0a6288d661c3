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

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from lsc_continual.kernels.compiler import over_rows, usable
from lsc_continual.systems import PermutationSystem, VectorSystem
from lsc_continual.systems.base import as_float
from lsc_continual.targets.allocation import AffineAllocation, Allocation

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
        self._parts: list[tuple[int, Search]] = []
        if isinstance(allocation, AffineAllocation):
            self._parts = [(start, Search(p.system, p)) for start, p in allocation.placed]

    def nearest(self, z: Tensor) -> Nearest:
        """The nearest owned vector; of equally near ones, the one with the lowest address.

        Args:
            z: FloatTensor[batch, dim]; at least one address is owned.
        """
        (_, score, _), ordinal = self._allocation.decode(z)
        z = as_float(z)
        for search in self._searches(z):
            missed = (ordinal < 0).nonzero().squeeze(-1)
            if not len(missed):
                break
            found, best = (part.flatten() for part in search(z[missed]))
            ordinal = ordinal.index_put((missed,), found)
            score = score.index_put((missed,), best.to(score))
        return Nearest(ordinal, score)

    def _search_parts(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """The nearest of those that are nearest in each nested system."""
        found = [
            Nearest(ordinal + start, score)
            for start, part in self._parts
            if len(part._allocation)
            for ordinal, score in [part.nearest(z)]
        ]
        best = found[0]
        for other in found[1:]:  # of equally near ones, the earlier has the lower address
            ordinal = torch.where(other.score > best.score, other.ordinal, best.ordinal)
            best = Nearest(ordinal, torch.maximum(other.score, best.score))
        return best.ordinal, best.score

    def _searches(self, z: Tensor) -> Iterator[Callable[[Tensor], tuple[Tensor, Tensor]]]:
        """Walks worth trying, then the scan: ordinals, −1 where none is found, and cosines."""
        classes = len(self._allocation)
        if self._parts:
            yield self._search_parts
            return
        if self._can_compile(z):
            steps = min(classes // _SCANNED_PER_STEP, _LONGEST_WALK)
            if steps >= _SHORTEST_WALK:
                yield lambda rest: self._walk_compiled(rest, steps)[:2]
            yield self._scan_compiled
            return
        longest = min(self._system.rank_limit(), classes)  # beyond, a scan is cheaper
        if self._system.size <= longest * classes:  # else most walks would end without an owner
            yield from (partial(self._walk, length=n) for n in _WALKS if n <= longest)
        yield self._scan

    def several(self, z: Tensor, count: int, steps: int) -> Nearest:
        """Up to `count` owned ones among the nearest `steps` vectors of the system.

        The cost does not depend on the classes. See `Targets.several_nearest`.
        """
        z = as_float(z)
        if self._can_compile(z):
            return Nearest(*self._walk_compiled(z, steps, count)[:2])
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
            return self._walk_compiled(z, steps)[2]
        owned = self._allocation.owner(self._system.ranked(z, steps).address) >= 0
        return torch.where(owned.any(-1), owned.byte().argmax(-1), steps)

    def _can_compile(self, z: Tensor) -> bool:
        system = self._system
        return isinstance(system, PermutationSystem) and system.has_zeros and usable(z)

    @property
    def _orbit(self) -> PermutationSystem:
        assert isinstance(self._system, PermutationSystem)
        return self._system

    def _cosine(self, z: Tensor, total: Tensor) -> Tensor:
        """Sums of coordinates, [batch, count], over the lengths of vectors and embeddings."""
        length: Tensor = z.norm(dim=-1, keepdim=True).clamp_min(torch.finfo(z.dtype).tiny)
        return (total / (length * self._orbit.norm).double()).to(z.dtype)

    def _walk_compiled(
        self, z: Tensor, steps: int, count: int = 1
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Ordinals and cosines, [batch, count], and the length of walks, [batch]."""
        from lsc_continual.kernels.search import walk_rows

        ordinal = torch.empty((len(z), count), dtype=torch.int64)
        total = torch.empty((len(z), count), dtype=torch.float64)
        walked = torch.empty(len(z), dtype=torch.int64)
        *formula, addresses, ordinals = self._allocation.owners
        owners = (*formula, addresses.numpy(), ordinals.numpy())
        orbit, z = self._orbit, z.contiguous()
        shape = (orbit.m, orbit.k, orbit.minus_sets, orbit.binomials)
        over_rows(walk_rows, len(z), z, *shape, owners, steps, ordinal, total, walked)
        return ordinal, self._cosine(z, total), walked

    def _scan_compiled(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """As `_scan`."""
        from lsc_continual.kernels.search import scan_rows

        z = z.contiguous()
        address = torch.full((len(z),), _NOBODY)
        total = torch.full((len(z),), -torch.inf, dtype=torch.float64)
        for places, owned in self._owned():
            over_rows(scan_rows, len(z), z, self._orbit.m, places, owned, address, total)
        return self._allocation.owner(address), self._cosine(z, total.unsqueeze(-1))

    def _owned(self) -> Iterable[tuple[Tensor, Tensor]]:
        """Places and addresses of owned vectors, some at a time: IntTensor[some, m + k], [some]."""
        classes = len(self._allocation)
        if classes > _KEPT:
            return map(self._some_owned, torch.arange(classes).split(_SCAN_CHUNK))
        if self._kept is None or len(self._kept[1]) != classes:
            self._kept = self._some_owned(torch.arange(classes))
        return [self._kept]

    def _some_owned(self, ordinals: Tensor) -> tuple[Tensor, Tensor]:
        addresses = self._allocation.addresses(ordinals)
        return self._orbit.places(addresses).int(), addresses

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

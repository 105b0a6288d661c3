"""The nearest owned target, exactly, without scanning all classes where that is cheaper.

The search has three steps; each takes only the embeddings that the one before left over.

1. Decode. The nearest vector of the whole system, if it is owned, is the nearest owned one: O(n).
2. Walk the vectors of the system, nearest first, until an owned one appears. The expected length
   is size/classes.
3. Scan the owned targets.

Since min(size/C, C) ≤ √size, walk and scan together never cost more than about √size steps. How
many vectors lie nearer than the answer is itself a measure of ambiguity.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from lsc_continual.systems import VectorSystem
from lsc_continual.systems.base import as_float
from lsc_continual.targets.allocation import Allocation

_WALKS = (16, 128, 1024)  # lengths tried one after another
_SCAN_CHUNK = 8192  # owned targets compared at a time
_LISTED = 128  # of the nearest vectors of the system, where several owned ones are looked for


class Nearest(NamedTuple):
    """The nearest owned target for each embedding."""

    ordinal: Tensor
    """LongTensor[batch]: which class, in order of arrival."""
    score: Tensor
    """FloatTensor[batch]: cosine between the embedding and that target."""


def nearest_owned(system: VectorSystem, allocation: Allocation, z: Tensor) -> Nearest:
    """Equal to an exhaustive search over the owned targets; of equals, one of them.

    Args:
        z: FloatTensor[batch, dim]; at least one address is owned.
    """
    decoded = system.decode(z)
    u = F.normalize(as_float(z), dim=-1)
    ordinal, score = allocation.owner(decoded.address), decoded.score.clone()
    missed = (ordinal < 0).nonzero().squeeze(-1)
    for length in _walks(system, len(allocation)):
        if not len(missed):
            break
        found, best = _walk(system, allocation, u[missed], length)
        ordinal[missed], score[missed] = found, best
        missed = missed[found < 0]
    if len(missed):
        ordinal[missed], score[missed] = _scan(system, allocation, u[missed])
    return Nearest(ordinal, score)


def listed_owned(system: VectorSystem, allocation: Allocation, z: Tensor) -> tuple[Tensor, Tensor]:
    """The owned ones among the nearest 128 vectors of the system, at a cost that never changes.

    Args:
        z: FloatTensor[batch, dim].

    Returns:
        LongTensor[batch, listed] of ordinals, −1 for vectors that nobody owns, and their cosines,
        FloatTensor[batch, listed], −inf there. `listed` is 0 where a system cannot rank.
    """
    length = min(system.rank_limit(), _LISTED)
    if not length:
        return torch.empty((len(z), 0), dtype=torch.int64), as_float(z)[:, :0]
    ranked = system.ranked(z, length)
    owner = allocation.owner(ranked.address)
    return owner, ranked.score.masked_fill(owner < 0, -torch.inf)


def _walks(system: VectorSystem, classes: int) -> list[int]:
    """Lengths of walk worth trying: beyond `classes`, a scan is cheaper."""
    longest = min(system.rank_limit(), classes)
    if system.size > longest * classes:  # most walks would end without an owner
        return []
    return [length for length in _WALKS if length <= longest]


def _walk(
    system: VectorSystem, allocation: Allocation, u: Tensor, length: int
) -> tuple[Tensor, Tensor]:
    """Ordinal and cosine of the first owner among the `length` nearest vectors, or −1."""
    ranked = system.ranked(u, length)
    owner = allocation.owner(ranked.address)  # [batch, length]
    score = ranked.score.masked_fill(owner < 0, -torch.inf)
    best = score.amax(-1, keepdim=True)
    tied = (score == best) & (owner >= 0)
    lowest = ranked.address.masked_fill(~tied, torch.iinfo(torch.int64).max).argmin(-1, True)
    return owner.gather(-1, lowest).squeeze(-1), best.squeeze(-1)


def _scan(system: VectorSystem, allocation: Allocation, u: Tensor) -> tuple[Tensor, Tensor]:
    """Ordinal and cosine by comparison with every owned target, a chunk at a time."""
    best = u.new_full((len(u),), -torch.inf)
    address = torch.zeros(len(u), dtype=torch.int64, device=u.device)
    everyone = torch.arange(len(allocation), device=u.device)
    for ordinals in everyone.split(_SCAN_CHUNK):
        owned = allocation.addresses(ordinals).sort().values
        score, place = system.inner(u, owned).max(-1)
        here = owned[place]
        better = (score > best) | ((score == best) & (here < address))
        best, address = torch.where(better, score, best), torch.where(better, here, address)
    return allocation.owner(address), best

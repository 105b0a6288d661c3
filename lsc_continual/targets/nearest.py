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
_FEW_CLASSES = 1024  # up to here, several nearest targets are found by comparing with all


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


def several_nearest_owned(
    system: VectorSystem, allocation: Allocation, z: Tensor, count: int
) -> Nearest:
    """The `count` nearest owned targets of each embedding, nearest first.

    The cost does not grow with the classes: beyond a thousand they are looked for among the nearest
    vectors of the system, 1,024 at most, so that fewer may be found, or none.

    Args:
        z: FloatTensor[batch, dim].

    Returns:
        LongTensor[batch, count] of ordinals, −1 where no further one was found, and their cosines,
        FloatTensor[batch, count], −inf there.
    """
    u = F.normalize(as_float(z), dim=-1)
    ordinal = torch.full((len(u), count), -1, device=u.device)
    score = u.new_full((len(u), count), -torch.inf)
    if len(allocation) <= _FEW_CLASSES:
        owner = torch.arange(len(allocation), device=u.device).expand(len(u), -1)
        cosine = system.inner(u, allocation.addresses(owner[:1].reshape(-1)))
    else:
        ranked = system.ranked(u, _listed(system, len(allocation), count))
        owner = allocation.owner(ranked.address)
        cosine = ranked.score.masked_fill(owner < 0, -torch.inf)
    found, place = cosine.topk(min(count, cosine.shape[-1]), dim=-1)
    ordinal[:, : place.shape[-1]] = owner.gather(-1, place)
    score[:, : place.shape[-1]] = found
    return Nearest(ordinal, score)


def _listed(system: VectorSystem, classes: int, count: int) -> int:
    """How many of the nearest vectors are likely to have `count` owned ones among them."""
    wanted = 4 * count * system.size / classes
    limit = system.rank_limit()
    return next((n for n in _WALKS if wanted <= n <= limit), min(limit, _WALKS[-1]))


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

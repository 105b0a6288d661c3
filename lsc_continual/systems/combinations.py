"""The combinatorial number system: k-subsets of {0, …, n−1} as integers, in both directions.

A subset c_1 < c_2 < … < c_k has rank Σ_i C(c_i, i), which runs through 0 … C(n, k) − 1 in
colexicographic order (Knuth, The Art of Computer Programming, volume 4A, section 7.2.1.3).
"""

from __future__ import annotations

from functools import lru_cache
from math import comb

import torch
from torch import Tensor

from lsc_continual.systems.counting import INT64_MAX


@lru_cache(maxsize=64)
def binomials(n: int, k: int, device: torch.device) -> Tensor:
    """C(c, i) for 1 ≤ i ≤ k and 0 ≤ c < n: LongTensor[k, n]."""
    # Column entries beyond int64 are only ever compared with smaller ranks, so they may saturate.
    rows = [[min(comb(c, i), INT64_MAX) for c in range(n)] for i in range(1, k + 1)]
    return torch.tensor(rows, dtype=torch.int64, device=device).reshape(k, n)


def rank_subsets(positions: Tensor, n: int) -> Tensor:
    """Rank of each subset. `positions`: LongTensor[..., k] (any order) -> LongTensor[...]."""
    k = positions.shape[-1]
    table = binomials(n, k, positions.device)
    ordered = positions.sort(dim=-1).values
    rank = torch.zeros(positions.shape[:-1], dtype=torch.int64, device=positions.device)
    for i in range(k):
        rank = rank + table[i][ordered[..., i]]
    return rank


def unrank_subsets(ranks: Tensor, n: int, k: int) -> Tensor:
    """The inverse of `rank_subsets`: LongTensor[...] -> ascending LongTensor[..., k]."""
    table = binomials(n, k, ranks.device)
    columns: list[Tensor] = []
    for i in reversed(range(k)):
        column = torch.searchsorted(table[i], ranks, right=True) - 1
        ranks = ranks - table[i][column]
        columns.append(column)
    if not columns:
        return torch.empty((*ranks.shape, 0), dtype=torch.int64, device=ranks.device)
    return torch.stack(columns[::-1], dim=-1)


def among_remaining(positions: Tensor, taken: Tensor) -> Tensor:
    """Renumber `positions` [..., k] as if the positions `taken` [..., t] did not exist."""
    return positions - (taken.unsqueeze(-2) < positions.unsqueeze(-1)).sum(-1)


def among_all(positions: Tensor, taken: Tensor) -> Tensor:
    """The inverse of `among_remaining`."""
    for position in taken.sort(dim=-1).values.unbind(-1):
        positions = positions + (positions >= position.unsqueeze(-1)).long()
    return positions

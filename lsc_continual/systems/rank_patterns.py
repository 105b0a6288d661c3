"""Which coordinates, by rank, the K nearest vectors of V^{mk} can possibly use.

Sort the coordinates of an embedding in descending order and describe a vector of V^{mk} by the
ranks of its plus and minus entries. Moving a plus entry to a lower rank, or a minus entry to a
higher one, never makes the vector nearer. So a vector that K or more others dominate in this
sense is never needed among the K nearest, whatever the embedding: the candidates for the K nearest
form one list of rank patterns that all embeddings share, about K log K of them.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

MAX_RANKED = 1024
"""The longest list of nearest vectors that patterns are made for."""


def _dominators(ranks: np.ndarray, half: int) -> np.ndarray:
    """How many subsets of 0 … half − 1 are componentwise at most each row of `ranks` (ascending).

    [patterns, size] -> [patterns]
    """
    patterns, size = ranks.shape
    last = np.arange(half)
    below = np.ones((patterns, half), dtype=np.int64)  # subsets of length i that end before `last`
    for i in range(size):
        bound = np.minimum(ranks[:, i], half - size + i)
        upto = np.cumsum(np.where(last <= bound[:, None], below, 0), axis=1)
        below = np.concatenate([np.zeros((patterns, 1), np.int64), upto[:, :-1]], axis=1)
        total = upto[:, -1]
    return total if size else np.ones(patterns, dtype=np.int64)


def _side(size: int, dim: int, half: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """All `size`-subsets of ranks with at most `count` dominators, fewest dominators first.

    Returns [patterns, size] and the number of dominators, [patterns].
    """
    frontier = np.arange(size, dtype=np.int64)[None, :]
    found = [frontier]
    while len(frontier):  # one step: raise one rank of one pattern by one
        ceiling = np.concatenate([frontier[:, 1:], np.full((len(frontier), 1), dim)], axis=1)
        grown = [
            frontier[frontier[:, i] + 1 < ceiling[:, i]] + np.eye(size, dtype=np.int64)[i]
            for i in range(size)
        ]
        frontier = np.unique(np.concatenate(grown), axis=0) if size else frontier[:0]
        frontier = frontier[_dominators(frontier, half) <= count]
        found.append(frontier)
    patterns = np.concatenate(found)
    dominators = _dominators(patterns, half)
    order = np.argsort(dominators, kind="stable")
    return patterns[order], dominators[order]


@lru_cache(maxsize=16)
@torch.inference_mode(False)  # whatever mode the caller is in: what is kept serves training, too
def rank_patterns(
    m: int, k: int, dim: int, count: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Ranks of plus and minus entries that cover the `count` nearest vectors of V^{mk}.

    Ranks count from 0 (largest coordinate) to dim − 1 (smallest). Dominators are counted among
    plus entries in the upper half and minus entries in the lower half, which never collide, so
    the product of the two counts is a lower bound and the list is complete.

    Returns:
        LongTensor[patterns, m] and LongTensor[patterns, k], on `device`.
    """
    half = dim // 2
    plus, plus_dominators = _side(m, dim, half, count)
    minus, minus_dominators = _side(k, dim, dim - half, count)
    partners = np.searchsorted(minus_dominators, count // plus_dominators, side="right")
    left = np.repeat(np.arange(len(plus)), partners)
    right = np.arange(len(left)) - np.repeat(np.cumsum(partners) - partners, partners)
    plus, minus = plus[left], dim - 1 - minus[right]
    disjoint = ~(plus[:, :, None] == minus[:, None, :]).any(axis=(1, 2))
    plus, minus = plus[disjoint], minus[disjoint]
    return torch.from_numpy(plus).to(device), torch.from_numpy(minus).to(device)

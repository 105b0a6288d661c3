"""What a solution needs to know of the samples of a reservoir."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from lsc_continual.learners.reservoir import Kept
from lsc_continual.learners.solution import Solution

_CHUNK = 1024  # samples whose features are computed at once


class Seen:
    """What a solution needs to know of the samples of a reservoir; only new ones are computed.

    Args:
        digests, first: of samples whose first leverages are known.
    """

    def __init__(
        self,
        solution: Solution,
        digests: NDArray[np.uint64] | None = None,
        first: Tensor | None = None,
    ) -> None:
        self.solution = solution
        self._digests = np.empty(0, np.uint64) if digests is None else digests
        self._first = torch.empty(0).double() if first is None else first
        self._rows: Tensor | None = None  # of X̃, if they are at hand
        self._now: Tensor | None = None  # their leverages at `_rank`
        self._rank = 0

    def of(self, kept: Kept, expand: Callable[[Tensor], Tensor]) -> Tensor:
        """Rows of X̃: FloatTensor[count, 1 + features]."""
        if self._rows is None or not np.array_equal(kept.digests, self._digests):
            self._look(kept, expand)
        assert self._rows is not None
        return self._rows

    def leverages(self, kept: Kept, expand: Callable[[Tensor], Tensor]) -> Tensor:
        """What they weigh by now: DoubleTensor[count]."""
        same = np.array_equal(kept.digests, self._digests)
        if not self.solution.rank and same:
            return self._first
        if self._now is None or self._rank != self.solution.rank or not same:
            rows = self.of(kept, expand)
            self._now, self._rank = self.solution.leverages(rows, self._first), self.solution.rank
        return self._now

    def _look(self, kept: Kept, expand: Callable[[Tensor], Tensor]) -> None:
        known, place = _found(kept.digests, self._digests)
        if self._rows is None:
            rows = expanded(kept.embeddings, expand)
        else:
            rows = torch.empty(len(known), self._rows.shape[1])
            rows[known] = self._rows[place[known]]
            rows[~known] = expanded(kept.embeddings[~known], expand)
        first = torch.empty(len(known)).double()
        first[known] = self._first[place[known]]
        if not known.all():
            first[~known] = self.solution.first_leverages(rows[~known])
        self._digests, self._rows, self._first, self._now = kept.digests, rows, first, None


def expanded(embeddings: Tensor, expand: Callable[[Tensor], Tensor]) -> Tensor:
    """Rows of X̃: FloatTensor[count, 1 + features]."""
    rows = torch.ones(len(embeddings), 1 + expand(embeddings[:0]).shape[1])
    for out, some in zip(rows.split(_CHUNK), embeddings.split(_CHUNK), strict=True):
        out[:, 1:] = expand(some)
    return rows


def _found(digests: NDArray[np.uint64], among: NDArray[np.uint64]) -> tuple[Tensor, Tensor]:
    """Which digests are among sorted others, and where: BoolTensor, LongTensor[digests]."""
    if not len(among):
        return torch.zeros(len(digests), dtype=torch.bool), torch.zeros(len(digests)).long()
    place = np.minimum(np.searchsorted(among, digests), len(among) - 1)
    return torch.from_numpy(among[place] == digests), torch.from_numpy(place)


def with_one(features: Tensor) -> Tensor:
    """Features as rows of X̃."""
    return F.pad(features, (1, 0), value=1)

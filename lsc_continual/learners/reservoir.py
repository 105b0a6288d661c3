"""A bounded sample of what was learned, which merges and forgets as well."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Kept(NamedTuple):
    """Some samples of a reservoir, each once."""

    embeddings: Tensor
    """FloatTensor[count, width]."""
    ordinals: Tensor
    """LongTensor[count]: of the classes; −1 for those that are gone."""
    digests: NDArray[np.uint64]
    """Ascending."""
    times: Tensor
    """LongTensor[count]: how often each was learned."""

    def renumbered(self, ordinals: Tensor) -> Kept:
        """With other numbers of classes: LongTensor[classes so far], −1 for those that are gone."""
        if not len(ordinals):
            return self._replace(ordinals=torch.full_like(self.ordinals, -1))
        now = torch.where(self.ordinals < 0, -1, ordinals[self.ordinals.clamp_min(0)])
        return self._replace(ordinals=now)

    def part(self, rows: Tensor | slice) -> Kept:
        """Some of them, in their order: BoolTensor[count] or a slice."""
        chosen = rows if isinstance(rows, slice) else rows.numpy()
        digests = self.digests[chosen]
        return Kept(self.embeddings[rows], self.ordinals[rows], digests, self.times[rows])


def counted(
    embeddings: Tensor, ordinals: Tensor, digests: NDArray[np.uint64], times: Tensor | None = None
) -> Kept:
    """Samples, of which some may be the same, each once.

    Args:
        times: how often each counts; by default once.
    """
    times = torch.ones(len(digests), dtype=torch.long) if times is None else times
    unique, first, place = np.unique(digests, return_index=True, return_inverse=True)
    where = torch.from_numpy(place.reshape(-1))
    total = torch.zeros(len(unique), dtype=torch.long).index_add_(0, where, times)
    # A class that was retired and came again has a number again.
    latest = torch.full((len(unique),), -1).scatter_reduce_(0, where, ordinals, "amax")
    return Kept(embeddings[torch.from_numpy(first)].float(), latest, unique, total)


class Reservoir:
    """The samples with the least digests: a fair sample that does not depend on their order.

    So the reservoir of two is the union's (bottom-k sampling; Cohen and Kaplan, 2007). What is
    forgotten leaves; as only the least digests are `used`, others take its place, as long as the
    rest lasts.

    Args:
        width: of the embeddings.
        used: how many samples count, at most.
        capacity: how many are kept, at most.
    """

    def __init__(self, width: int, used: int, capacity: int) -> None:
        self.capacity = capacity
        self.limit = used
        nothing = torch.empty(0).long()
        self._kept = counted(torch.empty(0, width), nothing, np.empty(0, np.uint64))

    def __len__(self) -> int:
        return len(self._kept.digests)

    @property
    def used(self) -> Kept:
        """The samples that count."""
        return self._kept.part(slice(self.limit))

    @property
    def kept(self) -> Kept:
        """All of them."""
        return self._kept

    def add(self, more: Kept) -> None:
        """Offer samples."""
        mine = self._kept
        together = counted(
            torch.cat([mine.embeddings, more.embeddings]),
            torch.cat([mine.ordinals, more.ordinals]),
            np.concatenate([mine.digests, more.digests]),
            torch.cat([mine.times, more.times]),
        )
        self._kept = together.part(slice(self.capacity))

    def remove(self, digests: NDArray[np.uint64]) -> None:
        """Take out samples, each as often as it comes among `digests`, where they are here."""
        gone, often = np.unique(digests, return_counts=True)
        place = np.minimum(np.searchsorted(gone, self._kept.digests), max(len(gone) - 1, 0))
        here = gone[place] == self._kept.digests if len(gone) else np.zeros(len(self), bool)
        fewer = torch.from_numpy(np.where(here, often[place] if len(gone) else 0, 0))
        left = self._kept._replace(times=self._kept.times - fewer)
        self._kept = left.part(left.times > 0)

    def renumber(self, ordinals: Tensor) -> None:
        """Give classes other numbers: LongTensor[classes so far], −1 for those that are gone."""
        self._kept = self._kept.renumbered(ordinals)

    def restore(self, kept: Kept) -> None:
        """Go on from what was `kept`."""
        self._kept = kept

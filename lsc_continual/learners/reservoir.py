"""A bounded sample of what was learned, which merges and forgets as well."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Kept(NamedTuple):
    """Some samples of a reservoir."""

    embeddings: Tensor
    """FloatTensor[count, width]."""
    ordinals: Tensor
    """LongTensor[count]: of the classes."""
    digests: NDArray[np.uint64]

    def renumbered(self, ordinals: Tensor) -> Kept:
        """With other numbers of classes: LongTensor[classes so far], −1 for those that are gone."""
        if not len(ordinals):
            return self._replace(ordinals=torch.full_like(self.ordinals, -1))
        now = torch.where(self.ordinals < 0, -1, ordinals[self.ordinals.clamp_min(0)])
        return self._replace(ordinals=now)


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
        self._kept = Kept(torch.empty(0, width), torch.empty(0).long(), np.empty(0, np.uint64))

    def __len__(self) -> int:
        return len(self._kept.digests)

    @property
    def used(self) -> Kept:
        """The samples that count, in the order of their digests."""
        embeddings, ordinals, digests = self._kept
        return Kept(embeddings[: self.limit], ordinals[: self.limit], digests[: self.limit])

    @property
    def kept(self) -> Kept:
        """All of them."""
        return self._kept

    def add(self, more: Kept) -> None:
        """Offer samples."""
        embeddings = torch.cat([self._kept.embeddings, more.embeddings.to(torch.float32)])
        ordinals = torch.cat([self._kept.ordinals, more.ordinals])
        digests = np.concatenate([self._kept.digests, more.digests])
        order = np.argsort(digests, kind="stable")[: self.capacity]
        rows = torch.from_numpy(order)
        self._kept = Kept(embeddings[rows], ordinals[rows], digests[order])

    def remove(self, digests: NDArray[np.uint64]) -> None:
        """Take out samples, each as often as it comes among `digests`, where they are here."""
        times = Counter(digests.tolist())
        stay = []
        for row, digest in enumerate(self._kept.digests.tolist()):
            if times[digest]:
                times[digest] -= 1
            else:
                stay.append(row)
        embeddings, ordinals, digests = self._kept
        self._kept = Kept(embeddings[stay], ordinals[stay], digests[stay])

    def renumber(self, ordinals: Tensor) -> None:
        """Give classes other numbers: LongTensor[classes so far], −1 for those that are gone."""
        self._kept = self._kept.renumbered(ordinals)

    def restore(self, kept: Kept) -> None:
        """Go on from what was `kept`."""
        self._kept = kept

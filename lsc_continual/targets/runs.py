"""Different integers in an order of their own, kept as runs of consecutive ones."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

import torch
from torch import Tensor

from lsc_continual.errors import LSCError
from lsc_continual.targets.table import Table, different

LOWEST, HIGHEST = 1 - 2**63, 2**63 - 2  # the integers before and after have 64 bits too

_NONE = Table.of(torch.empty(0, dtype=torch.int64))
_DAMAGED = "a saved target map has impossible labels: it is damaged"


class Runs:
    """Integers between `LOWEST` and `HIGHEST`, each once: place → integer, integer → place.

    Costs 24 bytes for each run of consecutive integers, so next to nothing for `range(10**7)`.
    Never changed: `extended` and `without` make another.

    Args:
        starts: the integer that each run begins with; runs are numbered in order of places.
        bounds: the place where each run begins and where the last one ends, LongTensor[runs + 1].
    """

    def __init__(self, starts: Table, bounds: Tensor) -> None:
        self._starts = starts
        self._bounds = bounds
        self._copies: dict[torch.device, Tensor] = {}

    @classmethod
    def of_range(cls, start: int, stop: int) -> Runs:
        """start, …, stop − 1, or nothing."""
        if stop <= start:
            return cls(_NONE, torch.tensor([0]))
        return cls(Table.of(torch.tensor([start])), torch.tensor([0, stop - start]))

    @classmethod
    def of(cls, values: Tensor) -> Runs:
        """Each of `values`, LongTensor[count], once, in order of first appearance."""
        if not (values[1:] > values[:-1]).all():
            values = different(values)
        begins = torch.ones(len(values), dtype=torch.bool)
        begins[1:] = values[1:] != values[:-1] + 1
        place = begins.nonzero().squeeze(-1)
        return cls(Table.of(values[place]), torch.cat([place, torch.tensor([len(values)])]))

    @classmethod
    def of_lengths(cls, starts: Tensor, lengths: Tensor) -> Runs:
        """Runs that do not overlap, in order of places, LongTensor[runs] both."""
        bounds = torch.cat([torch.tensor([0]), lengths.cumsum(0)])
        return cls(Table.of(starts), bounds)

    @classmethod
    def restored(cls, starts: Tensor, lengths: Tensor) -> Runs:
        """From what was saved.

        Raises:
            LSCError: these are not runs of different integers.
        """
        if starts.ndim != 1 or starts.shape != lengths.shape:
            raise LSCError(_DAMAGED)
        runs = cls.of_lengths(starts, lengths)
        values, length = runs._starts.values, lengths[runs._starts.owners]
        room = values.diff(append=torch.tensor([HIGHEST + 1]))
        # A room of 2⁶³ and more is negative here.
        enough = (length >= 1) & ((length <= room) | (room < 0))
        if not (enough.all() and (values >= LOWEST).all()):
            raise LSCError(_DAMAGED)
        return runs

    def __len__(self) -> int:
        return int(self._bounds[-1])

    def __deepcopy__(self, memo: dict[int, Any]) -> Runs:
        return self

    @property
    def starts(self) -> Tensor:
        """The integer that each run begins with, in order of places: LongTensor[runs]."""
        return self._starts.integer(torch.arange(len(self._starts)))

    @property
    def lengths(self) -> Tensor:
        """How many integers each run holds, in order of places: LongTensor[runs]."""
        return self._bounds.diff()

    @property
    def extremes(self) -> tuple[int, int]:
        """The least and the greatest of at least one integer."""
        return int(self._starts.values[0]), int(self._last(torch.tensor(len(self._starts) - 1)))

    def place(self, value: int) -> int:
        """Place of an integer, −1 for one that is not there."""
        rank = bisect_right(self._starts.values.numpy(), value) - 1
        if rank < 0:
            return -1
        run = int(self._starts.owners[rank])
        place = int(self._bounds[run]) + value - int(self._starts.values[rank])
        return place if place < int(self._bounds[run + 1]) else -1

    def value(self, place: int) -> int:
        """The integer at a place between 0 and the number of them."""
        run = bisect_right(self._bounds.numpy(), place) - 1
        return int(self._starts.values[self._starts.ranks[run]]) + place - int(self._bounds[run])

    def places(self, values: Tensor) -> Tensor:
        """As `place`, on the device of `values`: LongTensor[...] -> LongTensor[...]."""
        if not len(self):
            return torch.full_like(values, -1)
        starts, bounds = self._starts.on(values.device), self._bounds_on(values.device)
        # Below the first start comes rank −1, the last run: it begins further up, so holds none.
        rank = torch.searchsorted(starts.values, values.contiguous(), right=True) - 1
        run = starts.owners[rank]
        begin, offset = bounds[run], values - starts.values[rank]
        inside = (offset >= 0) & (offset < bounds[run + 1] - begin)  # no offset that overflowed is
        return torch.where(inside, begin + offset, -1)

    def values(self, places: Tensor) -> Tensor:
        """As `value`, on the device of `places`: LongTensor[...] -> LongTensor[...]."""
        if not len(self):
            return places.clone()
        if len(self._starts) == 1:
            return places + int(self._starts.values[0])
        starts, bounds = self._starts.on(places.device), self._bounds_on(places.device)
        run = torch.searchsorted(bounds, places.contiguous(), right=True) - 1
        return starts.integer(run) + (places - bounds[run])

    def _bounds_on(self, device: torch.device) -> Tensor:
        if device == self._bounds.device:
            return self._bounds
        if device not in self._copies:
            # Whatever mode the caller is in: what is kept has to serve training too.
            with torch.inference_mode(False):
                self._copies[device] = self._bounds.to(device)
        return self._copies[device]

    def without(self, known: Runs) -> Runs:
        """Those integers that are not among the known ones, in their order."""
        if not len(self) or not len(known):
            return self
        # All by rank, that is by ascending start. A known run is in the way of one of these if it
        # ends at the start or behind (from `first` on) and begins before the end (up to `stop`).
        starts, lasts = self._starts.values, self._last(torch.arange(len(self._starts)))
        first = torch.searchsorted(known._starts.values, starts, right=True) - 1
        first += known._last(first) < starts
        first.clamp_min_(0)
        stop = torch.searchsorted(known._starts.values, lasts, right=True)
        cuts = stop - first
        if not cuts.any():
            return self
        # With n known runs in the way n + 1 gaps are left, some empty: before each, behind all.
        run = torch.arange(len(cuts)).repeat_interleave(cuts + 1)
        gap = torch.arange(len(run)) - ((cuts + 1).cumsum(0) - (cuts + 1))[run]
        rank = first[run] + gap
        begin = torch.where(gap == 0, starts[run], known._last(rank - 1) + 1)
        end = torch.where(gap == cuts[run], lasts[run], known._first(rank) - 1)
        left = begin <= end
        order = self._starts.owners[run[left]].argsort(stable=True)
        begin, end = begin[left][order], end[left][order]
        return Runs.of_lengths(begin, end - begin + 1)

    def _first(self, ranks: Tensor) -> Tensor:
        """First integer of the runs with these ranks; of some run for a rank that there is not."""
        return self._starts.values[ranks.clamp(0, len(self._starts) - 1)]

    def _last(self, ranks: Tensor) -> Tensor:
        run = self._starts.owners[ranks.clamp(0, len(self._starts) - 1)]
        return self._first(ranks) + self._bounds[run + 1] - self._bounds[run] - 1

    def extended(self, new: Runs) -> Runs:
        """With further integers, none of which it holds, behind its own."""
        if not len(self) or not len(new):
            return self if len(self) else new
        shifted = new._bounds[1:] + len(self)
        if new.value(0) != self.value(len(self) - 1) + 1:
            return Runs(self._starts.extended(new._starts), torch.cat([self._bounds, shifted]))
        # The first new run continues the last one.
        others = Table.of(new.starts[1:]) if len(new._starts) > 1 else _NONE
        return Runs(self._starts.extended(others), torch.cat([self._bounds[:-1], shifted]))

"""Different integers by number, such as the label of each class or the address that it owns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lsc_continual.errors import LSCError

_MOST = 2**26  # integers in several rows, unless there are as many rows
_SAMPLE = 2**16  # numbers that are checked in a table that was read back


@dataclass(frozen=True)
class Interval:
    """first, first + 1, …, first + count − 1, numbered in this order: a table without memory."""

    first: int = 0
    count: int = 0

    def __len__(self) -> int:
        return self.count

    def on(self, device: torch.device) -> Interval:
        """The same on another device."""
        return self

    @property
    def extremes(self) -> tuple[int, int]:
        """The least and the greatest of at least one integer."""
        return self.first, self.first + self.count - 1

    def integer(self, numbers: Tensor) -> Tensor:
        """The integer with each number: LongTensor[...] -> LongTensor[...]."""
        return numbers + self.first

    def number(self, integers: Tensor) -> Tensor:
        """The number of each integer, −1 if it has none: LongTensor[...] -> LongTensor[...]."""
        least, greatest = self.extremes
        inside = (integers >= least) & (integers <= greatest)
        return torch.where(inside, integers - least, -1)


class Table:
    """Different 64-bit integers in any order, looked up either way: 16 bytes each.

    Never changed, so that copies share it: `extended` makes another.

    Args:
        values: the integers, ascending, LongTensor[count].
        owners: the number of each of these, IntTensor[count]; LongTensor beyond 2³¹.
        ranks: for each number, the place of its integer among `values`, of the type of `owners`.
    """

    def __init__(self, values: Tensor, owners: Tensor, ranks: Tensor) -> None:
        self.values = values
        self.owners = owners
        self.ranks = ranks
        self._copies: dict[torch.device, Table] = {}

    @classmethod
    def of(cls, integers: Tensor) -> Table:
        """Of different integers, LongTensor[count], numbered in their order."""
        values, owners = integers.sort()
        return cls._of_owners(values, owners.to(_index_type(len(owners))))

    @classmethod
    def _of_owners(cls, values: Tensor, owners: Tensor) -> Table:
        ranks = torch.empty_like(owners)
        ranks[owners] = torch.arange(len(owners), dtype=owners.dtype)
        return cls(values, owners, ranks)

    def __len__(self) -> int:
        return len(self.values)

    def __deepcopy__(self, memo: dict[int, Any]) -> Table:
        return self

    def on(self, device: torch.device) -> Table:
        """The same on another device, copied once."""
        if device == self.values.device:
            return self
        if device not in self._copies:
            # Whatever mode the caller is in: what is kept has to serve training too.
            with torch.inference_mode(False):
                parts = (self.values, self.owners, self.ranks)
                self._copies[device] = Table(*(part.to(device) for part in parts))
        return self._copies[device]

    @property
    def extremes(self) -> tuple[int, int]:
        """As of an `Interval`."""
        return int(self.values[0]), int(self.values[-1])

    def integer(self, numbers: Tensor) -> Tensor:
        """As of an `Interval`."""
        return self.values[self.ranks[numbers]]

    def number(self, integers: Tensor) -> Tensor:
        """As of an `Interval`."""
        if not len(self):
            return torch.full_like(integers, -1)
        rank = torch.searchsorted(self.values, integers.contiguous()).clamp_max(len(self) - 1)
        return torch.where(self.values[rank] == integers, self.owners[rank], -1).long()

    def extended(self, integers: Tensor) -> Table:
        """With further integers, all different and none of these, numbered on."""
        if not len(self):
            return Table.of(integers)
        dtype = _index_type(len(self) + len(integers))
        # Merged: sorting everything anew would make many small extensions slow.
        arriving, order = integers.sort()
        place = torch.searchsorted(self.values, arriving).numpy()
        values = np.insert(self.values.numpy(), place, arriving.numpy())
        owners = np.insert(self.owners.to(dtype).numpy(), place, order.numpy() + len(self))
        return Table._of_owners(torch.from_numpy(values), torch.from_numpy(owners))

    def is_sound(self, least: int, greatest: int) -> bool:
        """Whether a table that was read back can be one, of integers between these.

        That it refers to itself rightly is seen on a sample: looking everywhere, at random places
        of a large file, would take longer than all else. No look-up leaves it in any case.
        """
        count, index_type = len(self), _index_type(len(self))
        for part, dtype, low, high in (
            (self.values, torch.int64, least, greatest),
            (self.owners, index_type, 0, count - 1),
            (self.ranks, index_type, 0, count - 1),
        ):
            if part.dtype != dtype or part.shape != (count,):
                return False
            if count and not low <= int(part.min()) <= int(part.max()) <= high:
                return False
        sample = torch.arange(0, count, 1 + count // _SAMPLE)
        ascending = bool((self.values[1:] > self.values[:-1]).all())
        return ascending and self.owners[self.ranks[sample]].equal(sample.to(index_type))


Integers = Interval | Table


def numbered(values: Tensor) -> Integers:
    """Each of `values`, LongTensor[count], once, in order of first appearance."""
    first, count = int(values[0]) if len(values) else 0, len(values)
    if not count or (values[-1] - first == count - 1 and (values[1:] > values[:-1]).all()):
        return Interval(first, count)
    table = Table.of(values)
    repeated = (table.values[1:] == table.values[:-1]).any()
    return numbered(different(values)) if repeated else table


def different(values: Tensor) -> Tensor:
    """Each of `values` once, in order of first appearance: LongTensor[...] -> LongTensor[...]."""
    ordered, place = values.sort(stable=True)
    first = torch.ones(len(values), dtype=torch.bool)
    first[place[1:][ordered[1:] == ordered[:-1]]] = False
    return values[first]


def all_of(integers: Integers) -> Tensor:
    """LongTensor[count], in their order."""
    return integers.integer(torch.arange(len(integers)))


def joined(known: Integers, new: Integers) -> Integers:
    """The known ones and behind them new ones, none of which is known."""
    if not len(known) or not len(new):
        return known if len(known) else new
    if isinstance(known, Table):
        return known.extended(all_of(new))
    if isinstance(new, Interval) and new.first == known.first + known.count:
        return Interval(known.first, known.count + new.count)
    return Table.of(torch.cat([all_of(known), all_of(new)]))


def intervals(integers: Integers) -> tuple[Tensor, Tensor]:
    """To save: where each row of consecutive integers begins, and its length, LongTensor[rows]."""
    if isinstance(integers, Interval):
        return torch.tensor([integers.first]), torch.tensor([integers.count])
    values = all_of(integers)
    # The lowest integer does not follow the highest, though the sum overflows.
    breaks = (values[1:] != values[:-1] + 1) | (values[1:] < values[:-1])
    begins = torch.cat([torch.tensor([0]), breaks.nonzero()[:, 0] + 1])
    return values[begins], begins.diff(append=torch.tensor([len(values)]))


def of_intervals(starts: Tensor, lengths: Tensor) -> Integers:
    """The inverse of `intervals`; LSCError if these are not rows of different integers."""
    damaged = LSCError("a saved target map has impossible labels: it is damaged")
    if starts.ndim != 1 or starts.shape != lengths.shape:
        raise damaged
    if ((lengths < 1) | (starts + (lengths - 1) < starts)).any():  # a sum that overflows is less
        raise damaged
    if len(starts) == 1:
        return Interval(int(starts), int(lengths))
    total = int(lengths.double().sum())
    if total > max(_MOST, 64 * len(starts)):  # from a small file
        raise damaged
    before = (lengths.cumsum(0) - lengths).repeat_interleave(lengths)
    values = starts.repeat_interleave(lengths) + torch.arange(len(before)) - before
    integers = numbered(values)
    if len(integers) != len(values):
        raise damaged
    return integers


def _index_type(count: int) -> torch.dtype:
    return torch.int32 if count < 2**31 else torch.int64

"""A table of different integers by number, such as the address that each class owns."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

_SAMPLE = 2**16  # numbers that are checked in a table that was read back


class Table:
    """Different 64-bit integers, numbered, looked up either way: 16 bytes each.

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
        """The same table on another device, copied once."""
        if device == self.values.device:
            return self
        if device not in self._copies:
            # Whatever mode the caller is in: what is kept has to serve training too.
            with torch.inference_mode(False):
                parts = (self.values, self.owners, self.ranks)
                self._copies[device] = Table(*(part.to(device) for part in parts))
        return self._copies[device]

    def integer(self, numbers: Tensor) -> Tensor:
        """The integer with each number: LongTensor[...] -> LongTensor[...]."""
        return self.values[self.ranks[numbers]]

    def number(self, integers: Tensor) -> Tensor:
        """The number of each integer, −1 if it has none: LongTensor[...] -> LongTensor[...]."""
        if not len(self):
            return torch.full_like(integers, -1)
        rank = torch.searchsorted(self.values, integers.contiguous()).clamp_max(len(self) - 1)
        return torch.where(self.values[rank] == integers, self.owners[rank], -1).long()

    def extended(self, new: Table) -> Table:
        """With the integers of another one, all different from these, numbered on."""
        if not len(self) or not len(new):
            return self if len(self) else new
        count = len(self) + len(new)
        dtype = _index_type(count)
        # Merged: sorting everything anew would make many small extensions slow.
        place = torch.searchsorted(self.values, new.values).numpy()
        values = np.insert(self.values.numpy(), place, new.values.numpy())
        arriving = new.owners.to(dtype) + len(self)
        owners = np.insert(self.owners.to(dtype).numpy(), place, arriving.numpy())
        return Table._of_owners(torch.from_numpy(values), torch.from_numpy(owners))

    def is_sound(self) -> bool:
        """Whether a table that was read back can be one.

        That it refers to itself rightly is seen on a sample: looking everywhere, at random places
        of a large file, would take longer than all else. No look-up leaves it in any case.
        """
        count, index_type = len(self), _index_type(len(self))
        parts = [(part.dtype, part.shape) for part in (self.values, self.owners, self.ranks)]
        if parts != [(kind, (count,)) for kind in (torch.int64, index_type, index_type)]:
            return False
        if not count:
            return True
        ends = [int(end) for index in (self.owners, self.ranks) for end in index.aminmax()]
        if min(ends) < 0 or max(ends) >= count or (self.values[1:] <= self.values[:-1]).any():
            return False
        sample = torch.arange(0, count, 1 + count // _SAMPLE)
        return bool((self.owners[self.ranks[sample]] == sample).all())


def different(values: Tensor) -> Tensor:
    """Each of `values` once, in order of first appearance: LongTensor[...] -> LongTensor[...]."""
    ordered, place = values.sort(stable=True)
    first = torch.ones(len(values), dtype=torch.bool)
    first[place[1:][ordered[1:] == ordered[:-1]]] = False
    return values[first]


def _index_type(count: int) -> torch.dtype:
    return torch.int32 if count < 2**31 else torch.int64

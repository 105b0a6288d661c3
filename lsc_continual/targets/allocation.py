"""Allocation: the rule that picks the fresh address of an arriving class.

Classes are numbered here by their *ordinal*, the order of their arrival. An allocation is
append-only: an ordinal keeps its address for ever.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from math import log
from random import Random
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from lsc_continual.errors import CapacityError, LSCError
from lsc_continual.systems import VectorSystem
from lsc_continual.systems.base import Decoded
from lsc_continual.systems.numbering import Numbering
from lsc_continual.targets.names import ALLOCATIONS
from lsc_continual.targets.table import Table, different

_POOL = 4096  # free addresses that are looked at for one class
_LISTED = 2**20  # systems up to this size may have all their addresses listed
_SAVED = 2**16  # addresses that are saved as a list; more of them as tensors
_DAMAGED = "a saved target map has impossible addresses: it is damaged"


class Owners(NamedTuple):
    """Who owns which address, for loops that look it up one by one: by a formula or by a table."""

    size: int
    """Of the system."""
    classes: int
    offset: int
    inverse: int
    """Of the affine rule's step: ordinal = (address − offset) · inverse mod size; 0: see table."""
    addresses: Tensor
    """LongTensor[classes] on the CPU, ascending; empty for the affine rule."""
    ordinals: Tensor
    """IntTensor[classes] (LongTensor beyond 2³¹), the owner of each."""


class Allocation(ABC):
    """A growing injection ordinal → address, with its inverse."""

    name: ClassVar[str]
    needs_embeddings: ClassVar[bool] = False
    """Whether `extend` has to be given where the encoder puts the arriving classes."""

    def __init__(self, system: VectorSystem, seed: int = 0) -> None:
        self.system = system
        self.seed = seed

    @abstractmethod
    def __len__(self) -> int:
        """Number of owned addresses."""

    @abstractmethod
    def addresses(self, ordinals: Tensor) -> Tensor:
        """LongTensor[...] -> LongTensor[...]."""

    @abstractmethod
    def owner(self, addresses: Tensor) -> Tensor:
        """Ordinal that owns each address, or −1. LongTensor[...] -> LongTensor[...]."""

    def decode(self, z: Tensor) -> tuple[Decoded, Tensor]:
        """The nearest vector of the whole system to each embedding, and its owner or −1.

        FloatTensor[batch, dim] -> results of `VectorSystem.decode`, LongTensor[batch].
        """
        decoded = self.system.decode(z)
        return decoded, self.owner(decoded.address)

    @property
    @abstractmethod
    def owners(self) -> Owners:
        """The same for compiled loops."""

    @abstractmethod
    def _extend(self, count: int, embeddings: Tensor | None) -> None: ...

    def extend(self, count: int, embeddings: Tensor | None = None) -> None:
        """Give fresh addresses to the next `count` ordinals.

        Args:
            embeddings: FloatTensor[count, dim], mean embeddings of the arriving classes.

        Raises:
            CapacityError: the system holds too few vectors; nothing is allocated then.
            LSCError: this rule needs embeddings and got none.
        """
        wanted = len(self) + count
        if wanted > self.system.size:
            raise CapacityError.of(self.system, wanted)
        if count and self.needs_embeddings and (embeddings is None or len(embeddings) != count):
            raise LSCError(
                f"allocation {self.name!r} needs one mean embedding for each of the {count} "
                "arriving classes: pass embeddings=, or train through the LSC strategy"
            )
        if count:
            self._extend(count, embeddings)

    def state(self) -> dict[str, object]:
        """What `load_state` needs, in JSON types, and tensors where those would be long lists."""
        return {"count": len(self)}

    @abstractmethod
    def load_state(self, state: dict[str, Any]) -> None:
        """The inverse of `state`; keeps its tensors, without copying them.

        Raises:
            LSCError: it is damaged.
        """


class AffineAllocation(Allocation):
    """address = (α · ordinal + β) mod size with α coprime to size: no table, either way."""

    name = "affine"

    def __init__(self, system: VectorSystem, seed: int = 0) -> None:
        super().__init__(system, seed)
        self._count = 0
        self._numbering = Numbering.drawn(system.size, seed)

    def __len__(self) -> int:
        return self._count

    def addresses(self, ordinals: Tensor) -> Tensor:
        return self._numbering.addresses(ordinals)

    def owner(self, addresses: Tensor) -> Tensor:
        return self._numbering.numbers(addresses, self._count)

    def decode(self, z: Tensor) -> tuple[Decoded, Tensor]:
        return self.system.decode_numbered(z, self._numbering, self._count)

    @property
    def owners(self) -> Owners:
        nothing = torch.empty(0, dtype=torch.int64), torch.empty(0, dtype=torch.int32)
        size, offset, _, inverse = self._numbering
        return Owners(size, self._count, offset, inverse, *nothing)

    def _extend(self, count: int, embeddings: Tensor | None) -> None:
        self._count += count

    def load_state(self, state: dict[str, Any]) -> None:
        count = int(state["count"])
        if not 0 <= count <= self.system.size:
            raise LSCError(_DAMAGED)
        self._count = count


class TableAllocation(Allocation):
    """An allocation that remembers its choices: 16 bytes a class."""

    def __init__(self, system: VectorSystem, seed: int = 0) -> None:
        super().__init__(system, seed)
        self._table = Table.of(torch.empty(0, dtype=torch.int64))

    def __len__(self) -> int:
        return len(self._table)

    @property
    def owners(self) -> Owners:
        return Owners(self.system.size, len(self), 0, 0, self._table.values, self._table.owners)

    def addresses(self, ordinals: Tensor) -> Tensor:
        return self._table.on(ordinals.device).integer(ordinals)

    def owner(self, addresses: Tensor) -> Tensor:
        return self._table.on(addresses.device).number(addresses)

    def _extend(self, count: int, embeddings: Tensor | None) -> None:
        self._table = self._table.extended(Table.of(self._choose(count, embeddings)))

    @abstractmethod
    def _choose(self, count: int, embeddings: Tensor | None) -> Tensor:
        """`count` different free addresses, LongTensor[count] on the CPU."""

    def _generator(self) -> torch.Generator:
        # Seeded by the number of owned addresses too: a restored allocation goes on identically.
        return torch.Generator().manual_seed(Random(f"{self.seed}/{len(self)}").getrandbits(63))

    def _draw_free(self, count: int) -> Tensor:
        """Up to `count` different free addresses, at random (fewer when fewer are left)."""
        size, generator = self.system.size, self._generator()
        if size <= _LISTED:
            shuffled = torch.randperm(size, generator=generator)
            return shuffled[self.owner(shuffled) < 0][:count]
        count = min(count, size - len(self))
        found = torch.empty(0, dtype=torch.int64)
        while len(found) < count:
            # As many as it takes on average, and a few. The choice does not depend on it: those
            # that come first in one endless row of random addresses.
            free, missing = size - len(self) - len(found), count - len(found)
            expected = size * log(free / (free - missing + 0.5))
            draws = min(int(1.01 * expected), 2 * count) + 64
            drawn = torch.randint(size, (draws,), generator=generator)
            found = different(torch.cat([found, drawn[self.owner(drawn) < 0]]))
        return found[:count]

    def _owned(self) -> Tensor:
        """All owned addresses, by ordinal: LongTensor[classes]."""
        return self.addresses(torch.arange(len(self)))

    def _cosines(self, vectors: Tensor, addresses: Tensor) -> Iterator[Tensor]:
        """Cosines of `vectors` with the addressed vectors, some addresses at a time."""
        for some in addresses.split(1024) if len(addresses) else ():
            yield self.system.inner(vectors, some)

    def state(self) -> dict[str, object]:
        table = self._table
        if len(table) <= _SAVED:
            return {"count": len(table), "addresses": self._owned().tolist()}
        parts = {"addresses": table.values, "owners": table.owners, "ranks": table.ranks}
        return {"count": len(table), **parts}

    def load_state(self, state: dict[str, Any]) -> None:
        if "owners" in state:
            table = Table(state["addresses"], state["owners"], state["ranks"])
        else:
            table = Table.of(torch.tensor(state["addresses"], dtype=torch.int64))
        ends = table.values[[0, -1]] if len(table) else table.values
        if not table.is_sound() or (ends < 0).any() or (ends >= self.system.size).any():
            raise LSCError(_DAMAGED)
        self._table = table


class RandomAllocation(TableAllocation):
    """A seeded random choice among the free addresses, as in arXiv 2510.04090."""

    name = "random"

    def _choose(self, count: int, embeddings: Tensor | None) -> Tensor:
        return self._draw_free(count)


class SpreadAllocation(TableAllocation):
    """Greedily the free vector whose largest cosine to the owned ones is smallest.

    Candidates are all free vectors of a system with at most 4,096 vectors, else 4,096 drawn at
    random; of equally good ones, the one with the smallest sum of squared cosines. The cost of an
    arriving class grows with the number of owned ones.
    """

    name = "spread"

    def _choose(self, count: int, embeddings: Tensor | None) -> Tensor:
        # With `count` candidates more than the pool, the last arrivals have a choice too.
        candidates = self._draw_free(_POOL + count)
        vectors = self.system.vectors(candidates)
        nearest = torch.full((len(candidates),), -torch.inf)
        crowding = torch.zeros(len(candidates))
        for cosines in self._cosines(vectors, self._owned()):
            nearest = torch.maximum(nearest, cosines.amax(-1))
            crowding += cosines.square().sum(-1)
        chosen: list[Tensor] = []
        for _ in range(count):
            # Cosines of a system come in few values, apart by far more than 1e-4.
            tied = nearest <= nearest.min() + 1e-4
            best = torch.where(tied, crowding, torch.inf).argmin()
            chosen.append(candidates[best])
            cosines = vectors @ vectors[best]
            nearest = torch.maximum(nearest, cosines)
            crowding += cosines.square()
            nearest[best] = torch.inf
        return torch.stack(chosen)


class AffinityAllocation(TableAllocation):
    """The free vector nearest to where the encoder already puts the arriving class.

    Vectors that are nearest neighbours (cosine `max_cosine`) of an owned one are passed over while
    there is another choice.
    """

    name = "affinity"
    needs_embeddings = True

    def _choose(self, count: int, embeddings: Tensor | None) -> Tensor:
        assert embeddings is not None
        taken = self._owned()
        for mean in embeddings.detach().cpu().float():
            candidates = self._nearest_free(mean, taken)
            vectors = self.system.vectors(candidates)
            crowded = torch.zeros(len(candidates), dtype=torch.bool)
            for cosines in self._cosines(vectors, taken):
                crowded |= cosines.amax(-1) > self.system.max_cosine - 1e-4
            best = 0 if crowded.all() else int((~crowded).nonzero()[0])
            taken = torch.cat([taken, candidates[best : best + 1]])
        return taken[len(self) :]

    def _nearest_free(self, mean: Tensor, taken: Tensor) -> Tensor:
        """Free addresses, nearest to `mean` first: LongTensor[at least one]."""
        limit = self.system.rank_limit()
        if limit:
            listed = self.system.ranked(mean.unsqueeze(0), limit).address[0]
            free = listed[~torch.isin(listed, taken)]
            if len(free):
                return free
        drawn = self._draw_free(_POOL + len(taken) - len(self))
        drawn = drawn[~torch.isin(drawn, taken)]
        scores = F.normalize(mean, dim=0) @ self.system.vectors(drawn).T
        return drawn[scores.argsort(descending=True)]


def make_allocation(name: str, system: VectorSystem, seed: int = 0) -> Allocation:
    """The allocation `name`: "affine", "random", "spread" or "affinity".

    >>> from lsc_continual.systems import make_system
    >>> rule = make_allocation("affine", make_system("v21", dim=384), seed=1)
    >>> rule.extend(1_000_000)
    >>> addresses = rule.addresses(torch.tensor([0, 999_999]))
    >>> rule.owner(addresses)
    tensor([     0, 999999])
    """
    allocation: Allocation = ALLOCATIONS.load(name)(system, seed)
    return allocation

"""Allocations that remember their choices in a table."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from math import log
from random import Random
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lsc_continual.errors import LSCError
from lsc_continual.systems import VectorSystem
from lsc_continual.targets.allocation import DAMAGED, Allocation, Owners
from lsc_continual.targets.table import Table, different

_POOL = 4096  # free addresses that are looked at for one class
_LISTED = 2**20  # systems up to this size may have all their addresses listed
_SAVED = 2**16  # addresses that are saved as a list; more of them as tensors


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
        self._table = self._table.extended(self.choose(count, embeddings))

    @abstractmethod
    def choose(self, count: int, embeddings: Tensor | None) -> Tensor:
        """`count` different free addresses, LongTensor[count] on the CPU."""

    def _draw_free(self, count: int) -> Tensor:
        """Up to `count` different free addresses, at random (fewer when fewer are left)."""
        # Seeded by the number of owned addresses too: a restored allocation goes on identically.
        seed = Random(f"{self.seed}/{len(self)}").getrandbits(63)
        size, generator = self.system.size, torch.Generator().manual_seed(seed)
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
        if not table.is_sound(0, self.system.size - 1):
            raise LSCError(DAMAGED)
        self._table = table


class RandomAllocation(TableAllocation):
    """A seeded random choice among the free addresses, as in arXiv 2510.04090."""

    name = "random"

    def choose(self, count: int, embeddings: Tensor | None) -> Tensor:
        return self._draw_free(count)


class SpreadAllocation(TableAllocation):
    """Greedily the free vector whose largest cosine to the owned ones is smallest.

    Candidates are all free vectors of a system with at most 4,096 vectors, else 4,096 drawn at
    random; of equally good ones, the one with the smallest sum of squared cosines. The cost of an
    arriving class grows with the number of owned ones.
    """

    name = "spread"

    def choose(self, count: int, embeddings: Tensor | None) -> Tensor:
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

    def choose(self, count: int, embeddings: Tensor | None) -> Tensor:
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

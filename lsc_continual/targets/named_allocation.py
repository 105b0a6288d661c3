"""The allocation that needs no table of order: a class's address follows from its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

import torch
from torch import Tensor

from lsc_continual.errors import LSCError
from lsc_continual.systems import VectorSystem
from lsc_continual.targets.allocation import DAMAGED
from lsc_continual.targets.table import Table
from lsc_continual.targets.table_allocation import TableAllocation

_HASHED = 64  # addresses of a name that are tried; then the following ones, one by one


class NamedAllocation(TableAllocation):
    """address(name) = h(seed, name, 0) mod size, or the next one that nobody owns.

    So the same name has the same target on every machine and in any order of arrival, unless two
    names meet at an address: then the later one has h(seed, name, 1), …. With N names there are
    N²/(2·size) such pairs on average: 0.9 for 100,000 names in V22 with n = 384, 178 in V21. They
    are remembered in `collisions`.

    The address of a class that was retired is never given to another name.
    """

    name = "named"
    needs_names = True

    def __init__(self, system: VectorSystem, seed: int = 0) -> None:
        super().__init__(system, seed)
        self.collisions: dict[str, int] = {}
        """Names whose first address another one had, and how many they had to pass over."""
        self.retired: dict[str, int] = {}

    def extend(
        self, count: int, embeddings: Tensor | None = None, names: Sequence[str] | None = None
    ) -> None:
        """As of any allocation; by default classes are called by their numbers."""
        if names is None:
            super().extend(count, embeddings)
            return
        self.system.require_capacity(len(self) + count)
        self._table = self._table.extended(self._choose(names))

    def choose(self, count: int, embeddings: Tensor | None) -> Tensor:
        return self._choose([str(number) for number in range(len(self), len(self) + count)])

    def _choose(self, names: Sequence[str]) -> Tensor:
        first = torch.tensor([self._hashed(name, 0) for name in names], dtype=torch.int64)
        owned = (self.owner(first) >= 0).tolist()
        taken = set(self.retired.values())
        chosen = []
        for name, address, is_owned in zip(names, first.tolist(), owned, strict=True):
            tries = 0
            if name in self.retired:
                address = self.retired.pop(name)
            else:
                while is_owned or address in taken:
                    tries += 1
                    address = self._tried(name, tries)
                    is_owned = int(self.owner(torch.tensor([address]))) >= 0
            if tries:
                self.collisions[name] = tries
            taken.add(address)
            chosen.append(address)
        return torch.tensor(chosen, dtype=torch.int64)

    def _tried(self, name: str, tries: int) -> int:
        """The address that a name has after so many that were taken."""
        beyond = max(0, tries - _HASHED)
        return (self._hashed(name, min(tries, _HASHED)) + beyond) % self.system.size

    def _hashed(self, name: str, tries: int) -> int:
        text = f"{self.seed}\0{tries}\0{name}".encode(errors="surrogatepass")
        return int.from_bytes(blake2b(text, digest_size=16).digest()) % self.system.size

    def retire(self, ordinals: Tensor, names: Sequence[str], *, reserve: bool) -> None:
        addresses = self.addresses(ordinals).tolist()
        if reserve:
            self.retired |= dict(zip(names, addresses, strict=True))
        else:
            self.collisions = {k: n for k, n in self.collisions.items() if k not in set(names)}
        stay = torch.ones(len(self), dtype=torch.bool)
        stay[ordinals] = False
        self._table = Table.of(self._owned()[stay])

    def reserve(self, retired: Mapping[str, int]) -> None:
        self.retired |= retired

    def state(self) -> dict[str, object]:
        return super().state() | {"collisions": self.collisions, "retired": self.retired}

    def load_state(self, state: dict[str, Any]) -> None:
        super().load_state(state)
        collisions, retired = state["collisions"], state["retired"]
        for part in (collisions, retired):
            if not isinstance(part, dict) or not all(type(n) is int for n in part.values()):
                raise LSCError(DAMAGED)
        self.collisions, self.retired = dict(collisions), dict(retired)

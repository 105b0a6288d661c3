"""Allocation: the rule that picks the fresh address of an arriving class.

Classes are numbered here by their *ordinal*, the order of their arrival. An allocation is
append-only: an ordinal keeps its address for ever.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from lsc_continual.errors import LSCError
from lsc_continual.systems import VectorSystem
from lsc_continual.systems.base import Decoded
from lsc_continual.systems.numbering import Numbering
from lsc_continual.targets.names import ALLOCATIONS

DAMAGED = "a saved target map has impossible addresses: it is damaged"


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

    name: str
    """The name that `make_allocation` took."""
    needs_embeddings: ClassVar[bool] = False
    """Whether `extend` has to be given where the encoder puts the arriving classes."""
    retired: Mapping[str, int] = MappingProxyType({})
    """The addresses that are kept for names of classes that were retired."""
    needs_names: ClassVar[bool] = False
    """Whether `extend` has to be given the names of the arriving classes."""

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

    def extend(
        self, count: int, embeddings: Tensor | None = None, names: Sequence[str] | None = None
    ) -> None:
        """Give fresh addresses to the next `count` ordinals.

        Args:
            embeddings: FloatTensor[count, dim], mean embeddings of the arriving classes.
            names: of the arriving classes; only "named" looks at them.

        Raises:
            CapacityError: the system holds too few vectors; nothing is allocated then.
            LSCError: this rule needs embeddings and got none.
        """
        self.system.require_capacity(len(self) + count)
        if count and self.needs_embeddings and (embeddings is None or len(embeddings) != count):
            raise LSCError(
                f"allocation {self.name!r} needs one mean embedding for each of the {count} "
                "arriving classes: pass embeddings=, or train through the LSC strategy"
            )
        if count:
            self._extend(count, embeddings)

    def retire(self, ordinals: Tensor, names: Sequence[str], *, reserve: bool) -> None:
        """Take classes out; those behind them move up.

        Args:
            ordinals: LongTensor[count].
            names: of these.
            reserve: whether their addresses are never given to others.

        Raises:
            LSCError: this rule goes by the order of arrival, and keeps every class.
        """
        raise self._ordered()

    def reserve(self, retired: Mapping[str, int]) -> None:
        """Keep addresses for names of classes that were retired elsewhere; LSCError as above."""
        raise self._ordered()

    def _ordered(self) -> LSCError:
        return LSCError(
            f"allocation={self.name} gives targets by the order of arrival, so that no class can "
            "be taken out: models that are made by lsc-cl learn, or with allocation=named, can"
        )

    def state(self) -> dict[str, object]:
        """What `load_state` needs, in JSON types, and tensors where those would be long lists."""
        return {"count": len(self)}

    @abstractmethod
    def load_state(self, state: dict[str, Any]) -> None:
        """The inverse of `state`, whose tensors it keeps uncopied; LSCError if it is damaged."""


class AffineAllocation(Allocation):
    """address = (α · ordinal + β) mod size with α coprime to size: no table, either way.

    A system of `nested` ones is given away one of them after another, each by such a rule.
    """

    name = "affine"

    def __init__(self, system: VectorSystem, seed: int = 0) -> None:
        super().__init__(system, seed)
        self._count = 0
        self._numbering = Numbering.drawn(system.size, seed)
        self.parts = [AffineAllocation(nested, seed) for nested in system.nested]

    def __len__(self) -> int:
        return self._count

    @property
    def placed(self) -> Iterator[tuple[int, AffineAllocation]]:
        """The parts, each with its first address, which is its first ordinal as well."""
        sizes = [part.system.size for part in self.parts]
        return zip(accumulate(sizes, initial=0), self.parts)

    def addresses(self, ordinals: Tensor) -> Tensor:
        if not self.parts:
            return self._numbering.addresses(ordinals)
        addresses = ordinals
        for start, part in self.placed:
            inside, own = _inside(ordinals, start, part.system.size)
            addresses = torch.where(inside, part.addresses(own) + start, addresses)
        return addresses

    def owner(self, addresses: Tensor) -> Tensor:
        if not self.parts:
            return self._numbering.numbers(addresses, self._count)
        owner = torch.full_like(addresses, -1)
        for start, part in self.placed:
            inside, own = _inside(addresses, start, part.system.size)
            found = part.owner(own)
            owner = torch.where(inside & (found >= 0), found + start, owner)
        return owner

    def decode(self, z: Tensor) -> tuple[Decoded, Tensor]:
        if self.parts:
            return super().decode(z)
        return self.system.decode_numbered(z, self._numbering, self._count)

    @property
    def owners(self) -> Owners:
        nothing = torch.empty(0, dtype=torch.int64), torch.empty(0, dtype=torch.int32)
        size, offset, _, inverse = self._numbering
        return Owners(size, self._count, offset, inverse, *nothing)

    def _extend(self, count: int, embeddings: Tensor | None) -> None:
        self._take(self._count + count)

    def _take(self, count: int) -> None:
        self._count = count
        for start, part in self.placed:
            part._take(min(max(count - start, 0), part.system.size))

    def load_state(self, state: dict[str, Any]) -> None:
        count = int(state["count"])
        if not 0 <= count <= self.system.size:
            raise LSCError(DAMAGED)
        self._take(count)


def _inside(numbers: Tensor, start: int, size: int) -> tuple[Tensor, Tensor]:
    """Which numbers are in a part, and where in it (anywhere for others)."""
    own = numbers - start
    return (own >= 0) & (own < size), own.clamp(0, size - 1)


def make_allocation(name: str, system: VectorSystem, seed: int = 0) -> Allocation:
    """The allocation `name`: "affine", "random", "spread", "affinity", or "module:attribute".

    >>> from lsc_continual.systems import make_system
    >>> rule = make_allocation("affine", make_system("v21", dim=384), seed=1)
    >>> rule.extend(1_000_000)
    >>> addresses = rule.addresses(torch.tensor([0, 999_999]))
    >>> rule.owner(addresses)
    tensor([     0, 999999])
    """
    allocation = ALLOCATIONS.make(name, system, seed, of=Allocation)
    allocation.name = name
    return allocation

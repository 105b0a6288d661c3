"""All distinct arrangements of the entries of one base vector: V^{mk}, A_n, the permutohedron."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from math import comb, prod, sqrt
from typing import Any

import torch
from torch import Tensor

from lsc_continual.errors import LSCError
from lsc_continual.kernels import gpu
from lsc_continual.kernels.compiler import over_rows, usable
from lsc_continual.machine.precision import full_precision
from lsc_continual.systems.base import Decoded, VectorSystem, as_float, length_of, told
from lsc_continual.systems.combinations import (
    among_all,
    among_remaining,
    binomials,
    rank_subsets,
    unrank_subsets,
)
from lsc_continual.systems.numbering import Numbering
from lsc_continual.systems.partition import dtype_of_sums, log_arrangement_sum

_FEW = 6  # up to here, repeated arg-max is faster than a sort
_MOST_COMPILED = 16  # entries other than zero for which the compiled loop is made


def extreme_positions(z: Tensor, count: int, largest: bool) -> Tensor:
    """Positions of the `count` largest (or smallest) entries, most extreme first.

    Of equal entries the one with the lowest position comes first, which `torch.topk` does not
    promise. FloatTensor[batch, dim] -> LongTensor[batch, count].
    """
    if count > _FEW:
        return z.sort(dim=-1, descending=largest, stable=True).indices[:, :count]
    positions: list[Tensor] = []
    fill = -torch.inf if largest else torch.inf
    for _ in range(count):
        if positions:
            z = z.scatter(-1, positions[-1], fill)
        found = z.argmax(-1, keepdim=True) if largest else z.argmin(-1, keepdim=True)
        positions.append(found)
    return torch.cat(positions, -1) if positions else z.new_zeros((len(z), 0), dtype=torch.int64)


class Orbit(VectorSystem):
    """The orbit of a base vector under all permutations of coordinates.

    The base vector has `counts[g]` entries `values[g]`, values descending; it is divided by its
    norm. The address is a mixed-radix number: for each value but one (zero if it occurs, else the
    most frequent), in descending order, the rank of its positions among those still free.

    The nearest vector puts the largest values where z is largest (rearrangement inequality;
    Slepian, "Permutation modulation", Proc. IEEE 53, 1965; Theorem 1 of arXiv 2604.00779), and
    the second nearest differs from it by exchanging two neighbours in the sorted order of z.
    """

    def __init__(self, name: str, values: Sequence[float], counts: Sequence[int]) -> None:
        kept = [(float(v), c) for v, c in zip(values, counts, strict=True) if c > 0]
        self.values = tuple(v for v, _ in kept)
        self.counts = tuple(c for _, c in kept)
        self.norm = sqrt(sum(v * v * c for v, c in kept))
        # The value that fills what the others leave, and how many entries lie above it.
        groups = range(len(kept))
        self._rest = max(groups, key=lambda g: (kept[g][0] == 0, kept[g][1]), default=0)
        self._above = sum(self.counts[: self._rest])
        others = kept[: self._rest] + kept[self._rest + 1 :]
        self._other_values, self._other_counts = [v for v, _ in others], [c for _, c in others]
        super().__init__(name, sum(self.counts))
        self._unit_values = [v / self.norm for v in self.values]

    def size_at(self, dim: int) -> int:
        if dim != sum(self.counts):
            raise LSCError(f"the orbit {self.name!r} exists in {sum(self.counts)} dimensions only")
        return prod(self._radices())

    def _radices(self) -> list[int]:
        """Number of position sets of each value but the filling one, in address order."""
        free = sum(self.counts)
        radices = []
        for count in self._other_counts:
            radices.append(comb(free, count))
            free -= count
        return radices

    @property
    def max_cosine(self) -> float:
        steps = [a - b for a, b in zip(self.values, self.values[1:])]
        return 1 - min(step * step for step in steps) / self.norm**2

    def vectors(self, addresses: Tensor) -> Tensor:
        self._check_addresses(addresses)
        shape = (*addresses.shape, self.dim)
        out = torch.full(shape, self.values[self._rest] / self.norm, device=addresses.device)
        for value, positions in zip(self._other_values, self._positions(addresses)):
            out.scatter_(-1, positions, value / self.norm)
        return out

    def _positions(self, addresses: Tensor) -> list[Tensor]:
        """Positions of each value but the filling one: LongTensor[..., count] each."""
        digits: list[Tensor] = []
        remainder = addresses
        for radix in reversed(self._radices()):
            digits.append(remainder % radix)
            remainder = remainder // radix
        taken = addresses.new_zeros((*addresses.shape, 0))
        positions: list[Tensor] = []
        for count, digit in zip(self._other_counts, reversed(digits)):
            chosen = among_all(unrank_subsets(digit, self.dim - taken.shape[-1], count), taken)
            positions.append(chosen)
            taken = torch.cat([taken, chosen], -1)
        return positions

    def _address(self, positions: Sequence[Tensor]) -> Tensor:
        """The inverse of `_positions`."""
        address = torch.zeros_like(positions[0][..., 0])
        taken = positions[0][..., :0]
        for radix, chosen in zip(self._radices(), positions):
            digit = rank_subsets(among_remaining(chosen, taken), self.dim - taken.shape[-1])
            address = address * radix + digit
            taken = torch.cat([taken, chosen], -1)
        return address

    def decode(self, z: Tensor) -> Decoded:
        self.require_batch(z)
        arguments = self._loop_arguments
        if arguments is None or (z.requires_grad and torch.is_grad_enabled()):
            return told(self._decode_plain(as_float(z)))
        if gpu.usable(z):
            return told(Decoded(*self._on_gpu(z)))
        z = as_float(z)
        if z.dtype != torch.float32 or not usable(z):
            return told(self._decode_plain(z))
        from lsc_continual.kernels.decode import decode_rows

        address = torch.empty(len(z), dtype=torch.int64)
        score, gap = torch.empty(len(z)), torch.empty(len(z))
        over_rows(decode_rows, len(z), z.contiguous(), *arguments, address, score, gap)
        return told(Decoded(address, score, gap))

    def decode_numbered(
        self, z: Tensor, numbering: Numbering, count: int
    ) -> tuple[Decoded, Tensor]:
        graph = z.requires_grad and torch.is_grad_enabled()
        if self._loop_arguments is None or graph or not gpu.usable(z):
            return super().decode_numbered(z, numbering, count)
        self.require_batch(z)
        *decoded, number = self._on_gpu(z, numbering, count)
        return told(Decoded(*decoded)), number

    @cached_property
    def _loop_arguments(self) -> tuple[int, Tensor, Tensor, Tensor, Tensor] | None:
        """What a compiled loop has to know of the system; None if it is not for the system."""
        if self.values[self._rest] != 0 or not 0 < sum(self._other_counts) <= _MOST_COMPILED:
            return None
        return (
            self._above,
            torch.tensor(self._ladder_values),
            torch.tensor(self._other_counts),
            torch.tensor(self._radices()),
            self.binomials,
        )

    @cached_property
    def _on_gpu(self) -> gpu.CheckedKernel:
        from lsc_continual.kernels.triton_decode import TritonDecoder

        assert self._loop_arguments is not None
        decoder = TritonDecoder(self.norm, *self._loop_arguments)
        return gpu.CheckedKernel(
            "decodes", decoder, self._decode_numbered_plain, self._sample, tolerance=1e-3
        )

    def _decode_numbered_plain(
        self, z: Tensor, numbering: Numbering | None = None, count: int = 0
    ) -> tuple[Tensor, ...]:
        decoded = self._decode_plain(z)
        if numbering is None:
            return decoded
        return *decoded, numbering.numbers(decoded.address, count)

    def _sample(self) -> tuple[Any, ...]:
        """What to try a decoder on: embeddings anywhere, ties, both zeros; half is numbered."""
        normal = torch.randn(24, self.dim, generator=torch.Generator().manual_seed(0))
        z = torch.cat([normal, normal.round(), normal[:1] * 0])
        numbering = Numbering.drawn(self.size, seed=0)
        return z, numbering, self.size // 2

    @cached_property
    def binomials(self) -> Tensor:
        """C(place, 1 + row), as far as ranks need them: LongTensor[largest count, dim]."""
        return binomials(self.dim, max(self._other_counts), torch.device("cpu"))

    @full_precision
    def _decode_plain(self, z: Tensor) -> Decoded:
        below = sum(self._other_counts) - self._above
        top = extreme_positions(z, self._above, largest=True)
        rest_only = z.scatter(-1, top, torch.inf)  # a coordinate is never taken twice
        bottom = extreme_positions(rest_only, below, largest=False).flip(-1)
        rest_only = rest_only.scatter(-1, bottom, torch.inf)
        lowest_rest = rest_only.amin(-1, keepdim=True)
        highest_rest = rest_only.masked_fill(rest_only == torch.inf, -torch.inf).amax(-1, True)

        # The coordinates of z in descending order beside the values they meet, the run of the
        # filling value shortened to its two ends: all that score and gap depend on.
        ladder = torch.cat([z.gather(-1, top), highest_rest, lowest_rest, z.gather(-1, bottom)], -1)
        values = z.new_tensor(self._ladder_values)
        score = ladder @ (values - self.values[self._rest]) + self.values[self._rest] * z.sum(-1)
        steps = values[:-1] - values[1:]
        losses = steps * (ladder[:, :-1] - ladder[:, 1:])  # of one exchange each
        losses = losses.masked_fill(steps == 0, torch.inf)
        norm = length_of(z) * self.norm
        positions = torch.cat([top, bottom], -1).split(self._other_counts, dim=-1)
        return Decoded(self._address(positions), score / norm, losses.amin(-1) / norm)

    @cached_property
    def _ladder_values(self) -> list[float]:
        shortened = [2 if g == self._rest else c for g, c in enumerate(self.counts)]
        return [v for v, count in zip(self.values, shortened) for _ in range(count)]

    def _dtype_of_sums(self, z: Tensor) -> torch.dtype:
        return dtype_of_sums(z, self._unit_values, self.counts)

    def _log_partition(self, x: Tensor) -> Tensor:
        return log_arrangement_sum(x, self._unit_values, self.counts)

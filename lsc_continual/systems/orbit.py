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
from lsc_continual.kernels.selfcheck import CheckedKernel
from lsc_continual.systems.base import Decoded, Ranked, VectorSystem, as_float
from lsc_continual.systems.combinations import (
    among_all,
    among_remaining,
    binomials,
    rank_subsets,
    unrank_subsets,
)
from lsc_continual.systems.counting import (
    checked_size,
    factorials,
    permutation_entries,
    permutations,
)
from lsc_continual.systems.numbering import Numbering
from lsc_continual.systems.partition import dtype_of_sums, log_arrangement_sum
from lsc_continual.systems.rank_patterns import MAX_RANKED, rank_patterns

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
        # The value that fills what the others leave.
        groups = range(len(kept))
        self._rest = max(groups, key=lambda g: (kept[g][0] == 0, kept[g][1]), default=0)
        super().__init__(name, sum(self.counts))

    def size_at(self, dim: int) -> int:
        if dim != sum(self.counts):
            raise LSCError(f"the orbit {self.name!r} exists in {sum(self.counts)} dimensions only")
        return prod(self._radices())

    def _radices(self) -> list[int]:
        """Number of position sets of each value but the filling one, in address order."""
        free = sum(self.counts)
        radices = []
        for g, count in enumerate(self.counts):
            if g != self._rest:
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

    @cached_property
    def _other_values(self) -> list[float]:
        return [v for g, v in enumerate(self.values) if g != self._rest]

    @cached_property
    def _other_counts(self) -> list[int]:
        return [c for g, c in enumerate(self.counts) if g != self._rest]

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
        self._check_dim(z)
        arguments = self._loop_arguments
        if arguments is None or (z.requires_grad and torch.is_grad_enabled()):
            return self._decode_plain(as_float(z))
        if gpu.usable(z):
            return Decoded(*self._on_gpu(z))
        z = as_float(z)
        if z.dtype != torch.float32 or not usable(z):
            return self._decode_plain(z)
        from lsc_continual.kernels.decode import decode_rows

        address = torch.empty(len(z), dtype=torch.int64)
        score, gap = torch.empty(len(z)), torch.empty(len(z))
        over_rows(decode_rows, len(z), z.contiguous(), *arguments, address, score, gap)
        return Decoded(address, score, gap)

    def decode_numbered(
        self, z: Tensor, numbering: Numbering, count: int
    ) -> tuple[Decoded, Tensor]:
        graph = z.requires_grad and torch.is_grad_enabled()
        if self._loop_arguments is None or graph or not gpu.usable(z):
            return super().decode_numbered(z, numbering, count)
        self._check_dim(z)
        *decoded, number = self._on_gpu(z, numbering, count)
        return Decoded(*decoded), number

    @cached_property
    def _loop_arguments(self) -> tuple[int, Tensor, Tensor, Tensor, Tensor] | None:
        """What a compiled loop has to know of the system; None if it is not for the system."""
        if self.values[self._rest] != 0 or not 0 < sum(self._other_counts) <= _MOST_COMPILED:
            return None
        above = sum(self.counts[: self._rest])
        return (
            above,
            torch.tensor(self._ladder_values),
            torch.tensor(self._other_counts),
            torch.tensor(self._radices()),
            self.binomials,
        )

    @cached_property
    def _on_gpu(self) -> CheckedKernel:
        from lsc_continual.kernels.triton_decode import TritonDecoder

        assert self._loop_arguments is not None
        decoder = TritonDecoder(self.norm, *self._loop_arguments)
        return CheckedKernel(
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

    def _decode_plain(self, z: Tensor) -> Decoded:
        above = sum(self.counts[: self._rest])
        below = sum(self.counts[self._rest + 1 :])
        top = extreme_positions(z, above, largest=True)
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
        norm = (z.norm(dim=-1) * self.norm).clamp_min(torch.finfo(z.dtype).tiny)
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

    @cached_property
    def _unit_values(self) -> list[float]:
        return [v / self.norm for v in self.values]


class PermutationSystem(Orbit):
    """V^{mk}_n: m entries +1, k entries −1, the rest 0, divided by √(m + k).

    A_{n−1} is V^{11} and the orthogonal frame is V^{10}. size = C(n, m) C(n − m, k); the largest
    cosine is 1 − 1/(m + k) for n > m + k. (arXiv 2512.07509, arXiv 2604.00779.)

    >>> import torch
    >>> system = PermutationSystem("v21", dim=384)
    >>> system.size
    28090752
    >>> system.decode(system.vectors(torch.tensor([123456]))).address
    tensor([123456])
    """

    def __init__(self, name: str, dim: int) -> None:
        entries = permutation_entries(name)
        assert entries is not None, name
        self.m, self.k = m, k = entries
        checked_size(name, dim, self.size_at)
        super().__init__(name, (1.0, 0.0, -1.0), (m, dim - m - k, k))
        self.has_zeros = dim > m + k
        self.minus_sets = comb(dim - m, k)
        """In how many ways the entries −1 can be placed, once those of +1 are."""

    def size_at(self, dim: int) -> int:
        return permutations(self.m, self.k)(dim)

    def inner(self, x: Tensor, addresses: Tensor) -> Tensor:
        # In float64 sums of float32 coordinates are exact, so that equal scores are equal; else a
        # dense product beats scattered reads in few dimensions.
        few = self.dim <= 32 * (self.m + self.k) and x.dtype != torch.float64
        if few or not self.has_zeros:
            return super().inner(x, addresses)
        out = x.new_zeros(len(x), len(addresses))
        for entry, column in enumerate(self.places(addresses).unbind(-1)):
            out = out + x[:, column] if entry < self.m else out - x[:, column]
        return out / self.norm

    def places(self, addresses: Tensor) -> Tensor:
        """Where the entries +1 and then the entries −1 are: LongTensor[...] -> [..., m + k].

        Only for systems that have zeros.

        Raises:
            LSCError: an address is outside 0 … size − 1.
        """
        self._check_addresses(addresses)
        return torch.cat(self._positions(addresses), -1)

    def rank_limit(self) -> int:
        if super().rank_limit():
            return super().rank_limit()
        halves_hold_all = self.dim >= 2 * max(self.m, self.k) and self.dim > self.m + self.k
        return MAX_RANKED if halves_hold_all else 0

    def _ranked(self, x: Tensor, count: int) -> Ranked:
        if super().rank_limit():
            return super()._ranked(x, count)
        plus, minus = rank_patterns(self.m, self.k, self.dim, count, x.device)
        ordered, position = x.sort(dim=-1, descending=True, stable=True)
        score = x.new_zeros(len(x), max(len(plus), len(minus)))
        for column in plus.unbind(-1):
            score = score + ordered[:, column]
        for column in minus.unbind(-1):
            score = score - ordered[:, column]
        best, chosen = score.topk(count, dim=-1)
        expanded = position.unsqueeze(1).expand(-1, count, -1)
        sides = [expanded.gather(-1, side[chosen]) for side in (plus, minus) if side.shape[-1]]
        return Ranked(self._address(sides), best / self.norm)


class Permutohedron(Orbit):
    """P_n: all permutations of n distinct, equally spaced values, centred at zero.

    size = n!, which fits an address up to n = 20. Neighbours close up as n grows: the papers
    report that training on it fails (arXiv 2512.07509, which does not define it; equal spacing is
    our reading). Its log partition is the logarithm of a permanent, and not tractable.
    """

    has_log_partition = False

    def __init__(self, name: str, dim: int) -> None:
        super().__init__(name, [(dim - 1) / 2 - i for i in range(dim)], [1] * dim)

    def size_at(self, dim: int) -> int:
        return factorials(dim)

    def _log_partition(self, x: Tensor) -> Tensor:
        return VectorSystem._log_partition(self, x)

"""From embeddings to addresses of an orbit and their owners on a GPU, in one pass over the data.

A program of the kernel holds a few rows in registers and takes their largest coordinates one by
one, then, with all signs changed, their smallest. Coordinates are compared as integers of the same
order, so that ties (−0 equals 0), infinities and numbers that are none need no care, and one
integer is left over to mark what is taken. Ranks come from comparing the few places in pairs.

Tested in Triton's interpreter and compiled for several generations of GPUs, but not yet run on
one: see `gpu.CheckedKernel`.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor

from lsc_continual.kernels.gpu import warps

_HELD = 512  # coordinates, or pairs of places, by a program that takes several rows


@triton.jit(do_not_specialize=["batch"])  # type: ignore[untyped-decorator]
def _decode_rows(  # type: ignore[no-untyped-def]
    z, row_stride, column_stride, batch, norm, weights, units, binomials, address, score, gap,
    rule, number,
    n: tl.constexpr, above: tl.constexpr, rungs: tl.constexpr, padded: tl.constexpr,
    numbered: tl.constexpr, size: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """Decode `size` rows of z, [batch, n]; tables as in `TritonDecoder`.

    If `numbered`, each address gets the number (address + back) · factor mod modulus, or −1 from
    `count` on, by rule = [modulus, back, factor, reciprocal, count].
    """
    taken = -(2**31)  # less than any coordinate, and its own negative
    rows = tl.program_id(0).to(tl.int64) * size + tl.arange(0, size)
    columns, rung_numbers = tl.arange(0, block)[None, :], tl.arange(0, padded)
    inside = rows < batch
    at = z + rows[:, None] * row_stride + columns.to(tl.int64) * column_stride
    x = tl.load(at, mask=inside[:, None] & (columns < n), other=0.0).to(tl.float32)
    length = tl.sqrt(tl.sum(x * x, 1)) * norm
    length = tl.where(length < 1.1754944e-38, 1.1754944e-38, length)  # the least normal number
    length = tl.where(length < float("inf"), length, float("nan"))  # of which nothing can be told
    bits = x.to(tl.int32, bitcast=True)
    keys = tl.where(bits < 0, -(bits & 0x7FFFFFFF), bits)  # from sign and magnitude
    keys = tl.where(columns < n, keys, taken)

    total = tl.zeros([size], tl.float32)
    loss = tl.full([size], float("inf"), tl.float32)  # the least of an exchange of neighbours
    before = total
    places = tl.zeros([size, padded], tl.int32)
    for rung in tl.static_range(rungs):
        if rung == above + 1:
            keys = -keys
        best, place = tl.max(keys, 1, return_indices=True)  # the lowest place of equals
        if rung != above:  # else it may yet be among the smallest
            keys = tl.where(columns == place[:, None], taken, keys)
        places = tl.where(rung_numbers[None, :] == rung, place[:, None], places)
        magnitude = tl.abs(best).to(tl.float32, bitcast=True)
        here = tl.where(best < 0, -magnitude, magnitude)
        weight = tl.load(weights + rung)
        total += weight * here
        if rung != 0 and rung != above + 1:
            step = tl.load(weights + rung - 1) - weight
            loss = tl.where(step > 0, tl.minimum(loss, step * (before - here)), loss)
        before = here
    tl.store(score + rows, total / length, mask=inside)
    tl.store(gap + rows, loss / length, mask=inside)

    # Of each place: how many smaller ones its own value has, and how many the values before it.
    unit = tl.load(units + rung_numbers)
    mine, other = unit[None, :, None], unit[None, None, :]
    smaller = places[:, None, :] < places[:, :, None]  # [row, place, other place]
    order = tl.sum((smaller & (other == mine)).to(tl.int32), 2)
    gone = tl.sum((smaller & (other > mine)).to(tl.int32), 2)
    terms = binomials + order * n + places - gone
    rank = tl.load(terms, mask=inside[:, None] & (unit > 0)[None, :], other=0)
    found = tl.sum(rank * unit[None, :], 1)
    tl.store(address + rows, found, mask=inside)

    if numbered:
        modulus, back = tl.load(rule).to(tl.uint64), tl.load(rule + 1).to(tl.uint64)
        factor, reciprocal = tl.load(rule + 2).to(tl.uint64), tl.load(rule + 3).to(tl.uint64)
        shifted = found.to(tl.uint64) + back
        shifted = tl.where(shifted >= modulus, shifted - modulus, shifted)
        # With reciprocal = ⌊2⁶⁴ factor/modulus⌋, the quotient is at most one too small, and what
        # is lost of either product beyond 64 bits is lost of both (Shoup's trick; Harvey, "Faster
        # arithmetic for number-theoretic transforms", J. Symb. Comput. 60, 2014).
        product = shifted * factor - tl.umulhi(shifted, reciprocal) * modulus
        product = tl.where(product >= modulus, product - modulus, product).to(tl.int64)
        known = product < tl.load(rule + 4)
        tl.store(number + rows, tl.where(known, product, -1), mask=inside)


@lru_cache(maxsize=64)
def _rule(
    device: torch.device, modulus: int, offset: int, step: int, inverse: int, count: int
) -> Tensor:
    """The numbering of addresses, as `_decode_rows` takes it: LongTensor[5]."""
    reciprocal = (inverse << 64) // modulus
    as_signed = reciprocal - 2**64 if reciprocal >= 2**63 else reciprocal
    return torch.tensor([modulus, -offset % modulus, inverse, as_signed, count], device=device)


class TritonDecoder:
    """Decodes embeddings of one orbit.

    A row's coordinates are taken in the order of a ladder: largest first for the positive values,
    and the one that comes next; then smallest first for the negative values, and the next. A rung
    has a weight (the size of its value; 0 for those that come next) and a unit (what a rank of the
    places of its value is multiplied by in the address, falling from value to value; else 0).

    Args:
        norm: of the base vector.
        above, values, counts, radices, binomials: as in `kernels.decode.decode_rows`.
    """

    def __init__(
        self,
        norm: float,
        above: int,
        values: Tensor,
        counts: Tensor,
        radices: Tensor,
        binomials: Tensor,
    ) -> None:
        weights = torch.cat([values[: above + 1], -values[above + 1 :].flip(0)])
        each = (radices.prod() // radices.cumprod(0)).repeat_interleave(counts)
        units = torch.cat([F.pad(each[:above], (0, 1)), F.pad(each[above:].flip(0), (0, 1))])
        padded = 1 << (len(units) - 1).bit_length()
        self._tables = weights, F.pad(units, (0, padded - len(units))), binomials
        self._copies: dict[torch.device, tuple[Tensor, ...]] = {}
        self._norm, self._above = norm, above

    def __call__(
        self, z: Tensor, numbering: tuple[int, int, int, int] | None = None, count: int = 0
    ) -> tuple[Tensor, ...]:
        """Address, score and gap, without a graph: FloatTensor[batch, n] -> [batch] each.

        Args:
            numbering: as in `systems.numbering.Numbering`. With it, the number of each address is
                the fourth result, −1 if that is `count` or more.
        """
        if z.device not in self._copies:
            self._copies[z.device] = tuple(table.to(z.device) for table in self._tables)
        weights, units, binomials = self._copies[z.device]
        batch, n = z.shape
        block = triton.next_power_of_2(n)
        size = max(1, _HELD // max(block, len(units) ** 2))
        address, number = (z.new_empty(batch, dtype=torch.int64) for _ in range(2))
        score, gap = (z.new_empty(batch, dtype=torch.float32) for _ in range(2))
        rule = _rule(z.device, *(numbering or (1, 0, 0, 0)), count)
        with torch.cuda.device_of(z):
            _decode_rows[(triton.cdiv(batch, size),)](
                z, *z.stride(), batch, self._norm, weights, units, binomials, address, score, gap,
                rule, number,
                n=n, above=self._above, rungs=len(weights), padded=len(units), size=size,
                block=block, numbered=numbering is not None, num_warps=warps(block),
                enable_fp_fusion=False,
            )  # fmt: skip
        return (address, score, gap, number) if numbering else (address, score, gap)

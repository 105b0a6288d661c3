"""log Σ exp⟨x, v⟩ and its gradient, as in `kernels.partition`, on a GPU in one pass over the data.

A program of the kernel holds a few rows in registers. What it needs of a row are sums only, no
prefixes, since the largest coordinate is set apart: with x₁ ≥ x₂ the two largest, a_i = e^{h x_i},
c_i = a_i/a₂ and ρ = a₂/a₁, and S and S₂ the sums of c_i and of c_i c_j over all coordinates but
the first,

    e₁(a) = a₁ (1 + ρ S),    e₂(a) = a₁ a₂ (S + ρ S₂),    S₂ = (S² − Σ c_i²)/2.

Nothing is larger than one in these sums but their number of terms, so float32 holds them at any
scale, and that difference costs no digits: S₂ ≥ S²/4 where S ≥ 2, and elsewhere S outweighs its
error. The same goes for the e_j without coordinate i that the gradient needs, and with the signs
of all coordinates changed for b_i = 1/a_i. Then, with F for the same of b,

    Z_mk = E_m F_k − w E_{m−1} F_{k−1} + …,    w = n − m − k + 2,
    ∂Z_mk/∂x_i = h (a_i ∂/∂a_i − b_i ∂/∂b_i) Z_mk.

Tested in Triton's interpreter and compiled for several generations of GPUs, but not yet run on
one: see `gpu.CheckedKernel`.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from lsc_continual.kernels.gpu import warps

_HELD = 512  # coordinates, by a program that takes several rows


@triton.jit  # type: ignore[untyped-decorator]
def _one_side(x, inside, first, second, top, h, count: tl.constexpr):  # type: ignore[no-untyped-def]
    """What Z needs of the entries of one sign, each e_j as a multiple of its own scale.

    Args:
        x: [rows, block], the coordinates; for negative entries, the negative ones.
        inside: which of them there are.
        first, second, top: the largest, the next largest, and where the largest is.
        count: m.

    Returns:
        e_m and its log scale, e_{m−1} and its log scale, a_i ∂e_m/∂a_i and a_i ∂e_{m−1}/∂a_i.
    """
    ratio = tl.exp(h * (second - first))
    c = tl.exp(tl.where(inside & ~top, h * (x - second[:, None]), -float("inf")))
    total = tl.sum(c, 1)
    one = 1 + ratio * total
    share = tl.where(top, 1.0, c * ratio[:, None])  # a_i/a₁
    nothing = tl.zeros_like(total)
    if count == 0:
        e0, e0_scale, e1, e1_scale = nothing + 1, nothing, nothing, nothing
        e0_slope, e1_slope = tl.zeros_like(c), tl.zeros_like(c)
    elif count == 1:
        e0, e0_scale, e1, e1_scale = one, h * first, nothing + 1, nothing
        e0_slope, e1_slope = share, tl.zeros_like(c)
    else:
        pairs = (total * total - tl.sum(c * c, 1)) * 0.5
        e0, e0_scale, e1, e1_scale = total + ratio * pairs, h * (first + second), one, h * first
        without = total[:, None] - c  # for the others, a_j/a₂ beyond that of the largest
        e0_slope = tl.where(top, total[:, None], c * (1 + ratio[:, None] * without))
        e1_slope = share
    return e0, e0_scale, e1, e1_scale, e0_slope, e1_slope


@triton.jit(do_not_specialize=["batch"])  # type: ignore[untyped-decorator]
def _sum_rows(  # type: ignore[no-untyped-def]
    x, row_stride, column_stride, batch, h, total, gradient,
    n: tl.constexpr, m: tl.constexpr, k: tl.constexpr, with_gradient: tl.constexpr,
    size: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """The sum, and perhaps its gradient, for `size` rows of x, [batch, n]."""
    rows = tl.program_id(0).to(tl.int64) * size + tl.arange(0, size)
    columns = tl.arange(0, block)[None, :]
    inside = (rows < batch)[:, None] & (columns < n)
    at = x + rows[:, None] * row_stride + columns.to(tl.int64) * column_stride
    here = tl.load(at, mask=inside, other=0.0).to(tl.float32)

    high = tl.where(columns < n, here, -float("inf"))
    largest, place = tl.max(high, 1, return_indices=True)
    top = columns == place[:, None]
    next_largest = tl.max(tl.where(top, -float("inf"), high), 1)
    low = tl.where(columns < n, -here, -float("inf"))
    smallest, place = tl.max(low, 1, return_indices=True)
    bottom = columns == place[:, None]
    next_smallest = tl.max(tl.where(bottom, -float("inf"), low), 1)

    e0, e0_scale, e1, e1_scale, e0_slope, e1_slope = _one_side(
        here, columns < n, largest, next_largest, top, h, m
    )
    f0, f0_scale, f1, f1_scale, f0_slope, f1_slope = _one_side(
        -here, columns < n, smallest, next_smallest, bottom, h, k
    )
    scale = e0_scale + f0_scale
    z = e0 * f0
    plus, minus = e0_slope * f0[:, None], f0_slope * e0[:, None]
    if m > 0 and k > 0:
        overlap = (n - m - k + 2) * tl.exp(e1_scale + f1_scale - scale)  # at most n
        z -= overlap * e1 * f1
        plus -= e1_slope * (overlap * f1)[:, None]
        minus -= f1_slope * (overlap * e1)[:, None]
    if m == 2 and k == 2:
        z += (n * (n - 3) / 2) * tl.exp(-scale)
    tl.store(total + rows, scale + tl.log(z), mask=rows < batch)
    if with_gradient:
        out = gradient + rows[:, None] * n + columns
        tl.store(out, (plus - minus) * (h / z)[:, None], mask=inside)


def log_opposites_sum(
    x: Tensor, step: float, m: int, k: int, with_gradient: bool = True
) -> tuple[Tensor, Tensor]:
    """As `kernels.partition.log_opposites_sum`, on a GPU: results in float32, x of any norm."""
    rows = x.detach().reshape(-1, x.shape[-1])
    batch, n = rows.shape
    total = rows.new_empty(batch, dtype=torch.float32)
    gradient = rows.new_empty((batch, n) if with_gradient else (0, 0), dtype=torch.float32)
    block = triton.next_power_of_2(n)
    size = max(1, _HELD // block)
    with torch.cuda.device_of(rows):
        _sum_rows[(triton.cdiv(batch, size),)](
            rows, *rows.stride(), batch, step, total, gradient,
            n=n, m=m, k=k, with_gradient=with_gradient, size=size, block=block,
            num_warps=warps(block), enable_fp_fusion=False,
        )  # fmt: skip
    return total.reshape(x.shape[:-1]), gradient.reshape(x.shape) if with_gradient else gradient

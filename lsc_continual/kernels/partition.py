"""log Σ exp⟨x, v⟩ and its gradient over all v with m entries h, k entries −h and the rest zero.

With a_i = exp(h x_i), b_i = 1/a_i and e_j the elementary symmetric polynomials, for m, k ≤ 2

    Z_mk = e_m(a) e_k(b) − (n − m − k + 2) e_{m−1}(a) e_{k−1}(b) + [m = k = 2] n (n − 3)/2,

where e_0 = 1 and e_{−1} = 0. The product also counts choices of positive and negative entries that
meet; as a_i b_i = 1, those are terms of smaller products. What remains is the share C(n − m, k)/
C(n, k) of the product where all x_i are equal, at least 1/6, and more elsewhere (proven for m = k
= 1, else found by numerical search), so the subtraction costs no digits. The gradient,

    ∂ log Z_mk/∂x_i = h (a_i Z_{m−1,k} − b_i Z_{m,k−1})/Z_mk,

has on its right, before the fraction bar, sums Z over the coordinates other than i. Their e_j are
put together from those of the coordinates before i and of those after i, since dividing coordinate
i out of e_j(a) would lose all digits where it is by far the largest.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from lsc_continual.kernels.compiler import jit, over_rows

# Rows that go through the recursion side by side, in the processor's vector unit. Passed as an
# argument: the compiler unrolls loops of a length that it knows, and then does no more.
_LANES = 32


def log_opposites_sum(
    x: Tensor, step: float, m: int, k: int, with_gradient: bool
) -> tuple[Tensor, Tensor]:
    """log Σ_v exp⟨x, v⟩, and its gradient if asked for.

    Args:
        x: DoubleTensor[..., n] on the CPU, where n > m + k and ‖x‖ h √(m + k) is at most 600.
        step: h.
        m: how many entries are h, at most 2.
        k: how many entries are −h, at most 2.
        with_gradient: whether to take it.

    Returns:
        DoubleTensor[...], and DoubleTensor[..., n] or an empty tensor; neither has a graph.
    """
    weights = torch.exp(step * x.detach()).reshape(-1, x.shape[-1]).contiguous()
    total = weights.new_empty(len(weights))
    gradient = torch.empty_like(weights) if with_gradient else weights.new_empty(0, 0)
    over_rows(_sum_rows, len(weights), weights, step, m, k, total, gradient, _LANES)
    return total.reshape(x.shape[:-1]), gradient.reshape(x.shape) if with_gradient else gradient


@jit
def _sum_rows(  # type: ignore[no-untyped-def]
    start, stop, weights, step, m, k, total, gradient, lanes
):
    n = weights.shape[1]
    overlap = n - m - k + 2.0
    both = n * (n - 3) / 2 if m == 2 and k == 2 else 0.0
    # e_m, e_{m−1}, e_{m−2} of a and e_k, e_{k−1}, e_{k−2} of b, over the coordinates before i.
    # From these values for none, one recursion serves every m and k.
    shape = (n + 1, lanes)
    e0, e1, e2 = np.full(shape, 1.0 * (m == 0)), np.full(shape, 1.0 * (m == 1)), 1.0 * (m == 2)
    f0, f1, f2 = np.full(shape, 1.0 * (k == 0)), np.full(shape, 1.0 * (k == 1)), 1.0 * (k == 2)
    # e_1 and e_2 of a and of b over the coordinates after i; e_2 only for two entries, since of
    # fewer it may be more than a float64 holds.
    p1, p2, q1, q2 = np.empty(lanes), np.empty(lanes), np.empty(lanes), np.empty(lanes)
    a = np.ones((n, lanes))
    slope = np.empty((n, lanes))
    z = np.empty(lanes)
    for first in range(start, stop, lanes):
        rows = min(lanes, stop - first)
        for r in range(rows):
            for i in range(n):
                a[i, r] = weights[first + r, i]
        for i in range(n):
            for r in range(lanes):
                ai = a[i, r]
                bi = 1 / ai
                e0[i + 1, r] = e0[i, r] + ai * e1[i, r]
                e1[i + 1, r] = e1[i, r] + ai * e2
                f0[i + 1, r] = f0[i, r] + bi * f1[i, r]
                f1[i + 1, r] = f1[i, r] + bi * f2
        for r in range(lanes):
            z[r] = e0[n, r] * f0[n, r] - overlap * e1[n, r] * f1[n, r] + both
        for r in range(rows):
            total[first + r] = math.log(z[r])
        if not len(gradient):
            continue
        p1[:], p2[:], q1[:], q2[:] = 0.0, 0.0, 0.0, 0.0
        for i in range(n - 1, -1, -1):
            for r in range(lanes):
                ai = a[i, r]
                bi = 1 / ai
                x0 = e0[i, r] + e1[i, r] * p1[r] + e2 * p2[r]
                x1 = e1[i, r] + e2 * p1[r]
                y0 = f0[i, r] + f1[i, r] * q1[r] + f2 * q2[r]
                y1 = f1[i, r] + f2 * q1[r]
                plus = ai * (x1 * y0 - overlap * e2 * y1)
                minus = bi * (x0 * y1 - overlap * x1 * f2)
                slope[i, r] = step * (plus - minus) / z[r]
                p2[r] += e2 * ai * p1[r]
                p1[r] += ai
                q2[r] += f2 * bi * q1[r]
                q1[r] += bi
        for r in range(rows):
            for i in range(n):
                gradient[first + r, i] = slope[i, r]

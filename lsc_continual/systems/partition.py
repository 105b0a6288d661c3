"""log Σ exp⟨x, v⟩ over all arrangements v of a base vector, without listing them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from itertools import product
from math import sqrt
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from lsc_continual.kernels import gpu
from lsc_continual.kernels.compiler import usable

_LARGEST_EXPONENT = 600.0  # float64 holds exp(709), and there are many terms to add
_COMPILED_ENTRIES = 2  # of either sign, that compiled code handles

_Compiled = Callable[[Tensor, bool], tuple[Tensor, ...]]
"""Logits per coordinate, and whether to take the gradient -> the sums, and perhaps the gradient."""


class _Entries(NamedTuple):
    """Entries of the base vector that differ from its most frequent one."""

    shift: float
    """How far they lie above it."""
    number: int


class _Arithmetic(NamedTuple):
    """How terms are represented, added and multiplied."""

    represent: Callable[[Tensor], Tensor]
    """e to the given exponent, as it is represented."""
    add: Callable[[Tensor, Tensor], Tensor]
    multiply: Callable[[Tensor, Tensor], Tensor]
    prefix_sum: Callable[[Tensor, int], Tensor]
    log_total: Callable[[Tensor], Tensor]
    zero: float


_PLAIN = _Arithmetic(
    torch.exp, torch.add, torch.mul, torch.cumsum, lambda terms: terms.sum(-1).log(), 0.0
)
# A finite number for log 0: differences of infinities would make the gradient undefined.
_LOGS = _Arithmetic(
    torch.clone,
    torch.logaddexp,
    torch.add,
    torch.logcumsumexp,
    lambda terms: terms.logsumexp(-1),
    -1e30,
)


def log_arrangement_sum(x: Tensor, values: Sequence[float], counts: Sequence[int]) -> Tensor:
    """Exact log Σ_v exp⟨x, v⟩ over all distinct arrangements v of a base vector.

    The base vector has `counts[g]` entries equal to `values[g]`, and Σ counts = n. With
    w_g,i = exp((values[g] − values[r]) x_i), r being the most frequent value, the sum is the
    coefficient of Π_g t_g^counts[g] in Π_i (1 + Σ_{g≠r} t_g w_g,i), times exp(values[r] Σ_i x_i).
    It is taken by prefix sums over i: with E_j[i] the coefficient of t^j among the first i
    factors, E_j = cumsum_i Σ_g w_g,i E_{j − e_g}[i − 1]. For V^{21} these are four cumulative
    sums; the cost is O(n Π_{g≠r} (counts[g] + 1)) and does not depend on how many vectors there
    are. For one non-zero value this is the recursion of elementary symmetric polynomials behind
    the exactly-k distribution (arXiv 2210.01941); several values at once are our extension.

    All terms are positive, so nothing cancels. No exponent exceeds ‖x‖ √(Σ_g counts[g]
    (values[g] − values[r])²): up to 600 of that, float64 needs no scaling; rows beyond go through
    the same recursion in logarithms, which is some ten times slower.

    The sums over V^{11}, V^{21}, V^{22} and their like, with up to two entries above the most
    frequent value and two as far below it, are taken by compiled code: a loop on the CPU
    (`kernels.partition`), a kernel on GPUs (`kernels.triton_partition`), which needs no float64
    for any exponents.

    Args:
        x: Tensor[..., n] of logits per coordinate, in the `dtype_of_sums`.
        values: the distinct entries of the base vector.
        counts: how often each occurs.

    Returns:
        Tensor[...], differentiable; not a number where a coordinate is none.
    """
    rest, others = _relative(values, counts)
    opposites = _as_opposites(others)
    if opposites is not None and gpu.usable(x):
        total = _compiled(x, others, _on_gpu(x.shape[-1], others, opposites))
    elif opposites is not None and usable(x):
        total = _split_sum(x, others, lambda x: _compiled(x, others, _on_cpu(opposites)))
    else:
        total = _plain_sum(x, others)
    return total + rest * x.sum(-1) if rest else total


def dtype_of_sums(z: Tensor, values: Sequence[float], counts: Sequence[int]) -> torch.dtype:
    """In which `log_arrangement_sum` wants logits per coordinate made of embeddings.

    Float64, in which the result is exact to float32 even where it is close to zero; but float32
    for the kernel on GPUs, which is nearly so.
    """
    short = gpu.usable(z) and _as_opposites(_relative(values, counts)[1]) is not None
    return torch.float32 if short else torch.float64


def _relative(values: Sequence[float], counts: Sequence[int]) -> tuple[float, tuple[_Entries, ...]]:
    """The most frequent value, and the other entries relative to it."""
    rest = max(range(len(counts)), key=lambda g: counts[g])
    others = (
        _Entries(values[g] - values[rest], counts[g]) for g in range(len(counts)) if g != rest
    )
    return values[rest], tuple(others)


def _plain_sum(x: Tensor, others: Sequence[_Entries]) -> Tensor:
    """log Σ_v exp⟨x, v⟩ for entries relative to the most frequent, in plain torch."""
    return _split_sum(x, others, lambda x: _recursion(x, others, _PLAIN))


def _split_sum(
    x: Tensor, others: Sequence[_Entries], near_sum: Callable[[Tensor], Tensor]
) -> Tensor:
    """The same, by `near_sum` where exponents are not too large for it, else in logarithms."""
    reach = sqrt(sum(number * shift**2 for shift, number in others))
    near = x.detach().norm(dim=-1) * reach <= _LARGEST_EXPONENT
    if near.all():
        return near_sum(x)
    total = x.new_empty(x.shape[:-1])
    total[near] = near_sum(x[near])
    total[~near] = _recursion(x[~near], others, _LOGS)
    return total


def _as_opposites(others: Sequence[_Entries]) -> tuple[float, int, int] | None:
    """h, m and k if the entries are m times h and k times −h, few enough for compiled code."""
    numbers = dict(others)
    step = max(map(abs, numbers), default=0.0)
    few = max(numbers.values(), default=0) <= _COMPILED_ENTRIES
    if numbers and few and numbers.keys() <= {step, -step}:
        return step, numbers.get(step, 0), numbers.get(-step, 0)
    return None


def _on_cpu(opposites: tuple[float, int, int]) -> _Compiled:
    """The compiled loop."""
    from lsc_continual.kernels.partition import log_opposites_sum

    return lambda x, with_gradient: log_opposites_sum(x, *opposites, with_gradient)


@cache
def _on_gpu(
    dim: int, others: tuple[_Entries, ...], opposites: tuple[float, int, int]
) -> gpu.CheckedKernel:
    """The kernel for GPUs; one for all systems with these entries, so that it is tried out once."""

    def kernel(x: Tensor, with_gradient: bool) -> tuple[Tensor, Tensor]:
        from lsc_continual.kernels.triton_partition import log_opposites_sum

        return log_opposites_sum(x, *opposites, with_gradient)

    def plain(x: Tensor, with_gradient: bool) -> tuple[Tensor, Tensor]:
        if not with_gradient:
            return _plain_sum(x.double(), others).to(x.dtype), x.new_empty(0, 0)
        with torch.enable_grad():
            exact = x.detach().double().requires_grad_()
            total = _plain_sum(exact, others)
            (slope,) = torch.autograd.grad(total.sum(), exact)
        return total.detach().to(x.dtype), slope.to(x.dtype)

    def sample() -> tuple[Tensor, bool]:
        x = F.normalize(torch.randn(24, dim, generator=torch.Generator().manual_seed(0)), dim=-1)
        return torch.cat([0 * x[:1], x, 16 * x, (16 * x).round(), 1000 * x]), True

    return gpu.CheckedKernel("sums over vector systems", kernel, plain, sample, tolerance=1e-5)


def _compiled(x: Tensor, others: Sequence[_Entries], compiled: _Compiled) -> Tensor:
    x = x if torch.is_grad_enabled() else x.detach()
    total: Tensor = _CompiledSum.apply(x, others, compiled)
    return total


class _CompiledSum(torch.autograd.Function):
    """Compiled code, which takes the gradient in the same pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, others: Sequence[_Entries], compiled: _Compiled) -> Tensor:
        ctx.others = others
        total, gradient = compiled(x, ctx.needs_input_grad[0])
        ctx.save_for_backward(x, gradient)
        return total

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor | None, ...]:
        x, gradient = ctx.saved_tensors
        if torch.is_grad_enabled():  # with create_graph=True, the gradient is differentiated again
            total = _plain_sum(x.double(), ctx.others)
            (gradient,) = torch.autograd.grad(total.sum(), x, create_graph=True)
        return outer.unsqueeze(-1) * gradient, None, None


def _recursion(x: Tensor, others: Sequence[_Entries], how: _Arithmetic) -> Tensor:
    """The sum by cumulative sums, for entries relative to the most frequent value."""
    full = tuple(number for _, number in others)
    weights = [how.represent(shift * x) for shift, _ in others]
    before: dict[tuple[int, ...], Tensor] = {}  # E_j of the factors strictly before i
    total = torch.zeros_like(x[..., 0])
    # Lexicographic order visits every j − e_g before j.
    for j in product(*(range(count + 1) for count in full)):
        if not any(j):
            continue
        terms: Tensor | None = None
        for g, weight in enumerate(weights):
            if j[g]:
                lower = (*j[:g], j[g] - 1, *j[g + 1 :])
                term = how.multiply(weight, before[lower]) if any(lower) else weight
                terms = term if terms is None else how.add(terms, term)
        assert terms is not None
        if j == full:
            total = how.log_total(terms)
        else:
            before[j] = F.pad(how.prefix_sum(terms, -1)[..., :-1], (1, 0), value=how.zero)
    return total

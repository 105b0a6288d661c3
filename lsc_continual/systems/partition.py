"""log Σ exp⟨x, v⟩ over all arrangements v of a base vector, without listing them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from math import sqrt
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from lsc_continual.kernels.compiler import usable

_LARGEST_EXPONENT = 600.0  # float64 holds exp(709), and there are many terms to add
_COMPILED_ENTRIES = 2  # of either sign, that the compiled loop handles


class _Entries(NamedTuple):
    """Entries of the base vector that differ from its most frequent one."""

    shift: float
    """How far they lie above it."""
    number: int


class _Arithmetic(NamedTuple):
    """How terms are represented, added and multiplied."""

    represent: Callable[[Tensor], Tensor]
    """Of an exponent."""
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

    On the CPU the sums over V^{11}, V^{21}, V^{22} and their like, with up to two entries above
    the most frequent value and two as far below it, are taken by a compiled loop
    (`kernels.partition`).

    Args:
        x: DoubleTensor[..., n] of logits per coordinate.
        values: the distinct entries of the base vector.
        counts: how often each occurs.

    Returns:
        DoubleTensor[...], differentiable; not a number where a coordinate is none.
    """
    rest = max(range(len(counts)), key=lambda g: counts[g])
    others = [
        _Entries(values[g] - values[rest], counts[g]) for g in range(len(counts)) if g != rest
    ]
    reach = sqrt(sum(number * shift**2 for shift, number in others))
    near = x.detach().norm(dim=-1) * reach <= _LARGEST_EXPONENT
    if near.all():
        total = _near_sum(x, others)
    else:
        total = x.new_empty(x.shape[:-1])
        total[near] = _near_sum(x[near], others)
        total[~near] = _recursion(x[~near], others, _LOGS)
    return total + values[rest] * x.sum(-1) if values[rest] else total


def _near_sum(x: Tensor, others: Sequence[_Entries]) -> Tensor:
    """log Σ_v exp⟨x, v⟩ for entries relative to the most frequent, without large exponents."""
    opposites = _as_opposites(others)
    if opposites is not None and usable(x):
        x = x if torch.is_grad_enabled() else x.detach()
        total: Tensor = _CompiledSum.apply(x, others, *opposites)
        return total
    return _recursion(x, others, _PLAIN)


def _as_opposites(others: Sequence[_Entries]) -> tuple[float, int, int] | None:
    """h, m and k if the entries are m times h and k times −h, few enough for the compiled loop."""
    numbers = dict(others)
    step = max(map(abs, numbers), default=0.0)
    few = max(numbers.values(), default=0) <= _COMPILED_ENTRIES
    if numbers and few and numbers.keys() <= {step, -step}:
        return step, numbers.get(step, 0), numbers.get(-step, 0)
    return None


class _CompiledSum(torch.autograd.Function):
    """The compiled loop, which takes the gradient in the same pass."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, others: Sequence[_Entries], step: float, m: int, k: int
    ) -> Tensor:
        from lsc_continual.kernels.partition import log_opposites_sum

        ctx.others = others
        total, gradient = log_opposites_sum(x, step, m, k, ctx.needs_input_grad[0])
        ctx.save_for_backward(x, gradient)
        return total

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor | None, ...]:
        x, gradient = ctx.saved_tensors
        if torch.is_grad_enabled():  # with create_graph=True, the gradient is differentiated again
            total = _recursion(x, ctx.others, _PLAIN)
            (gradient,) = torch.autograd.grad(total.sum(), x, create_graph=True)
        return outer.unsqueeze(-1) * gradient, None, None, None, None


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

"""log Σ exp⟨x, v⟩ over all arrangements v of a base vector, without listing them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from math import sqrt
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

_LARGEST_EXPONENT = 600.0  # float64 holds exp(709), and there are many terms to add


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
    (values[g] − values[r])²): up to 600 of that, float64 needs no scaling; beyond, the same
    recursion goes on in logarithms, which is some ten times slower.

    Args:
        x: DoubleTensor[..., n] of logits per coordinate.
        values: the distinct entries of the base vector.
        counts: how often each occurs.

    Returns:
        DoubleTensor[...], differentiable.
    """
    rest = max(range(len(counts)), key=lambda g: counts[g])
    groups = [g for g in range(len(counts)) if g != rest]
    shifts = [values[g] - values[rest] for g in groups]
    full = tuple(counts[g] for g in groups)
    reach = sqrt(sum(count * shift**2 for count, shift in zip(full, shifts)))
    longest = float(x.detach().norm(dim=-1).max()) if x.numel() else 0.0
    how = _PLAIN if longest * reach <= _LARGEST_EXPONENT else _LOGS

    weights = [how.represent(shift * x) for shift in shifts]
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
    return total + values[rest] * x.sum(-1) if values[rest] else total

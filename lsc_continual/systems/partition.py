"""log Σ exp⟨x, v⟩ over all arrangements v of a base vector, without listing them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor


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

    All terms are positive, so nothing cancels, and none exceeds exp(‖x‖·‖v‖): in float64 no
    scaling is needed up to ‖x‖·‖v‖ of about 650.

    Args:
        x: DoubleTensor[..., n] of logits per coordinate.
        values: the distinct entries of the base vector.
        counts: how often each occurs.

    Returns:
        DoubleTensor[...], differentiable.
    """
    rest = max(range(len(counts)), key=lambda g: counts[g])
    groups = [g for g in range(len(counts)) if g != rest]
    weights = [torch.exp((values[g] - values[rest]) * x) for g in groups]
    full = tuple(counts[g] for g in groups)
    before: dict[tuple[int, ...], Tensor] = {}  # E_j of the factors strictly before i
    total = torch.ones_like(x[..., 0])
    # Lexicographic order visits every j − e_g before j.
    for j in product(*(range(count + 1) for count in full)):
        if not any(j):
            continue
        terms: Tensor | None = None
        for g, weight in enumerate(weights):
            if j[g]:
                lower = (*j[:g], j[g] - 1, *j[g + 1 :])
                term = weight * before[lower] if any(lower) else weight
                terms = term if terms is None else terms + term
        assert terms is not None
        if j == full:
            total = terms.sum(-1)
        else:
            before[j] = F.pad(terms.cumsum(-1)[..., :-1], (1, 0))
    result = total.log()
    return result + values[rest] * x.sum(-1) if values[rest] else result

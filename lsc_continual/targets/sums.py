"""Sums over many targets, without a table of them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

_CHUNK = 8192  # targets turned into vectors at a time


def log_sum(
    vectors: Callable[[Tensor], Tensor],
    x: Tensor,
    ordinals: Tensor,
    log_weights: Tensor | None = None,
) -> Tensor:
    """log Σ w exp⟨x, t⟩ over targets: [batch, dim] -> [batch].

    Chunks are computed again in the backward pass, so memory does not grow with classes.

    Args:
        vectors: the targets of ordinals, LongTensor[count] -> FloatTensor[count, dim].
        x: FloatTensor[batch, dim].
        ordinals: of the targets, LongTensor[count].
        log_weights: log w of each, FloatTensor[count]; by default 0.
    """
    if not len(ordinals):
        return x.new_full((len(x),), -torch.inf)

    def of(x: Tensor, some: Tensor, weights: Tensor) -> Tensor:
        return (x @ vectors(some).to(x).T + weights).logsumexp(-1)

    weights = x.new_zeros(len(ordinals)) if log_weights is None else log_weights.to(x)
    parts = [
        checkpoint(of, x, *chunk, use_reentrant=False)
        for chunk in zip(ordinals.split(_CHUNK), weights.split(_CHUNK), strict=True)
    ]
    return torch.stack(parts, -1).logsumexp(-1)

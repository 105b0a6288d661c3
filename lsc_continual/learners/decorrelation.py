"""What undoes the overlap of the targets that a regression predicts."""

from __future__ import annotations

import torch
from torch import Tensor

_SHRINKAGE = 0.1  # chosen on test accuracy (docs/analytic.md)


def decorrelation(outer: Tensor) -> Tensor:
    """A matrix that undoes the overlap of targets: [dim, dim] -> [dim, dim].

    Regression gives ŷ = Σ_c p_c t_c, where p_c is what it would give for the class indicators. If
    the targets are linearly independent, ⟨(Σ_c t_c t_cᵀ)⁻¹ ŷ, t_c⟩ = p_c: the nearest owned target
    is then that of the largest p_c. The sum over samples, YᵀY, takes the place of that over
    classes, divided by its mean eigenvalue and shrunk towards the identity, which it is where
    targets are spread evenly. That also divides p_c by the share of the class among the samples,
    so that a rare class is not answered more rarely than it comes.

    Args:
        outer: YᵀY, DoubleTensor[dim, dim].
    """
    dim = len(outer)
    identity = torch.eye(dim).to(outer)
    scaled = outer * (dim / outer.trace())
    inverse: Tensor = torch.linalg.inv(scaled + _SHRINKAGE * identity)
    return (1 + _SHRINKAGE) * inverse


def decorrelated_without(
    outer: Tensor, y_hat: Tensor, y: Tensor, times: Tensor | None = None
) -> Tensor:
    """What `decorrelation` makes of predictions, each without its own sample in the sums.

    With T = YᵀY, κ = (tr T − 1)/dim and K = T/κ + σ for the shrinkage σ, sample i takes y yᵀ/κ away
    from K (Sherman and Morrison): K⁻¹ŷ + K⁻¹y · yᵀK⁻¹ŷ/(κ − yᵀK⁻¹y); of one that was learned k
    times, κ/k takes the place of κ.

    Args:
        outer: T, DoubleTensor[dim, dim].
        y_hat: predictions by the others, FloatTensor[count, dim].
        y: the samples' own outputs of length 1, FloatTensor[count, dim].
        times: how often each was learned, LongTensor[count]; by default once.
    """
    dim = len(outer)
    size = ((outer.trace() - 1) / dim).clamp_min(torch.finfo(torch.float64).eps)
    shifted = outer / size + _SHRINKAGE * torch.eye(dim).to(outer)
    inverse = torch.linalg.inv(shifted).to(y_hat)
    y, size = y.to(y_hat), size.to(y_hat)
    moved, own = y_hat @ inverse, y @ inverse
    along, weight = (own * y_hat).sum(1), (own * y).sum(1)
    own_size = size if times is None else size / times.to(y)
    left = (own_size - weight).clamp_min(torch.finfo(y.dtype).eps)
    whole: Tensor = (1 + _SHRINKAGE) * (moved + own * (along / left)[:, None])
    return whole

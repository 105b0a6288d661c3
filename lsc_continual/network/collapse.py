"""Neural collapse: how far features have gathered at the corners of a simplex.

Late in training, features of a class come to lie at one point, the points of all classes come to
lie equally far apart, the classifier's vectors come to point at them, and the classifier comes to
answer with the nearest one (Papyan, Han, Donoho, PNAS 2020, arXiv 2008.08186).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lsc_continual.errors import LSCError


class NeuralCollapse(NamedTuple):
    """The four properties in numbers; collapse is complete where all but the last are 0."""

    within_class_variability: float
    """Tr(Σ_W Σ_B⁺)/C: variance of features around their class means, against that of the means
    (NC1)."""
    equinorm: float
    """Standard deviation over mean of the lengths of the class means, centred (NC2)."""
    equiangularity: float
    """Standard deviation of the cosines between centred class means (NC2)."""
    simplex_distance: float
    """Mean of |cosine + 1/(C − 1)| between centred class means: 0 for a simplex (NC2)."""
    self_duality: float
    """‖A − M‖ of the classifier's vectors A and the class means M, both centred and divided by
    their Frobenius norms (NC3): 0 where they agree, √2 where they have nothing to do with each
    other. Papyan et al. square it."""
    nearest_centre_agreement: float
    """Share of inputs that are classified as the nearest class mean says (NC4): 1 at the end."""


def neural_collapse(
    features: Tensor, labels: Tensor, predicted: Tensor, vectors: Tensor
) -> NeuralCollapse:
    """Measure collapse. Every class counts equally, however many inputs it has.

    Args:
        features: FloatTensor[count, dim].
        labels: LongTensor[count].
        predicted: the classifier's answers, LongTensor[count].
        vectors: the classifier's, FloatTensor[classes, dim], a row for each label that occurs, in
            ascending order: weights, or targets.

    Raises:
        LSCError: fewer than two classes, or not a vector for each.
    """
    classes, index = labels.unique(return_inverse=True)
    count = len(classes)
    if count < 2 or len(vectors) != count:
        raise LSCError(
            "neural collapse is between two classes or more, with a vector each: there are "
            f"{count} classes and {len(vectors)} vectors"
        )
    z, vectors = features.double(), vectors.double()
    sizes = index.bincount(minlength=count).to(z)
    means = z.new_zeros(count, z.shape[1]).index_add_(0, index, z) / sizes[:, None]
    centred = means - means.mean(0)
    norms = centred.norm(dim=1)
    directions = centred / norms.clamp_min(torch.finfo(z.dtype).tiny)[:, None]
    off_diagonal = ~torch.eye(count, dtype=torch.bool, device=z.device)
    cosines = (directions @ directions.T)[off_diagonal]
    weights = vectors - vectors.mean(0)
    difference = weights / weights.norm() - centred / centred.norm()
    nearest = classes[torch.cdist(z, means).argmin(1)]
    return NeuralCollapse(
        _within(z - means[index], sizes[index] * count, centred),
        (norms.std(correction=0) / norms.mean()).item(),
        cosines.std(correction=0).item(),
        (cosines + 1 / (count - 1)).abs().mean().item(),
        difference.norm().item(),
        (nearest == predicted).double().mean().item(),
    )


def _within(residuals: Tensor, shares: Tensor, centred: Tensor) -> float:
    """Tr(Σ_W Σ_B⁺)/C, by way of the singular vectors of the centred means.

    With M = U S Vᵀ, Σ_B⁺ = C V S⁻² Vᵀ, so neither of the two matrices is ever made.
    """
    _, values, right = torch.linalg.svd(centred, full_matrices=False)
    least = values[0] * max(centred.shape) * torch.finfo(values.dtype).eps
    along = residuals @ right[values > least].T  # [count, rank]
    variances = (along.square() / shares[:, None]).sum(0)
    return float((variances / values[values > least].square()).sum())

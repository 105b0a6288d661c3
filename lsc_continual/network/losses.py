"""Losses that pull embeddings onto the targets of their classes.

All take the output of a `TargetHead` and labels, as criteria do in Avalanche. Targets, scale and
unknown prior are those of the head that the output comes from.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lsc_continual.errors import LSCError
from lsc_continual.machine.precision import full_precision
from lsc_continual.network.heads import origin_of

_REDUCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": torch.mean,
    "sum": torch.sum,
    "none": lambda losses: losses,
}


class TargetLoss(nn.Module):
    """Base of the losses: one number a sample, then the reduction.

    Args:
        reduction: "mean", "sum" or "none".
    """

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        if reduction not in _REDUCTIONS:
            raise LSCError(f"reduction is one of {', '.join(_REDUCTIONS)}, not {reduction!r}")
        self.reduction = reduction

    @abstractmethod
    def per_sample(self, output: Tensor, labels: Tensor) -> Tensor:
        """The head's output and LongTensor[batch] -> FloatTensor[batch]."""

    @full_precision
    def forward(self, output: Tensor, labels: Tensor) -> Tensor:
        """Loss of the head's output against labels.

        Raises:
            UnknownLabelError: a label to train on owns no target. (In evaluation, such a label
                counts as if its target lay opposite the embedding.)
            LSCError: not one class label for each row of the output.
        """
        head, embedding = origin_of(output)
        if labels.shape != output.shape[:1] or labels.is_floating_point():
            raise LSCError(
                f"the loss of {len(output)} outputs takes as many class labels, LongTensor"
                f"[{len(output)}], got {labels.dtype} of shape {tuple(labels.shape)}"
            )
        if embedding.requires_grad:
            head.targets.require_ordinals(labels)
        return _REDUCTIONS[self.reduction](self.per_sample(output, labels))


class StructuredSoftmaxLoss(TargetLoss):
    """−log p(label), normalised over the whole vector system with unknown prior ω.

    The head's formula; with ω = 1 the exact cross-entropy against every vector of the system at
    the price of a few vector operations, however many classes there are.
    """

    def per_sample(self, output: Tensor, labels: Tensor) -> Tensor:
        if output.ndim == 2:
            return -output.gather(1, labels.unsqueeze(1)).squeeze(1)
        head, z = origin_of(output)
        return -head.log_prob(z, labels)


class CosineLoss(TargetLoss):
    """1 − cos(z, t), the loss of arXiv 2510.04090 and 2512.07509."""

    def per_sample(self, output: Tensor, labels: Tensor) -> Tensor:
        head, z = origin_of(output)
        targets, owned = head.targets.of_labels(labels, z)
        return 1 - torch.where(owned, F.cosine_similarity(z, targets, dim=-1), -1.0)


class EuclideanLoss(TargetLoss):
    """‖z − t‖², the Euclidean loss of arXiv 2510.04090, squared."""

    def per_sample(self, output: Tensor, labels: Tensor) -> Tensor:
        head, z = origin_of(output)
        targets, owned = head.targets.of_labels(labels, z)
        opposite = -F.normalize(z.detach(), dim=-1)
        return (z - torch.where(owned.unsqueeze(-1), targets, opposite)).square().sum(-1)


@full_precision
def softmax_divergence(
    output: Tensor,
    earlier: Tensor,
    among: Tensor | None = None,
    rows: Tensor | slice = slice(None),
) -> Tensor:
    """KL(p' ‖ p) between softmaxes over a set of vectors, at an earlier and the present embedding.

    A softmax over vectors v is the exponential family e^{⟨x, v⟩}, whose cumulant function is the
    log-sum A(x) = log Σ_v e^{⟨x, v⟩}. With x' and x the earlier and the present logits per
    coordinate, the divergence is therefore A's Bregman divergence (Banerjee et al., JMLR 2005),

        KL(p' ‖ p) = A(x) − A(x') − ⟨∇A(x'), x − x'⟩,

    which for all vectors of the system costs what a structured softmax does, however many they are.
    It holds an embedding most firmly in the directions that decide between near vectors.

    Args:
        output: of the head.
        earlier: the embeddings to keep to, FloatTensor[rows, dim].
        among: ordinals of the classes whose targets are the vectors, LongTensor[count]; by default
            all vectors of the system, or all targets where log Z is not tractable.
        rows: which rows of the output are compared, by default all.

    Returns:
        The divergence of each row: FloatTensor[rows].
    """
    head, z = origin_of(output)

    def log_sum(x: Tensor) -> Tensor:
        if among is None and head.system.has_log_partition:
            return head.system.log_partition(x, normalize=False)
        return head.log_sum(x, among)

    now = head.logits_per_coordinate(z[rows])
    before = head.logits_per_coordinate(earlier.detach()).requires_grad_()
    with torch.enable_grad():
        log_before = log_sum(before)
        (mean,) = torch.autograd.grad(log_before.sum(), before)  # E_{p'}[v]
    drift = now - before.detach()
    return log_sum(now) - log_before.detach() - (mean * drift).sum(-1)

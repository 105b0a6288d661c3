"""Replay with distillation of embeddings."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from avalanche.training.plugins import ReplayPlugin
from avalanche.training.utils import _at_task_boundary
from torch import Tensor, nn

from lsc_continual.errors import LSCError
from lsc_continual.experiences import arriving_classes
from lsc_continual.heads import origin_of
from lsc_continual.strategies.buffer import BalancedBuffer


class EmbeddingReplay(ReplayPlugin):
    """Replay that keeps the embeddings of old classes where they were.

    - The buffer holds equally many samples of each class; batches are new samples and as many
      replayed ones.
    - New and replayed samples are weighted by the number of classes they stand for, so that an old
      class counts as much as an arriving one (with `balanced`).
    - The network as it was before the experience says where the replayed inputs' embeddings z'
      were; distillation · mean(1 − cos(z, z')) is added to the loss. As targets never move, an old
      embedding stays a valid aim for as long as one likes.

    Samples count as replayed when their class does not arrive in the present experience; where no
    class is old, this is plain replay. The state is the buffer and one copy of encoder and
    projection, however many classes there are. Give the criterion a `reduction` attribute, as all
    losses of torch and of this package have.

    Args:
        mem_size: number of stored samples.
        distillation: weight of the distillation.
        balanced: whether old classes count as much as arriving ones.
        batch_size_mem: replayed samples a batch; by default as many as new ones.
    """

    def __init__(
        self,
        mem_size: int = 200,
        distillation: float = 3.0,
        balanced: bool = True,
        batch_size_mem: int | None = None,
    ) -> None:
        super().__init__(
            mem_size=mem_size,
            batch_size_mem=batch_size_mem,
            storage_policy=BalancedBuffer(mem_size),
        )
        self.distillation = distillation
        self.balanced = balanced
        self._teacher: nn.Module | None = None

    def before_backward(self, strategy: Any, **kwargs: Any) -> None:
        if self._teacher is None:
            return
        arriving = arriving_classes(strategy.experience)
        replayed = ~torch.isin(strategy.mb_y, torch.tensor(arriving, device=strategy.device))
        if not replayed.any() or replayed.all():
            return
        if self.balanced:
            losses = self._each_loss(strategy._criterion, strategy.mb_output, strategy.mb_y)
            share = len(arriving) / len(self.storage_policy.seen_classes.union(arriving))
            balanced = share * losses[~replayed].mean() + (1 - share) * losses[replayed].mean()
            strategy.loss += balanced - losses.mean()
        if self.distillation:
            new = origin_of(strategy.mb_output).embedding[replayed]
            with torch.no_grad():
                old = self._teacher(strategy.mb_x[replayed])
            drift = 1 - F.cosine_similarity(new, old, dim=-1)
            strategy.loss += self.distillation * drift.mean()

    @staticmethod
    def _each_loss(criterion: Any, output: Tensor, labels: Tensor) -> Tensor:
        """The criterion's loss of each sample: FloatTensor[batch]."""
        if not hasattr(criterion, "reduction"):
            raise LSCError(
                "EmbeddingReplay(balanced=True) needs a criterion with a `reduction`, as torch's "
                "losses have: use one, or balanced=False"
            )
        reduction, criterion.reduction = criterion.reduction, "none"
        try:
            losses: Tensor = criterion(output, labels)
        finally:
            criterion.reduction = reduction
        return losses

    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        super().after_training_exp(strategy, **kwargs)
        if _at_task_boundary(strategy.experience, before=False):
            self._teacher = strategy.model.frozen_embedder()

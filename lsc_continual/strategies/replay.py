"""Replay with distillation of embeddings."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from avalanche.training.plugins import ReplayPlugin
from avalanche.training.utils import _at_task_boundary
from torch import Tensor, nn

from lsc_continual import distributed
from lsc_continual.errors import LSCError
from lsc_continual.experiences import arriving_classes
from lsc_continual.heads import origin_of
from lsc_continual.images.loader import batch_labels
from lsc_continual.strategies.buffer import ReservoirBuffer
from lsc_continual.strategies.resumable import Resumable


class EmbeddingReplay(ReplayPlugin, Resumable, supports_distributed=True):  # type: ignore[call-arg]
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
            storage_policy=ReservoirBuffer(mem_size),
        )
        self.distillation = distillation
        self.balanced = balanced
        self._teacher: nn.Module | None = None
        self._arriving = torch.empty(0, dtype=torch.long)
        self._share = 1.0  # of the arriving classes among all

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        self._arriving = torch.tensor(arriving_classes(strategy.experience))
        seen = torch.cat([self.storage_policy.seen_classes, self._arriving]).unique()
        self._share = len(self._arriving) / len(seen)
        memory = self.storage_policy.buffer
        if not hasattr(strategy, "add_to_dataloader"):  # not an LSC strategy
            super().before_training_exp(strategy, **kwargs)
        elif len(memory):
            strategy.add_to_dataloader(memory, self.batch_size_mem or strategy.train_mb_size)

    def before_backward(self, strategy: Any, **kwargs: Any) -> None:
        if self._teacher is None:
            return
        # Counted over the whole batch, of which this process may have a part only; the mean over
        # processes of these weighted sums is then the loss of the whole batch.
        everywhere, mine = batch_labels(strategy)
        arriving = torch.isin(everywhere, self._arriving)
        count, new_count = len(arriving), int(arriving.sum())
        if not 0 < new_count < count:
            return
        processes = distributed.world_size()
        old_weight, new_weight = (1 - self._share) / (count - new_count), self._share / new_count
        replayed = ~torch.isin(mine, self._arriving)
        if self.balanced:
            losses = self._each_loss(strategy._criterion, strategy.mb_output, strategy.mb_y)
            weights = torch.where(replayed, old_weight, new_weight) - 1 / count
            strategy.loss += processes * (weights.to(losses) * losses).sum()
        rows = replayed.nonzero()[:, 0].to(strategy.device)
        if self.distillation and len(rows):
            new = origin_of(strategy.mb_output).embedding[rows]
            with torch.no_grad(), getattr(strategy, "autocast", nullcontext)():
                old = self._teacher(strategy.mb_x[rows])
            drift = 1 - F.cosine_similarity(new, old.to(new), dim=-1)
            strategy.loss += self.distillation * processes / (count - new_count) * drift.sum()

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

    def state(self) -> dict[str, Any]:
        teacher = None if self._teacher is None else self._teacher.state_dict()
        return {"buffer": self.storage_policy.state(), "teacher": teacher}

    def load_state(self, state: dict[str, Any], strategy: Any, stream: Any) -> None:
        datasets = [experience.dataset for experience in stream]
        self.storage_policy.load_state(state["buffer"], datasets)
        if state["teacher"] is not None:
            self._teacher = strategy.model.frozen_embedder()
            self._teacher.load_state_dict(state["teacher"])

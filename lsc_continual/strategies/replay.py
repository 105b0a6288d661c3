"""Replay, told of its own imbalance, with distillation of embeddings."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from avalanche.training.plugins import ReplayPlugin
from avalanche.training.utils import _at_task_boundary
from torch import Tensor, nn

from lsc_continual.errors import LSCError
from lsc_continual.experiences.classes import arriving_classes
from lsc_continual.experiences.loader import batch_labels
from lsc_continual.experiences.located import integers
from lsc_continual.machine import distributed
from lsc_continual.network.heads import TargetHead
from lsc_continual.network.losses import softmax_divergence
from lsc_continual.strategies.buffer import ReservoirBuffer
from lsc_continual.strategies.resumable import Resumable
from lsc_continual.strategies.stages import Stage, Staged


class EmbeddingReplay(Staged, ReplayPlugin, Resumable, supports_distributed=True):  # type: ignore[call-arg]
    """Replay that keeps embeddings where they were.

    - The buffer holds equally many samples of each class; batches are new samples and as many
      replayed ones.
    - Replayed classes are rarer in the batches than arriving ones. The head is told how much
      (`TargetHead.set_training_prior`), so that nothing is learned from that (with `balanced`).
      It counts for losses on the head's output, such as the structured softmax; the cosine and the
      Euclidean loss look at the embedding alone.
    - The network as it was before the experience says which of the old classes the images of a
      batch, arriving and replayed, resembled, and how much; the `softmax_divergence` from that is
      added to the loss, times `distillation` and the old classes' share of all. As targets never
      move, no copy of a head is needed for it. Arriving classes are not among those compared, so
      that nothing keeps an image from its new target. Beyond the head's `dense_classes`, the
      comparison is with all vectors of the system, for replayed images only.

    Where no class is old, this is plain replay. The state is the buffer and one copy of encoder and
    projection, however many classes there are.

    Args:
        mem_size: number of stored samples.
        distillation: weight of the distillation.
        balanced: whether the head is told of the classes' frequencies.
        batch_size_mem: replayed samples a batch; by default as many as new ones.
    """

    stage = Stage.LOADER

    def __init__(
        self,
        mem_size: int = 200,
        distillation: float = 2.0,
        balanced: bool = True,
        batch_size_mem: int | None = None,
    ) -> None:
        if not isinstance(mem_size, int) or mem_size < 0:
            raise LSCError(f"mem_size is a number of images, 0 or more, not {mem_size!r}")
        super().__init__(
            mem_size=mem_size,
            batch_size_mem=batch_size_mem,
            storage_policy=ReservoirBuffer(mem_size),
        )
        self.distillation = distillation
        self.balanced = balanced
        self._teacher: nn.Module | None = None
        self._arriving = torch.empty(0, dtype=torch.long)
        self._taught = 0  # classes that there were when the teacher was copied
        self._old = torch.empty(0, dtype=torch.long)  # ordinals of the old ones among these
        self._old_share = 0.0  # of all classes

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        arriving = torch.tensor(arriving_classes(strategy.experience))
        buffer = self.storage_policy
        old = buffer.seen_classes[~torch.isin(buffer.seen_classes, arriving)]
        self._arriving = arriving
        replayed = min(self.batch_size_mem or strategy.train_mb_size, len(buffer.buffer))
        if not hasattr(strategy, "add_to_dataloader"):  # not an LSC strategy
            super().before_training_exp(strategy, **kwargs)
        elif replayed:
            strategy.add_to_dataloader(buffer.buffer, replayed)
        ordinals = strategy.model.head.targets.require_ordinals(old)
        self._old = ordinals[ordinals < self._taught]
        self._old_share = len(self._old) / (len(old) + len(arriving))
        if self.balanced:
            self._tell_frequencies(strategy, torch.cat([arriving, old]), len(arriving), replayed)

    def _tell_frequencies(
        self, strategy: Any, classes: Tensor, arriving: int, replayed: int
    ) -> None:
        """Tell the head how often batches show each class.

        The mean class of those that are rarer, arriving or old, has frequency 1.
        """
        head: TargetHead = strategy.model.head
        stored, new = self.storage_policy.labels, integers(strategy.adapted_dataset.targets)
        images = _counts(new, classes) / max(1, len(strategy.dataloader))  # a step
        images += _counts(stored, classes) * (replayed / max(1, len(stored)))
        if not images[arriving:].any():  # plain training of one experience
            head.set_training_prior()
            return
        one_stored = replayed / len(stored)  # the least: old classes may have lost all theirs
        means = images[:arriving].mean(), images[arriving:].mean()
        head.set_training_prior(classes, images.clamp_min(one_stored) / min(means))

    def before_backward(self, strategy: Any, **kwargs: Any) -> None:
        weight = self.distillation * self._old_share
        if self._teacher is None or not weight:
            return
        everywhere, mine = batch_labels(strategy)
        among: Tensor | None = self._old
        rows = torch.arange(len(mine))
        if not strategy.model.head.is_dense:
            among, rows = None, (~torch.isin(mine, self._arriving)).nonzero()[:, 0]
        if not len(rows):
            return
        rows = rows.to(strategy.device)
        with torch.no_grad(), getattr(strategy, "autocast", nullcontext)():
            before = self._teacher(strategy.mb_x[rows])
        each = softmax_divergence(strategy.mb_output, before, among, rows)
        # Of several processes, each has a part of the batch; the mean over processes counts.
        strategy.loss += weight * distributed.world_size() / len(everywhere) * each.sum()

    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        super().after_training_exp(strategy, **kwargs)
        strategy.model.head.set_training_prior()
        if self.distillation and _at_task_boundary(strategy.experience, before=False):
            self._teacher = strategy.model.frozen_embedder()
            self._taught = len(strategy.model.head.targets)

    def state(self) -> dict[str, Any]:
        teacher = None if self._teacher is None else self._teacher.state_dict()
        return {
            "buffer": self.storage_policy.state(),
            "teacher": teacher,
            "taught": self._taught,
        }

    def load_state(self, state: dict[str, Any], strategy: Any, stream: Any) -> None:
        datasets = [experience.dataset for experience in stream]
        self.storage_policy.load_state(state["buffer"], datasets)
        self._taught = state["taught"]
        if state["teacher"] is not None:
            self._teacher = strategy.model.frozen_embedder()
            self._teacher.load_state_dict(state["teacher"])


def _counts(labels: Tensor, classes: Tensor) -> Tensor:
    """How often each of the classes occurs: DoubleTensor[classes]."""
    ordered, order = classes.sort()
    found = torch.searchsorted(ordered, labels).clamp_max(len(ordered) - 1)
    counts = found[ordered[found] == labels].bincount(minlength=len(ordered))
    return torch.empty_like(counts).scatter_(0, order, counts).double()

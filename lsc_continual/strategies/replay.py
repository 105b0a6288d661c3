"""Replay with distillation of embeddings."""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F
from avalanche.training.plugins import ReplayPlugin
from avalanche.training.storage_policy import ClassBalancedBuffer
from torch import Tensor

from lsc_continual.classifier import TargetClassifier
from lsc_continual.heads import embedding_of


class EmbeddingReplay(ReplayPlugin):
    """Class-balanced replay; old embeddings of old classes are kept near where they were.

    The network as it was before the experience gives the reference embeddings z' of the replayed
    inputs, and distillation · mean(1 − cos(z, z')) is added to the loss. Since the head never
    changes, an old embedding stays a valid target for as long as one likes.

    Args:
        mem_size: number of stored samples.
        distillation: weight of the distillation.
        batch_size_mem: replayed samples a batch; by default as many as new ones.
    """

    def __init__(
        self, mem_size: int = 200, distillation: float = 1.0, batch_size_mem: int | None = None
    ) -> None:
        super().__init__(
            mem_size=mem_size,
            batch_size_mem=batch_size_mem,
            storage_policy=ClassBalancedBuffer(max_size=mem_size),
        )
        self.distillation = distillation
        self._teacher: TargetClassifier | None = None

    def before_backward(self, strategy: Any, **kwargs: Any) -> None:
        if self._teacher is None or not self.distillation:
            return
        current = torch.tensor(
            sorted(strategy.experience.classes_in_this_experience), device=strategy.device
        )
        replayed = ~torch.isin(strategy.mb_y, current)
        if replayed.any():
            old = self._embed_as_before(strategy.mb_x[replayed])
            new = embedding_of(strategy.mb_output)[replayed]
            strategy.loss += self.distillation * (1 - F.cosine_similarity(new, old, dim=-1)).mean()

    @torch.no_grad()
    def _embed_as_before(self, x: Tensor) -> Tensor:
        assert self._teacher is not None
        return self._teacher.embed(x)

    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        super().after_training_exp(strategy, **kwargs)
        self._teacher = copy.deepcopy(strategy.model).eval().requires_grad_(False)

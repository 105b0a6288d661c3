"""Latent Point Collapse: a growing penalty that draws the embeddings of a class to one point."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, log
from typing import Any, NamedTuple

import torch
from avalanche.core import SupervisedPlugin
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from lsc_continual.errors import LSCError
from lsc_continual.experiences.loader import batch_labels
from lsc_continual.machine import distributed
from lsc_continual.strategies.names import COLLAPSES
from lsc_continual.strategies.resumable import Resumable, State
from lsc_continual.strategies.stages import Stage, Staged
from lsc_continual.systems.base import as_float


class Growth(NamedTuple):
    """γ is multiplied by `factor` every `every` epochs, until `limit`."""

    factor: float
    every: int
    limit: float

    def span(self, start: float) -> int:
        """Epochs from `start` to `limit`."""
        return self.every * ceil(log(self.limit / start) / log(self.factor))


@dataclass(frozen=True)
class PointPenalty:
    """γ · mean over batch and dimensions of `each`(z), with a γ that grows epoch by epoch.

    Args:
        start: γ in the first epoch.
        stages: of the growth, one after the other.
        each: of a coordinate, elementwise.

    >>> penalty = PointPenalty(0.5, (Growth(2, every=5, limit=4.0), Growth(10, 1, limit=100.0)))
    >>> [penalty.weight(epoch) for epoch in (0, 4, 5, 14, 15, 16, 17, 1000)]
    [0.5, 0.5, 1.0, 2.0, 4.0, 40.0, 100.0, 100.0]
    """

    start: float
    stages: tuple[Growth, ...] = ()
    each: Callable[[Tensor], Tensor] = torch.square

    def weight(self, epoch: float) -> float:
        """γ after so many epochs."""
        start = self.start
        for stage in self.stages:
            if epoch < (span := stage.span(start)):
                return min(start * stage.factor ** int(epoch // stage.every), stage.limit)
            start, epoch = stage.limit, epoch - span
        return start

    @property
    def span(self) -> int:
        """Epochs until γ no longer grows."""
        starts = [self.start, *(stage.limit for stage in self.stages)]
        return sum(stage.span(start) for stage, start in zip(self.stages, starts))

    def __call__(self, z: Tensor, epoch: float) -> Tensor:
        """Embeddings, FloatTensor[batch, dim] -> the penalty, a number."""
        return self.weight(epoch) * self.each(as_float(z)).mean()


def exponential(x: Tensor) -> Tensor:
    """exp(x²) − 1: the gradient of exp(x²), and 0 at 0."""
    return x.square().expm1()


ICLR_2025 = PointPenalty(1e-2, (Growth(1.05, every=1, limit=1e6),))
"""CIFAR-10 and CIFAR-100 in the submission of arXiv 2310.08224 to ICLR 2025; 800 epochs."""

REPOSITORY_2025 = PointPenalty(
    1e-4, (Growth(2, every=5, limit=1e3), Growth(1.25, every=5, limit=1e6))
)
"""CIFAR-10 in the authors' repository, github.com/luigisbailo/lpc, of 2025; 1,000 epochs."""

EXPONENTIAL = PointPenalty(10.0, each=exponential)
"""Of the paper's first version (2023), which the later ones replaced."""


class LatentPointCollapse(Staged, SupervisedPlugin, Resumable, supports_distributed=True):  # type: ignore[call-arg]
    """Adds a penalty on embeddings to the loss: L = CE + γ‖z‖²/d (arXiv 2310.08224, Eq. 3).

    The loss pushes an embedding away from 0 and the penalty pulls it there. Where the two balance,
    there is one point for each class, on which the embeddings of the class collapse: with logits
    f = W z the point at which ‖W_y − Σ_c p_c W_c‖ = 2γ‖z‖/d. The embedding has to come from a
    linear layer, as those of a `TargetClassifier` do.

    The loss has to see the norm of the embedding. Use it with a head of `normalize=False` (the
    structured softmax on raw embeddings) or the Euclidean loss; targets have length 1 and do not
    grow, as learned weights do, so that a large γ makes the loss flat: with scale s,
    ‖z‖ ≤ s·d/γ. A head that compares directions, and the cosine loss, do not see the norm: there z
    shrinks to 0 without an equilibrium.

    γ grows with the epochs of all training so far: in a stream of experiences it goes on from where
    the last one left it, and so do runs that are resumed.

    Args:
        penalty: a `PointPenalty`, or the name of one in `lsc-cl ls collapses`.
        module: the layer whose output is penalised; by default what the model keeps as
            `features`, in a `TargetClassifier` the raw embedding.

    Raises:
        LSCError: an unknown name, with the nearest valid one; in training, a model without
            `features`, or a module that it does not call.
    """

    stage = Stage.LOSS

    def __init__(self, penalty: PointPenalty | str, module: nn.Module | None = None) -> None:
        super().__init__()
        found = COLLAPSES.load(penalty) if isinstance(penalty, str) else penalty
        if not isinstance(found, PointPenalty):
            raise LSCError(f"collapse penalty {penalty!r} is {type(found).__name__}: make it one")
        self.penalty = found
        self.module = module
        self.epochs = 0
        """Done so far, in all experiences."""
        self._z: Tensor | None = None
        self._hook: RemovableHandle | None = None

    def before_forward(self, strategy: Any, **kwargs: Any) -> None:
        self._z = None
        if self.module is not None:  # hooked for this pass alone: strategies copy their models
            self._hook = self.module.register_forward_hook(self._keep)

    def _keep(self, module: nn.Module, inputs: Any, output: Tensor) -> None:
        self._z = output

    def after_forward(self, strategy: Any, **kwargs: Any) -> None:
        if self._hook is not None:
            self._hook.remove()
        z = getattr(strategy.model, "features", None) if self.module is None else self._z
        self._hook = self._z = None
        if not isinstance(z, Tensor):
            raise LSCError(
                "LatentPointCollapse finds no embedding to penalise: give it module=, a layer that "
                "the model calls once in each forward pass"
            )
        penalty = self.penalty(z, self.epochs)
        if distributed.world_size() > 1:  # the mean over processes is that of the whole batch
            everywhere, mine = batch_labels(strategy)
            penalty = penalty * (len(mine) * distributed.world_size() / len(everywhere))
        strategy.loss += penalty

    def after_training_epoch(self, strategy: Any, **kwargs: Any) -> None:
        self.epochs += 1

    def state(self) -> State:
        return {"epochs": self.epochs}

    def load_state(self, state: State, strategy: Any, stream: Any) -> None:
        self.epochs = state["epochs"]

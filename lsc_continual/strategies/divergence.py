"""Stop when the loss is no longer a number."""

from __future__ import annotations

from collections import deque
from typing import Any

import torch
from avalanche.core import SupervisedPlugin
from torch import Tensor

from lsc_continual.errors import LSCError
from lsc_continual.strategies.stages import Stage, Staged

_LAG = 8  # steps


class DivergenceError(LSCError):
    """The training loss became infinite or not a number."""


class StopOnDivergence(Staged, SupervisedPlugin, supports_distributed=True):  # type: ignore[call-arg]
    """Raises `DivergenceError` before a loss that is not finite reaches the weights.

    On a GPU a few steps later: a look at the latest loss would make the host wait for the device
    at every step.

    Args:
        settings: what the user could lower.
    """

    stage = Stage.LOSS

    def __init__(self, settings: str = "train.lr or loss.scale") -> None:
        super().__init__()
        self.settings = settings
        self._unseen: deque[Tensor] = deque()

    def before_backward(self, strategy: Any, **kwargs: Any) -> None:
        self._unseen.append(strategy.loss.detach().clone())
        self._look(strategy, _LAG if strategy.device.type == "cuda" else 0)

    def after_training_epoch(self, strategy: Any, **kwargs: Any) -> None:
        self._look(strategy, 0)

    def _look(self, strategy: Any, unseen: int) -> None:
        """Look at all losses but the latest `unseen`."""
        while len(self._unseen) > unseen:
            loss = self._unseen.popleft()
            if not torch.isfinite(loss).all():
                self._unseen.clear()
                clock = strategy.clock
                raise DivergenceError(
                    f"the loss became {loss.item()} in experience "
                    f"{clock.train_exp_counter + 1}, epoch {clock.train_exp_epochs + 1}: lower "
                    f"{self.settings}"
                )

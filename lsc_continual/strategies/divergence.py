"""Stop when the loss is no longer a number."""

from __future__ import annotations

from typing import Any

import torch
from avalanche.core import SupervisedPlugin

from lsc_continual.errors import LSCError


class DivergenceError(LSCError):
    """The training loss became infinite or not a number."""


class StopOnDivergence(SupervisedPlugin):
    """Raises `DivergenceError` before a loss that is not finite reaches the weights."""

    def before_backward(self, strategy: Any, **kwargs: Any) -> None:
        if not torch.isfinite(strategy.loss).all():
            clock = strategy.clock
            raise DivergenceError(
                f"the loss became {strategy.loss.item()} in experience "
                f"{clock.train_exp_counter + 1}, epoch {clock.train_exp_epochs + 1}: lower "
                "train.lr or loss.scale"
            )

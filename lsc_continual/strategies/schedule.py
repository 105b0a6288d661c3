"""Learning-rate decay within each experience."""

from __future__ import annotations

from typing import Any

from avalanche.core import SupervisedPlugin
from torch.optim.lr_scheduler import CosineAnnealingLR

from lsc_continual.strategies.resumable import Resumable, State
from lsc_continual.strategies.stages import Stage, Staged


class CosineDecay(Staged, SupervisedPlugin, Resumable, supports_distributed=True):  # type: ignore[call-arg]
    """Cosine decay from the optimizer's own learning rate to zero, anew in each experience.

    Step by step rather than by epoch, so that one epoch decays too.
    """

    stage = Stage.SCHEDULE

    def __init__(self) -> None:
        super().__init__()
        self._scheduler: CosineAnnealingLR | None = None

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        for group in strategy.optimizer.param_groups:
            group["lr"] = group.setdefault("initial_lr", group["lr"])
        # Of a strategy's epochs, not all need be gradient descent.
        epochs = getattr(strategy, "gradient_epochs", strategy.train_epochs)
        steps = epochs * len(strategy.dataloader)
        self._scheduler = CosineAnnealingLR(strategy.optimizer, T_max=steps)

    def after_update(self, strategy: Any, **kwargs: Any) -> None:
        assert self._scheduler is not None
        self._scheduler.step()

    def state(self) -> State:
        return {} if self._scheduler is None else self._scheduler.state_dict()

    def take_up(self, state: State) -> None:
        assert self._scheduler is not None
        self._scheduler.load_state_dict(state)

"""The order in which plugins act, declared by each of them instead of by whoever adds them."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, ClassVar

from avalanche.training.plugins import (
    EvaluationPlugin,
    EWCPlugin,
    LRSchedulerPlugin,
    LwFPlugin,
    ReplayPlugin,
)
from avalanche.training.plugins.clock import Clock
from avalanche.training.supervised.icarl import _ICaRLPlugin

from lsc_continual.errors import LSCError


class Stage(IntEnum):
    """What a plugin does; those of a stage act after those of the stages before it."""

    LOADER = 1
    """It decides which images are in a batch, or changes them."""
    SCHEDULE = 2
    """It sets the learning rate, by the length of the loader."""
    LOSS = 3
    """It adds to the loss, or looks at it."""
    MEMORY = 4
    """It keeps something of what went by."""
    CALIBRATION = 5
    """It measures the trained network, by what is kept."""
    SCORE = 6
    """It measures outputs in an evaluation."""
    RECORD = 7
    """It looks at what all others have done."""


_OF_AVALANCHE: dict[type[Any], Stage] = {
    ReplayPlugin: Stage.LOADER,
    LRSchedulerPlugin: Stage.SCHEDULE,
    LwFPlugin: Stage.LOSS,
    EWCPlugin: Stage.LOSS,
    EvaluationPlugin: Stage.SCORE,
    Clock: Stage.RECORD,
    _ICaRLPlugin: Stage.MEMORY,
}


class Staged:
    """Base of plugins that have to act in an order.

    A strategy of this package sorts its plugins. One of Avalanche's own does not: there a plugin
    that stands in the wrong place refuses to be trained with.
    """

    stage: ClassVar[Stage]

    def before_training(self, strategy: Any, **kwargs: Any) -> None:
        """Refuse an order in which the plugins would not see what they need.

        Raises:
            LSCError: a plugin stands before one that has to act first.
        """
        always = EvaluationPlugin | Clock  # which Avalanche puts last whatever else there is
        ranked = [p for p in strategy.plugins if stage_of(p) and not isinstance(p, always)]
        for first, second in zip(ranked, in_order(ranked), strict=True):
            if first is not second:
                raise LSCError(
                    f"{type(first).__name__} has to come after {type(second).__name__} among the "
                    "strategy's plugins: change their order"
                )


def stage_of(plugin: Any) -> Stage | None:
    """The stage of a plugin; None for those that say nothing, which stay where they are."""
    if isinstance(plugin, Staged):
        return plugin.stage
    return next((s for kind, s in _OF_AVALANCHE.items() if isinstance(plugin, kind)), None)


def in_order(plugins: list[Any]) -> list[Any]:
    """The plugins by their stages; those of one stage, and those without, keep their order.

    A plugin without a stage keeps its place in the list.
    """
    ranked = iter(sorted((p for p in plugins if stage_of(p) is not None), key=_rank))
    return [plugin if stage_of(plugin) is None else next(ranked) for plugin in plugins]


def _rank(plugin: Any) -> int:
    stage = stage_of(plugin)
    assert stage is not None
    return stage

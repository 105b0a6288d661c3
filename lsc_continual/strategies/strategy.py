"""A strategy as settings name it. Nothing heavy is imported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lsc_continual.registry import Entry
from lsc_continual.settings.fields import Part


@dataclass(frozen=True)
class Strategy(Entry):
    """What learns, by its builder: a function from `Conditions` to an `Assembly`.

    The builder is `target`, itself or as "module:function".

    Args:
        options: the strategy's own settings, `strategy.options`, with their defaults.
        parts: what it has; settings that concern other parts are refused. With
            `Part.CHECKPOINTS` it can be resumed: all that its plugins carry from one step to the
            next is saved (see `Resumable`).
        bound: whether it may do what the others may not, so that it bounds them.
        goes_on: whether its model can learn more after the run. A head that grows cannot: it was
            made for the classes of its stream.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    parts: frozenset[Part] = frozenset(Part)
    bound: bool = False
    goes_on: bool = True

    @property
    def resumable(self) -> bool:
        """Whether an interrupted run can go on."""
        return Part.CHECKPOINTS in self.parts

    def build(self, conditions: Any) -> Any:
        """The strategy, ready to be trained: `Conditions` -> `Assembly`.

        Raises:
            LSCError: it cannot learn from such data or in such a way.
        """
        return self.load()(conditions)

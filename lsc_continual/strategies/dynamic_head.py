"""The target head as a module that Avalanche adapts to each experience."""

from __future__ import annotations

from typing import Any

from avalanche.models import DynamicModule
from torch import nn

from lsc_continual.experiences.classes import arriving_classes
from lsc_continual.network import heads


class DynamicTargetHead(heads.TargetHead, DynamicModule):
    """A target head whose classes arrive with the experiences of any Avalanche strategy.

    `LSC` adapts heads of either kind.
    """

    def adaptation(self, experience: Any) -> None:
        """Give targets to the classes of an arriving experience (in training mode)."""
        self.arrive(arriving_classes(experience))


def adapt_heads(model: nn.Module, experience: Any) -> None:
    """The same for those heads of a model that Avalanche passes over."""
    for module in model.modules():
        if isinstance(module, heads.TargetHead) and not isinstance(module, DynamicModule):
            module.arrive(arriving_classes(experience))


TargetHead = DynamicTargetHead
"""What `lsc_continual.TargetHead` is, so that scripts can use it with any strategy."""

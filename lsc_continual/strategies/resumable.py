"""What a plugin does so that an interrupted run can go on."""

from __future__ import annotations

from typing import Any

State = dict[str, Any]
"""Tensors and JSON values, in nested dictionaries and lists."""


class Resumable:
    """Base of plugins that carry something from one step to the next."""

    def state(self) -> State:
        """All of it."""
        return {}

    def load_state(self, state: State, strategy: Any, stream: Any) -> None:
        """Take over what was learned in earlier experiences of the training `stream`."""

    def take_up(self, state: State) -> None:
        """Go on in the middle of an experience, which was begun anew (`before_training_exp`)."""

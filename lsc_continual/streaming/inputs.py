"""One input: what it is called, and where it comes from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from lsc_continual.inputs.preparation import Content

Stop = Callable[[], bool]
"""Whether sources should end now."""


class Input(NamedTuple):
    """Something to be classified."""

    id: Any
    """A path, an index, or any JSON value."""
    content: Content


def never() -> bool:
    return False

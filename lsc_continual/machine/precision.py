"""Where autocast may not reach."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
T = TypeVar("T")
_DEVICES = ("cpu", "cuda")


def full_precision(function: Callable[P, T]) -> Callable[P, T]:
    """Have a function compute in the number format of its arguments, even under `torch.autocast`.

    Losses, scores and decisions are differences of large sums: in half precision they would be
    wrong without a word.
    """

    @wraps(function)
    def computed(*args: P.args, **kwargs: P.kwargs) -> T:
        if not any(map(torch.is_autocast_enabled, _DEVICES)):
            return function(*args, **kwargs)
        with torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
            return function(*args, **kwargs)

    return computed

"""Which penalty a regression takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from torch import Tensor

from lsc_continual.errors import LSCError

T = TypeVar("T")

PENALTIES = (1e-2, 1e-1, 1e-3, 1e-4)
"""Relative penalties that there are to choose from, the most likely first."""


def choose(penalties: Sequence[float], tried: Callable[[float], tuple[T, Tensor]]) -> T:
    """What the first penalty gives, or a later one that is better than those before it.

    Better is one with fewer errors by over a standard error of their difference: of few samples,
    differences are chance.

    Args:
        penalties: one or more, the most likely first.
        tried: penalty -> what it gives, and which of some answers are right, BoolTensor[count].
    """
    first, *others = penalties
    best, before = tried(first)
    for penalty in others:
        try:
            found, right = tried(penalty)
        except LSCError:  # too small for features that hardly vary
            continue
        gain = int(right.sum()) - int(before.sum())
        if gain > 0 and gain**2 > int((right != before).sum()):
            best, before = found, right
    return best

"""Which penalty a regression takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from torch import Tensor

from lsc_continual.errors import LSCError

T = TypeVar("T")

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Relative penalties that there are to choose from, the most likely in the middle."""


def likeliest(penalties: Sequence[float]) -> float:
    """The one in the middle."""
    return penalties[len(penalties) // 2]


def choose(penalties: Sequence[float], tried: Callable[[float], tuple[T, Tensor]]) -> T:
    """What the middle penalty gives, or another one that is better.

    From the middle it goes up as long as that is better, and down if it never was. Better is one
    with fewer errors by over a standard error of their difference: of few samples, differences
    are chance.

    Args:
        penalties: one or more, ascending.
        tried: penalty -> what it gives, and which of some answers are right, BoolTensor[count].
    """
    middle = len(penalties) // 2
    best, before = tried(likeliest(penalties))
    for way in (penalties[middle + 1 :], penalties[:middle][::-1]):
        moved = False
        for penalty in way:
            try:
                found, right = tried(penalty)
            except LSCError:  # too small for features that hardly vary
                break
            gain = int(right.sum()) - int(before.sum())
            if gain <= 0 or gain**2 <= int((right != before).sum()):
                break
            best, before, moved = found, right, True
        if moved:
            break
    return best

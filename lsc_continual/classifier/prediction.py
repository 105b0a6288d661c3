"""What a classifier says about an input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple


class Alternative(NamedTuple):
    """A class that was not chosen."""

    label: str
    score: float
    """Cosine between the embedding and the class's target."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the classifier says about one input."""

    id: Any
    """A path, an index, or what the input was called."""
    label: str | None = None
    """Name of the class with the nearest target, also for unknown inputs."""
    known: bool | None = None
    """Whether `p_value` is above the false-alarm rate; None without a calibrated detector."""
    novelty: float | None = None
    """Novelty score, higher = more novel."""
    p_value: float | None = None
    """How often a known input is at least as novel; None without a calibrated detector."""
    address: int | None = None
    """The address of the nearest vector of the whole system."""
    gap: float | None = None
    """Runner-up gap: how much smaller the second largest cosine with a vector of the system is."""
    alternatives: tuple[Alternative, ...] = ()
    """The classes that come next, nearest first; fewer where a bounded search finds no more."""
    error: str | None = None
    """What is wrong with the input; then there is nothing else but `id`."""

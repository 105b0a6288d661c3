"""Times on a noisy machine: competitors take turns, and ratios are taken within a turn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from math import ceil

import torch

Ways = dict[str, Callable[[], object]]
"""Competitors: calls by name."""

_SHORTEST = 0.02  # seconds that one reading of the clock should span at least
_LONG = 1.0  # a call of so many seconds is its own warm-up
_FEWEST_TURNS = 3


def seconds(call: Callable[[], object], device: torch.device, repeats: int = 1) -> float:
    """Seconds of one call, on average over `repeats` of them."""
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return (time.perf_counter() - start) / repeats


def take_turns(
    ways: Ways, turns: int, device: torch.device, patience: float = 30.0
) -> dict[str, list[float]]:
    """Seconds of a call of each way in each turn, after a warm-up.

    Short calls are repeated within a turn. After `patience` seconds there are no further turns
    beyond the first three.
    """
    repeats = {}
    for name, call in ways.items():
        took = seconds(call, device)
        if took < _LONG:  # the first call compiles, allocates and fills caches
            took = seconds(call, device)
        repeats[name] = max(1, ceil(_SHORTEST / max(took, 1e-9)))
    times: dict[str, list[float]] = {name: [] for name in ways}
    start = time.perf_counter()
    for turn in range(turns):
        if turn >= _FEWEST_TURNS and time.perf_counter() - start > patience:
            break
        for name, call in ways.items():
            times[name].append(seconds(call, device, repeats[name]))
    return times


def ratio(slow: Sequence[float], fast: Sequence[float]) -> float:
    """Median over the turns of how many times longer `slow` took than `fast`."""
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))

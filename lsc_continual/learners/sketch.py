"""Which samples were learned, in constant memory: a counting Bloom filter."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_COUNTERS = 2**22
_HASHES = 4
_FULL = np.iinfo(np.uint8).max


def mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Numbers of 64 bits that look random, one for each: splitmix64's finalizer."""
    x = values + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


class Sketch:
    """A multiset of digests that can be added to, taken from and merged (Fan et al., 2000).

    Each digest raises 4 of 4 Mi counters. It says of every sample that was learned that it was, and
    of another one with the probability `error`; a counter that reached 255 stays there.
    """

    def __init__(self, counters: NDArray[np.uint8] | None = None) -> None:
        self.counters = np.zeros(_COUNTERS, np.uint8) if counters is None else counters

    def add(self, digests: NDArray[np.uint64]) -> None:
        """Take in uint64[count]."""
        places, times = np.unique(self._places(digests), return_counts=True)
        total = self.counters[places].astype(np.int64) + times
        self.counters[places] = np.minimum(total, _FULL)

    def missing(self, digests: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Which of some were certainly not learned, at least not as often: bool[count]."""
        unique, inverse, times = np.unique(digests, return_inverse=True, return_counts=True)
        least = self.counters[self._places(unique).reshape(len(unique), _HASHES)].min(1)
        enough: NDArray[np.bool_] = (least >= np.minimum(times, _FULL))[inverse]
        return ~enough

    def subtract(self, digests: NDArray[np.uint64]) -> None:
        """Take out what was added."""
        places, times = np.unique(self._places(digests), return_counts=True)
        before = self.counters[places].astype(np.int64)
        self.counters[places] = np.where(before == _FULL, _FULL, np.maximum(before - times, 0))

    def merge(self, other: Sketch) -> None:
        """Take in all that another one has."""
        total = self.counters.astype(np.int64) + other.counters
        self.counters = np.minimum(total, _FULL).astype(np.uint8)

    @property
    def error(self) -> float:
        """The probability that a sample that was never learned passes for one that was."""
        return float((self.counters > 0).mean() ** _HASHES)

    @staticmethod
    def _places(digests: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Of all counters of all digests: int64[count × 4], those of each in a row."""
        steps = np.arange(_HASHES, dtype=np.uint64) * np.uint64(0xD1B54A32D192ED03)
        return (mixed(digests[:, None] ^ steps) % np.uint64(_COUNTERS)).astype(np.int64).ravel()

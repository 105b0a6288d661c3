"""What a benchmark is asked to measure, checked before anything is measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from lsc_continual.bench.memory import available_bytes
from lsc_continual.errors import LSCError
from lsc_continual.machine.devices import pick_device
from lsc_continual.systems import PermutationSystem, make_system

GIB = 2**30
_POWERS = tuple(10**exponent for exponent in range(3, 8))
_MOST = 28_090_752  # all vectors of v21 in 384 dimensions
_MOST_QUICK = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What to measure, on what, and within which limits."""

    system: PermutationSystem
    classes: tuple[int, ...]
    """Asked for by the user; empty for the defaults of each table."""
    device: torch.device
    threads: int
    memory: int
    """Bytes that a competitor may use."""
    build_seconds: float
    turns: int
    quick: bool
    say: Callable[[str], None]
    """Tells the user what is going on."""

    def class_counts(self, fewest: int, most: int = _MOST) -> list[int]:
        """Numbers of classes to measure at, ascending: those asked for, or else powers of ten."""
        if self.classes:
            return list(self.classes)
        last = min(self.system.size, most, _MOST_QUICK if self.quick else most)
        return [count for count in _POWERS if fewest <= count < last] + [last]

    def too_large(self, needed: int) -> str | None:
        """Why something that needs so many bytes is left out; None if it is not."""
        if needed <= self.memory:
            return None
        return f"needs {needed / GIB:,.1f} GiB (--memory {self.memory / GIB:.2g})"

    def describe(self) -> dict[str, Any]:
        """In JSON types."""
        return {
            "system": self.system.name,
            "dim": self.system.dim,
            "threads": self.threads,
            "memory_bytes": self.memory,
            "build_seconds": self.build_seconds,
            "turns": self.turns,
            "quick": self.quick,
        }


def resolve(
    say: Callable[[str], None],
    *,
    classes: str | None = None,
    system: str = "v21",
    dim: int = 384,
    device: str = "auto",
    threads: int = 1,
    memory: float | None = None,
    build_seconds: float | None = None,
    turns: int | None = None,
    quick: bool = False,
) -> Settings:
    """The settings that the options of the command line mean; None stands for those not given.

    Raises:
        LSCError: an option that cannot be; the sentence names it.
    """
    positive = {"dim": dim, "threads": threads, "turns": turns, "memory": memory}
    for option, value in positive.items():
        if value is not None and not value > 0:
            raise LSCError(f"--{option} is a positive number, not {value}")
    if build_seconds is None:
        build_seconds = 10.0 if quick else 180.0
    if not build_seconds >= 0:
        raise LSCError(f"--build-seconds is 0 or more, not {build_seconds}")
    chosen = make_system(system, dim)
    if not isinstance(chosen, PermutationSystem):
        raise LSCError(
            f"the benchmarks compare permutation systems, not {system!r}: use --system v11, v21, "
            "v22, …"
        )
    where = pick_device(device, "--device ")
    return Settings(
        system=chosen,
        classes=_parse_classes(classes, chosen),
        device=where,
        threads=threads,
        memory=int(available_bytes(where) // 2 if memory is None else memory * GIB),
        build_seconds=build_seconds,
        turns=turns or (5 if quick else 11),
        quick=quick,
        say=say,
    )


def _parse_classes(text: str | None, system: PermutationSystem) -> tuple[int, ...]:
    if text is None:
        return ()
    try:
        counts = sorted({int(part) for part in text.split(",")})
    except ValueError:
        raise LSCError(
            f"--classes takes whole numbers with commas between them, not {text!r}"
        ) from None
    if counts[0] < 2:
        raise LSCError(f"--classes takes numbers from 2 on, not {counts[0]}")
    if counts[-1] > system.size:
        raise LSCError(
            f"{counts[-1]} classes do not fit {system.name!r} in {system.dim} dimensions, which "
            f"holds {system.size}: use --dim {system.min_dim(counts[-1])} or more"
        )
    return tuple(counts)

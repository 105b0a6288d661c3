"""What commands tell the user while they work: lines on standard error, or where a caller says."""

from __future__ import annotations

import time
from typing import Self

from rich.console import Console
from rich.status import Status

from lsc_continual.errors import inert

_AT_ONCE = 2.0  # seconds in which nothing is said
_LINE_EVERY = 30.0  # seconds between two lines in a log


def console_for_progress() -> Console:
    """Standard error: what is no result."""
    return Console(stderr=True, emoji=False)


def say(console: Console, line: str) -> None:
    """Print a line as it is: nothing in it is markup or moves the cursor, and it is not wrapped."""
    console.print(inert(line), markup=False, highlight=False, soft_wrap=True)


class Embedding:
    """Shows how many examples are embedded, and how long the rest will take.

    Args:
        console: on a terminal, a line that changes; elsewhere a line now and then.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status: Status | None = None
        self._start = self._said = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._status is not None:
            self._status.stop()

    def show(self, done: int, total: int) -> None:
        """Some examples are embedded."""
        now = time.monotonic()
        if now - self._start < _AT_ONCE:
            return
        left = (now - self._start) * (total - done) / max(1, done)
        line = f"embedded {done:,} of {total:,}, {_duration(left)} left"
        if done == total:
            line = "solving, and calibrating"
        if self._console.is_terminal:
            if self._status is None:
                self._status = self._console.status(line)
                self._status.start()
            self._status.update(line)
        elif now - self._said >= _LINE_EVERY:
            self._said = now
            say(self._console, line)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

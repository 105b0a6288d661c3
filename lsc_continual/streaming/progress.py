"""What a stream shows while it goes on, and at its end."""

from __future__ import annotations

import time
from collections.abc import Iterable

from rich.console import Console

from lsc_continual.classifier.prediction import Prediction

_EVERY = 0.2  # seconds between two changes of a terminal's line
_LINE_EVERY = 30.0  # seconds between two lines in a log


class StreamProgress:
    """Counts answers; a context manager that shows rate and share of the unknown.

    Args:
        console: on a terminal, a line that changes; elsewhere a line now and then.
        count, failed: inputs that were answered, and failed, before.
    """

    def __init__(self, console: Console, count: int = 0, failed: int = 0) -> None:
        self.count = count
        self.failed = failed
        self._before = count
        self._known = self._unknown = 0
        self._console = console
        self._status = console.status("waiting for inputs") if console.is_terminal else None
        self._start = self._shown = time.monotonic()

    def __enter__(self) -> StreamProgress:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._status is not None:
            self._status.stop()

    def add(self, predictions: Iterable[Prediction]) -> None:
        """Count answers."""
        for prediction in predictions:
            self.count += 1
            self.failed += prediction.error is not None
            self._known += prediction.known is True
            self._unknown += prediction.known is False
        now = time.monotonic()
        if now - self._shown >= (_LINE_EVERY if self._status is None else _EVERY):
            self._shown = now
            if self._status is None:
                self.say(self.line())
            else:
                self._status.update(self.line())

    def line(self) -> str:
        """One line on the stream so far."""
        rate = (self.count - self._before) / max(1e-9, time.monotonic() - self._start)
        parts = [f"{self.count:,} inputs", f"{rate:,.0f}/s"]
        if told := self._known + self._unknown:
            parts.append(f"{self._unknown / told:.1%} unknown")
        if self.failed:
            parts.append(f"{self.failed:,} failed")
        return "  ".join(parts)

    def say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

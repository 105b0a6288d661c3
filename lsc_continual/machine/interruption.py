"""Ctrl-C and SIGTERM: stop at the next step, or at once when asked again."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from types import FrameType
from typing import Any


class InterruptedRunError(Exception):
    """A run stopped because a signal asked for it; the message says how to go on."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = 128 + number
        """The code that shells know such an end by: 130 for Ctrl-C, 143 for SIGTERM."""


class Interruption:
    """While it is entered, the first signal is noted, and a second Ctrl-C ends the process."""

    # Launchers of several processes pass a terminal's Ctrl-C on to processes that have it already.
    _SAME = 1.0 if "LOCAL_RANK" in os.environ else 0.0

    def __init__(self) -> None:
        self.number = 0
        """The number of the signal that came, or 0."""
        self._time = 0.0
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is not threading.main_thread():
            return self  # signals are for the main thread
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.number and number == signal.SIGINT and time.monotonic() - self._time >= self._SAME:
            if sys.stderr.isatty():
                os.write(2, b"\x1b[?25h")  # a live display hides the cursor
            os._exit(128 + number)
        if not self.number:
            self.number, self._time = number, time.monotonic()

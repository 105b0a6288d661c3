"""What commands tell the user while they work: lines on standard error, or where a caller says."""

from __future__ import annotations

from rich.console import Console

from lsc_continual.errors import inert


def console_for_progress() -> Console:
    """Standard error: what is no result."""
    return Console(stderr=True, emoji=False)


def say(console: Console, line: str) -> None:
    """Print a line as it is: nothing in it is markup or moves the cursor, and it is not wrapped."""
    console.print(inert(line), markup=False, highlight=False, soft_wrap=True)

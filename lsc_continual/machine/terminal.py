"""What commands tell the user while they work: lines on standard error, or where a caller says."""

from __future__ import annotations

from rich.console import Console


def console_for_progress() -> Console:
    """Standard error: what is no result."""
    return Console(stderr=True, emoji=False)


def say(console: Console, line: str) -> None:
    """Print a line as it is: nothing in it is markup, and it is as long as it is."""
    console.print(line, markup=False, highlight=False, soft_wrap=True)

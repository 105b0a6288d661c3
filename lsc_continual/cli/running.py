"""What several commands have in common."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from lsc_continual.errors import inert
from lsc_continual.machine.interruption import InterruptedRunError
from lsc_continual.machine.terminal import console_for_progress, say

_WIDE = 200


def console_for_tables() -> Console:
    """Standard output. A table in a file or a pipe is not wrapped to the width of a terminal."""
    return Console(highlight=False, emoji=False, width=None if sys.stdout.isatty() else _WIDE)


def is_first() -> bool:
    """Whether this is the first of several processes, the one that speaks."""
    return os.environ.get("RANK", "0") == "0"


def print_json(content: Any) -> None:
    """What `--json` asks for."""
    from lsc_continual.storage.json_text import json_text

    typer.echo(json_text(content, indent=1))


@contextmanager
def loading(console: Console | None = None) -> Iterator[Console]:
    """Says that libraries are loaded inside, and has only warnings of this package's shown.

    Args:
        console: where it says so, and what it gives; by default that for progress.
    """
    console = console or console_for_progress()
    # Threads that spin while they wait make small networks up to a hundred times slower as soon
    # as another process shares the cores; it has to be said before torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    warnings.showwarning = show_own_warning if is_first() else lambda *_: None  # type: ignore[assignment]
    with console.status("loading libraries"):
        yield console


@contextmanager
def interruptible(line: str | Callable[[], str]) -> Iterator[None]:
    """Ctrl-C inside ends the command: a line says what is kept, and the exit code is 130."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(line if isinstance(line, str) else line(), err=True)
        raise typer.Exit(130) from None


def carry_out(action: Callable[[Any, Console], Path], json: bool) -> None:
    """Call `action` with the module `lsc_continual.runs.run` and a console; say how it ended."""
    console = Console(stderr=json, emoji=False, quiet=not is_first())
    # Before or after training, which has ways of its own.
    with interruptible("interrupted; nothing was learned that is not in the run folder"):
        with loading(console):
            from lsc_continual.machine import distributed
            from lsc_continual.runs import run as runs
        try:
            folder = action(runs, console)
        except InterruptedRunError as error:
            say(console, str(error))
            raise typer.Exit(error.exit_code) from None
        finally:
            distributed.stop()
    if json and is_first():
        from lsc_continual.runs.folder import RunFolder

        print_json(RunFolder(folder).metrics().to_json())


def show_own_warning(
    message: Warning | str, category: type[Warning], filename: str, *_: Any
) -> None:
    """Print a warning of this package's; libraries' notes to developers are not for users.

    A filter would not do: Avalanche switches its deprecation warnings on again.
    """
    if "lsc_continual" in Path(filename).parts:
        typer.echo(f"warning: {inert(str(message))}", err=True)

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

_WIDE = 200


def console_for_tables() -> Console:
    """Standard output. A table in a file or a pipe is not wrapped to the width of a terminal."""
    return Console(highlight=False, emoji=False, width=None if sys.stdout.isatty() else _WIDE)


def print_json(content: Any) -> None:
    """What `--json` asks for."""
    from json import dumps

    typer.echo(dumps(content, indent=1, ensure_ascii=False))


@contextmanager
def loading(console: Console) -> Iterator[None]:
    """Says that libraries are loaded inside, and has only warnings of this package's shown."""
    # Threads that spin while they wait make small networks up to a hundred times slower as soon
    # as another process shares the cores; it has to be said before torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    first = os.environ.get("RANK", "0") == "0"  # of several processes, one speaks
    warnings.showwarning = show_own_warning if first else lambda *_: None  # type: ignore[assignment]
    with console.status("loading libraries"):
        yield


def carry_out(action: Callable[[Any, Console], Path], json: bool) -> None:
    """Call `action` with the module `lsc_continual.runs.run` and a console; say how it ended."""
    first = os.environ.get("RANK", "0") == "0"
    console = Console(stderr=json, emoji=False, quiet=not first)
    try:
        with loading(console):
            from lsc_continual.machine import distributed
            from lsc_continual.runs import run as runs
        try:
            folder = action(runs, console)
        except runs.InterruptedRunError as error:
            several = distributed.world_size() > 1
            command = "torchrun … -m lsc_continual" if several else "lsc-cl"
            line = f"interrupted; to go on: {command} resume {error.folder}"
            if not error.resumable:
                line = f"interrupted; what was measured is in {error.folder}"
            console.print(line, highlight=False, markup=False, soft_wrap=True)
            raise typer.Exit(error.exit_code) from None
        finally:
            distributed.stop()
    except KeyboardInterrupt:  # before or after training, which has ways of its own
        typer.echo("interrupted; nothing was learned that is not in the run folder", err=True)
        raise typer.Exit(130) from None
    if json and first:
        typer.echo((folder / "metrics.json").read_text(encoding="utf-8"), nl=False)


def show_own_warning(
    message: Warning | str, category: type[Warning], filename: str, *_: Any
) -> None:
    """Print a warning of this package's; libraries' notes to developers are not for users.

    A filter would not do: Avalanche switches its deprecation warnings on again.
    """
    if "lsc_continual" in Path(filename).parts:
        typer.echo(f"warning: {message}", err=True)

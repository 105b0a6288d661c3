"""`lsc-cl run`."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console


def run(
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Settings; `lsc-cl show` lists them all."),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print metrics.json at the end instead of a table.")
    ] = False,
) -> None:
    """Train on classes as they arrive, evaluate after each experience, leave a run folder.

    Examples:

    - `lsc-cl run`

    - `lsc-cl run scenario=split-digits seed=1 train.epochs=5`

    - `lsc-cl run system=v22 system.dim=32 allocation=spread run.dir=runs/trial`
    """
    from lsc_continual.config import resolve

    config = resolve(settings or [])
    console = Console(stderr=json)
    # Threads that spin while they wait make small networks up to a hundred times slower as soon
    # as another process shares the cores; it has to be said before torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    warnings.showwarning = show_own_warning  # type: ignore[assignment]
    with console.status("loading libraries"):
        from lsc_continual.runs.run import run as run_configured
    try:
        folder = run_configured(config, console)
    except KeyboardInterrupt:
        typer.echo("interrupted; what earlier experiences taught is in the run folder", err=True)
        raise typer.Exit(130) from None
    if json:
        typer.echo((folder / "metrics.json").read_text(encoding="utf-8"), nl=False)


def show_own_warning(
    message: Warning | str, category: type[Warning], filename: str, *_: Any
) -> None:
    """Print a warning of this package's; libraries' notes to developers are not for users.

    A filter would not do: Avalanche switches its deprecation warnings on again.
    """
    if "lsc_continual" in Path(filename).parts:
        typer.echo(f"warning: {message}", err=True)

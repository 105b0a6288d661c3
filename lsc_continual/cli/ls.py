"""`lsc-cl ls`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table


def ls(
    kind: Annotated[
        str | None,
        typer.Argument(
            help="scenarios, strategies, systems, allocations, encoders, losses, "
            "collapses or scores; "
            "all by default."
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List what can be named in settings, with a line on each.

    Examples:

    - `lsc-cl ls`

    - `lsc-cl ls systems --json`
    """
    from lsc_continual import catalog
    from lsc_continual.errors import unknown_name

    tables = {
        "scenarios": catalog.SCENARIOS,
        "strategies": catalog.STRATEGIES,
        "systems": catalog.SYSTEMS,
        "allocations": catalog.ALLOCATIONS,
        "encoders": catalog.ENCODERS,
        "losses": catalog.LOSSES,
        "collapses": catalog.COLLAPSES,
        "scores": catalog.SCORES,
    }
    if kind is not None and kind not in tables:
        raise unknown_name("list", kind, tables)
    chosen = {kind: tables[kind]} if kind else tables
    if json:
        from json import dumps

        lines = {k: {name: entry.line for name, entry in t.items()} for k, t in chosen.items()}
        typer.echo(dumps(lines, indent=1, ensure_ascii=False))
        return
    console = Console()
    for heading, entries in chosen.items():
        table = Table("name", "", title=heading, title_justify="left", show_header=False, box=None)
        for name, entry in entries.items():
            table.add_row(name, entry.line)
        if heading == "encoders":
            table.add_row("resnet50, …", "any torchvision classification model")
            table.add_row("module:attribute", "your own: called with encoder.options")
        console.print(table, "")

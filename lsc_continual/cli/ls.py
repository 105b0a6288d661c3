"""`lsc-cl ls`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from lsc_continual.cli.options import Json
from lsc_continual.cli.running import print_json

if TYPE_CHECKING:
    from lsc_continual.registry import Registry


def ls(
    kind: Annotated[
        str | None,
        typer.Argument(
            help="scenarios, strategies, systems, allocations, encoders, losses, "
            "collapses or scores; "
            "all by default."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """List what can be named in settings, with a line on each.

    Examples:

    - `lsc-cl ls`

    - `lsc-cl ls systems --json`
    """
    from lsc_continual.encoders.names import ENCODERS
    from lsc_continual.errors import unknown_name
    from lsc_continual.network.names import LOSSES
    from lsc_continual.novelty.names import SCORES
    from lsc_continual.scenarios.names import SCENARIOS
    from lsc_continual.strategies.names import COLLAPSES, STRATEGIES
    from lsc_continual.systems.names import SYSTEMS
    from lsc_continual.targets.names import ALLOCATIONS

    tables: dict[str, Registry[Any]] = {
        "scenarios": SCENARIOS,
        "strategies": STRATEGIES,
        "systems": SYSTEMS,
        "allocations": ALLOCATIONS,
        "encoders": ENCODERS,
        "losses": LOSSES,
        "collapses": COLLAPSES,
        "scores": SCORES,
    }
    if kind is not None and kind not in tables:
        raise unknown_name("list", kind, tables)
    chosen = {kind: tables[kind]} if kind else tables
    if json:
        lines = {k: {name: entry.line for name, entry in t.items()} for k, t in chosen.items()}
        print_json(lines)
        return
    console = Console(emoji=False)
    for heading, entries in chosen.items():
        table = Table("name", "", title=heading, title_justify="left", show_header=False, box=None)
        for name, entry in entries.items():
            table.add_row(name, entry.line)
        table.add_row("module:attribute", f"your own: {entries.own}")
        console.print(table, "")

"""`lsc-cl doctor`."""

from __future__ import annotations

import sys
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lsc_continual.cli.options import Json
from lsc_continual.cli.running import is_first, print_json

if TYPE_CHECKING:
    from lsc_continual.doctor import Finding

_STYLES = {"ok": "green", "note": "yellow", "missing": "magenta", "broken": "bold red"}


def doctor(
    root: Annotated[
        Path, typer.Option(help="Folder of the data, as in data.root.", metavar="PATH")
    ] = Path("data"),
    json: Json = False,
) -> None:
    """Look at versions, devices, folders and data: can runs work here, and what would help?

    Marks: *ok*; *note*, good to know; *missing*, only some runs need it; *broken*, no run works
    without it (then the exit code is 2).

    Examples:

    - `lsc-cl doctor`

    - `lsc-cl doctor --root /datasets`

    - `lsc-cl doctor --json`
    """
    from lsc_continual.doctor import examine

    if isinstance(sys.stdout, TextIOWrapper):  # a terminal that knows ASCII only gets ? for →
        sys.stdout.reconfigure(errors="replace")
    findings = examine(root)
    every = [finding for group in findings.values() for finding in group]
    broken = sum(finding.state == "broken" for finding in every)
    if is_first():
        if json:
            checks = [{"group": g} | vars(finding) for g in findings for finding in findings[g]]
            print_json({"works": not broken, "checks": checks})
        else:
            _print_tables(findings, max(len(finding.name) for finding in every), broken)
    if broken:
        raise typer.Exit(2)


def _print_tables(findings: dict[str, list[Finding]], width: int, broken: int) -> None:
    console = Console(highlight=False, emoji=False)
    for title, group in findings.items():
        table = Table(title=title, title_justify="left", show_header=False, box=None)
        table.add_column(min_width=max(map(len, _STYLES)), no_wrap=True)
        table.add_column(min_width=width, no_wrap=True)
        table.add_column(overflow="fold")
        for finding in group:
            words = Text(finding.found)
            if finding.cure:
                words.append(f"\n→ {finding.cure}", style="italic")
            state = Text(finding.state, style=_STYLES[finding.state])
            table.add_row(state, Text(finding.name), words)
        console.print(table, "")
    if broken:
        things = "one thing is" if broken == 1 else f"{broken} things are"
        console.print(Text(f"runs cannot work yet: {things} broken", style="bold red"))
    else:
        console.print("runs can work here")

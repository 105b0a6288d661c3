"""`lsc-cl show`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from lsc_continual.cli.running import console_for_tables, loading, print_json
from lsc_continual.errors import LSCError


def show(
    settings: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL] | [KEY=VALUE]...",
            help="The folder of a model; or settings, as for `run`.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of YAML.")] = False,
    explain: Annotated[
        str | None,
        typer.Option(
            help="Say everything about one setting, or about a group of them.",
            metavar="KEY",
            show_default=False,
        ),
    ] = None,
    page: Annotated[
        bool, typer.Option("--page", help="Print all settings as a page of documentation.")
    ] = False,
) -> None:
    """Show what a model knows; or the settings that `run` would use, checked, with their meaning.

    Of a model: its classes by name, with the number of examples and since when, what it learned
    from, its size and calibration. Of settings, all mistakes are said at once.

    Examples:

    - `lsc-cl show`

    - `lsc-cl show scenario=split-mnist train.lr=0.01`

    - `lsc-cl show --explain train.epochs`

    - `lsc-cl show pets`
    """
    if settings and len(settings) == 1 and "=" not in settings[0]:
        _show_model(Path(settings[0]), json)
        return
    from lsc_continual.runs.configuration import resolve
    from lsc_continual.settings import words

    resolved = resolve(settings or [])
    if explain is not None:
        typer.echo(words.explain(explain))
    elif page:
        typer.echo(words.page(), nl=False)
    elif json:
        from dataclasses import asdict

        print_json(asdict(resolved))
    else:
        typer.echo(words.to_yaml(resolved), nl=False)


_LATEST = 10  # entries of the history that are shown


def _show_model(folder: Path, json: bool) -> None:
    """Print what a living model knows."""
    if not folder.is_dir():
        raise LSCError(
            f"{folder} is no folder of a model, and no setting: those are written KEY=VALUE"
        )
    with loading():
        from lsc_continual.living.showing import described
    content = described(folder)
    if json:
        print_json(content)
        return
    console = console_for_tables()
    table = Table("class", "examples", "since", title=str(folder), title_justify="left")
    table.columns[1].justify = "right"
    for name, known in content["classes"].items():
        table.add_row(escape(name), f"{known['examples']:,}", escape(known["since"]))
    for name, known in content["retired"].items():
        row = f"[dim]{escape(name)} (retired)[/]", f"{known['examples']:,}", escape(known["since"])
        table.add_row(*row)
    console.print(table)
    facts = Table(show_header=False, box=None)
    for key in ("learner", "encoder", "system", "examples", "bytes", "calibration"):
        facts.add_row(key, escape(f"{content[key]:,}" if key == "bytes" else str(content[key])))
    console.print(facts)
    history = Table("when", "what", "from", "examples", title="history", title_justify="left")
    for entry in content["history"][-_LATEST:]:
        gone = ", ".join(map(str, entry.get("classes") or ()))
        cells = [entry.get(key) for key in ("when", "what")]
        cells += [entry.get("source") or gone, entry.get("examples")]
        history.add_row(*("" if cell is None else escape(str(cell)) for cell in cells))
    console.print(history)

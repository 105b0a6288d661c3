"""`lsc-cl show`."""

from __future__ import annotations

from typing import Annotated

import typer

from lsc_continual.cli.running import print_json


def show(
    settings: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Settings, as for `run`.")
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
    """Show the settings that `run` would use, with the meaning of each, and check them.

    All mistakes are said at once.

    Examples:

    - `lsc-cl show`

    - `lsc-cl show scenario=split-mnist train.lr=0.01`

    - `lsc-cl show --explain train.epochs`
    """
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

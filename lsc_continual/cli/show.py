"""`lsc-cl show`."""

from __future__ import annotations

from typing import Annotated

import typer


def show(
    settings: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Settings, as for `run`.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of YAML.")] = False,
) -> None:
    """Show the configuration that `run` would use, everything resolved, and check it.

    Examples:

    - `lsc-cl show`

    - `lsc-cl show scenario=split-mnist train.lr=0.01`
    """
    from omegaconf import OmegaConf

    from lsc_continual.config import resolve

    config = resolve(settings or [])
    if json:
        from json import dumps

        typer.echo(dumps(OmegaConf.to_container(config), indent=1, ensure_ascii=False))
    else:
        typer.echo(OmegaConf.to_yaml(config), nl=False)

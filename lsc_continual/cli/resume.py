"""`lsc-cl resume`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lsc_continual.cli.early import check_folder
from lsc_continual.cli.options import MetricsJson, TrustCode
from lsc_continual.cli.running import carry_out


def resume(
    run: Annotated[Path, typer.Argument(help="The run folder.", show_default=False)],
    settings: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="Settings that may change in the middle of a run, such as train.device.",
        ),
    ] = None,
    json: MetricsJson = False,
    trust_code: TrustCode = False,
) -> None:
    """Go on with a run that was interrupted, from its latest checkpoint.

    Examples:

    - `lsc-cl resume runs/split-digits-lsc-seed0`

    - `lsc-cl resume runs/split-imagenet-lsc-seed0 train.device=cpu data.root=/mnt/imagenet`
    """
    check_folder(run)
    carry_out(
        lambda runs, console: runs.resume(run, settings or [], console, trust_code=trust_code),
        json,
    )

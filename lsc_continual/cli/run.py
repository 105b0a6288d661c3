"""`lsc-cl run`."""

from __future__ import annotations

from typing import Annotated

import typer

from lsc_continual.cli.early import check_data
from lsc_continual.cli.options import MetricsJson
from lsc_continual.cli.running import carry_out


def run(
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Settings; `lsc-cl show` lists them all."),
    ] = None,
    json: MetricsJson = False,
) -> None:
    """Train on classes as they arrive, evaluate after each experience, leave a run folder.

    Examples:

    - `lsc-cl run`

    - `lsc-cl run scenario=split-digits seed=1 train.epochs=5`

    - `lsc-cl run system=v22 system.dim=32 allocation=spread run.dir=runs/trial`

    Ctrl-C stops at the next step and says how to go on; a second one leaves at once. Several GPUs:

    - `torchrun --nproc-per-node=4 -m lsc_continual run scenario=split-cifar100`
    """
    from lsc_continual.runs.configuration import resolve

    resolved = resolve(settings or [])
    check_data(resolved)
    carry_out(lambda runs, console: runs.run(resolved, console), json)

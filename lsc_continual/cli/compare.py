"""`lsc-cl compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lsc_continual.cli.running import console_for_tables, interruptible, loading, print_json


def compare(
    settings: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="strategies=…, seeds=…, settings as for `run`, and settings of one strategy "
            "(der.KEY=VALUE).",
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            help="Runs at a time; by default one a GPU, or one for every two cores.",
            show_default=False,
        ),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print comparison.json at the end instead of a table.")
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option(help="Where the plot goes (.png, .svg, .pdf).", show_default=False),
    ] = None,
) -> None:
    """Run several strategies over several seeds, and show them in one table and one plot.

    `lsc-cl ls strategies` lists them: ours and Avalanche's, under the same conditions
    (docs/comparing.md). Every run has its folder below runs/compare-SCENARIO (or run.dir=PATH).

    Examples:

    - `lsc-cl compare scenario=split-digits strategies=lsc,replay,der,icarl seeds=3`

    - `lsc-cl compare strategies=lsc,der train.epochs=5 der.strategy.options.alpha=0.5 --jobs 2`

    Started again, it reads the finished runs and goes on with the others. seeds=3 means 0, 1 and 2,
    seeds=4,7 just these. Exit code 1 where a run failed; its line says why.
    """
    line = "interrupted; finished runs are kept, and the same command goes on with the others"
    with interruptible(line):
        with loading() as progress:
            from lsc_continual.compare import command
        output = None if json else console_for_tables()
        summary, complete = command.compare(settings or [], jobs, plot, output, progress)
    if json:
        print_json(summary)
    if not complete:
        raise typer.Exit(1)

"""`lsc-cl bench`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lsc_continual.cli.options import Device
from lsc_continual.cli.running import console_for_tables, interruptible, loading
from lsc_continual.errors import unknown_name

_PARTS = ("decode", "loss", "train")


def bench(
    context: typer.Context,
    part: Annotated[
        str, typer.Argument(help="decode, loss, train or all.", show_default=False, metavar="PART")
    ],
    quick: Annotated[bool, typer.Option("--quick", help="Fewer cases, in a few minutes.")] = False,
    classes: Annotated[
        str | None, typer.Option(help="How many, with commas: 10000,1000000.", metavar="N,…")
    ] = None,
    system: Annotated[str, typer.Option(help="A permutation system.")] = "v21",
    dim: Annotated[int, typer.Option(help="Dimensions of the embeddings.")] = 384,
    device: Device = "auto",
    threads: Annotated[int, typer.Option(help="For us and for everybody else.")] = 1,
    memory: Annotated[
        float | None,
        typer.Option(
            help="What a competitor may use; by default half of what there is.", metavar="GIB"
        ),
    ] = None,
    build_seconds: Annotated[
        float | None,
        typer.Option(help="Longest time to build an index; by default 180, or 10 with --quick."),
    ] = None,
    turns: Annotated[
        int | None,
        typer.Option(help="How often competitors alternate; by default 11, or 5 with --quick."),
    ] = None,
    json: Annotated[
        Path | None, typer.Option(help="Write the figures to this file.", metavar="FILE")
    ] = None,
    plots: Annotated[
        Path | None, typer.Option(help="Draw plots into this folder.", metavar="DIR")
    ] = None,
) -> None:
    """Measure decoding, losses and label prediction against what people use, in one run.

    *decode*: the nearest vector of the whole system, and the nearest owned target against
    exhaustive search, FAISS and usearch. *loss*: a training step against linear, ArcFace and
    sampled heads. *train*: images a second of encoder and prediction.

    Examples:

    - `lsc-cl bench decode --quick`

    - `lsc-cl bench loss --classes 10000,1000000 --memory 4`

    - `lsc-cl bench all --json figures.json --plots plots`

    Competitors take turns with us; ratios are medians over the turns. What needs too much memory
    or time is left out, with the reason. Ctrl-C keeps the figures of the finished rows.
    """
    if part not in (*_PARTS, "all"):
        raise unknown_name("part of the bench", part, [*_PARTS, "all"])
    parts = _PARTS if part == "all" else (part,)

    def interrupted() -> str:
        kept = f"; the finished rows are in {json}" if json and json.exists() else ""
        return f"interrupted{kept}"

    with interruptible(interrupted):
        with loading() as progress:
            from lsc_continual.bench import run
        # All but these go to `bench.settings.resolve`.
        taken = ("part", "json", "plots")
        options = {name: given for name, given in context.params.items() if name not in taken}
        run.bench(parts, options, json, plots, console_for_tables(), progress)

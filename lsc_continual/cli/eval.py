"""`lsc-cl eval`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from lsc_continual.cli.early import check_model
from lsc_continual.cli.options import (
    BatchSize,
    Cache,
    Device,
    Json,
    MaxPixels,
    Rate,
    Score,
    TrustCode,
    Workers,
)
from lsc_continual.cli.running import console_for_tables, interruptible, loading, print_json
from lsc_continual.errors import LSCError
from lsc_continual.settings.data import MAX_PIXELS

if TYPE_CHECKING:
    from lsc_continual.streaming.evaluating import Figures


def evaluate(
    run: Annotated[Path, typer.Argument(help="The run folder.", show_default=False)],
    source: Annotated[
        Path | None,
        typer.Argument(
            help="A folder with a folder of images for each class, an .npz file with x_test and "
            "y_test, or a table as `learn` takes it; by default the test images of the run.",
            show_default=False,
        ),
    ] = None,
    fpr: Rate = None,
    score: Score = None,
    batch_size: BatchSize = 64,
    workers: Workers = None,
    device: Device = "auto",
    max_pixels: MaxPixels = MAX_PIXELS,
    cache: Cache = None,
    trust_code: TrustCode = False,
    json: Json = False,
) -> None:
    """Measure a trained model on labelled images, of classes it knows and of others.

    Folders named after a class of the model hold known images, all others unknown ones; so do
    labels of arrays. Images that the run was trained on are counted; figures on these say little
    of new ones. Exit code 1 where images could not be read.

    Examples:

    - `lsc-cl eval runs/folder-lsc-seed0`

    - `lsc-cl eval runs/folder-lsc-seed0 photos/test`

    - `lsc-cl eval runs/folder-lsc-seed0 photos/test --fpr 0.01 --json`
    """
    check_model(run, score, fpr)
    if source is not None and not source.exists():
        raise LSCError(
            f"there is no {source}: pass a folder with a folder of images for each class, or an "
            ".npz file"
        )
    with interruptible("interrupted"):
        with loading() as console:
            from lsc_continual.runs.trained import TrainedOn, has_gone_on
            from lsc_continual.streaming.classifier import StreamClassifier
            from lsc_continual.streaming.evaluating import evaluate as figures_of
        classifier = StreamClassifier.load(
            run,
            score=score,
            fpr=fpr,
            device=device,
            top=0,
            max_pixels=max_pixels,
            cache=cache,
            trust_code=trust_code,
        )
        labelled: Any = source
        if source is None:
            from lsc_continual.runs.data import own_test_images

            labelled = own_test_images(run, trust_code)
        seen = None if has_gone_on(run) else TrainedOn.read(run)
        count = None if seen is None else seen.count
        figures = figures_of(classifier, labelled, console, batch_size, workers, count)
    if json:
        from dataclasses import asdict

        print_json(asdict(figures))
    else:
        console_for_tables().print(_table(figures))
    if figures.failed:
        raise typer.Exit(1)


def _table(figures: Figures) -> Table:
    def percent(value: float | None) -> str:
        return "–" if value is None else f"{value:.2%}"

    def number(value: float | None) -> str:
        return "–" if value is None else f"{value:.3f}"

    rate = "" if figures.fpr is None else f" at {figures.fpr:g}"
    table = Table(show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_row("known images", f"{figures.known:,} of {figures.known_classes} classes")
    table.add_row("unknown images", f"{figures.unknown:,} of {figures.unknown_classes} classes")
    trained_on = "–" if figures.trained_on is None else f"{figures.trained_on:,}"
    table.add_row("of these, trained on", trained_on)
    if figures.failed:
        table.add_row("could not be read", f"{figures.failed:,}")
    table.add_section()
    table.add_row("accuracy on known", percent(figures.accuracy))
    table.add_row("novelty score", figures.score)
    table.add_row(f"false alarms{rate}", percent(figures.false_alarms))
    table.add_row(f"unknown detected{rate}", percent(figures.detected))
    table.add_row("AUROC", number(figures.auroc))
    table.add_row("known flagged where 95 % of unknown are", number(figures.fpr95))
    table.add_row("unknown accepted where 95 % of known are", number(figures.fpr95_known_positive))
    table.add_row("OSCR", number(figures.oscr))
    return table

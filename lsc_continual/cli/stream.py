"""`lsc-cl stream`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lsc_continual.cli.early import check_model
from lsc_continual.cli.options import (
    BatchSize,
    Cache,
    Device,
    MaxPixels,
    Rate,
    Score,
    TrustCode,
    Workers,
)
from lsc_continual.cli.running import interruptible, loading
from lsc_continual.machine.interruption import Interruption
from lsc_continual.settings.data import MAX_PIXELS
from lsc_continual.streaming.checks import check_sources

_BROKEN_PIPE = 128 + 13  # as shells count


def stream(
    run: Annotated[Path, typer.Argument(help="The run folder.", show_default=False)],
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="Folders, image files, .npz files, tables (.csv, .jsonl, .parquet), or - for "
            "paths, texts or JSON lines on standard input.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None, typer.Option(help="Write to this file instead of standard output.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the file of --output.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Wait for further files in the folder, until Ctrl-C.")
    ] = False,
    save_unknown: Annotated[
        Path | None, typer.Option(help="Copy unknown inputs to this folder.", metavar="DIR")
    ] = None,
    fpr: Rate = None,
    score: Score = None,
    top: Annotated[int, typer.Option(help="Alternatives an answer.")] = 3,
    batch_size: BatchSize = 64,
    batch_seconds: Annotated[
        float, typer.Option(help="How long an input waits for the batch to fill.")
    ] = 1.0,
    workers: Workers = None,
    device: Device = "auto",
    max_pixels: MaxPixels = MAX_PIXELS,
    cache: Cache = None,
    trust_code: TrustCode = False,
) -> None:
    """Classify a stream of images, vectors or texts; write a JSON line for each, in order.

    A line says `id`, `label`, `known`, `novelty`, `p_value`, `address`, `gap` and `alternatives`,
    or `id` and `error`: bad inputs do not end the stream.

    Examples:

    - `lsc-cl stream runs/split-digits-lsc-seed0 photos > answers.jsonl`

    - `lsc-cl stream runs/split-digits-lsc-seed0 images.npz --output answers.jsonl --resume`

    - `find photos -name '*.png' | lsc-cl stream runs/split-digits-lsc-seed0 - --fpr 0.01`

    - `lsc-cl stream intents queries.csv`

    - `lsc-cl stream runs/split-digits-lsc-seed0 inbox --watch --save-unknown unknown`

    Exit codes: 0; 1 where inputs failed; 2 for a mistake in the command; 130 or 143 after Ctrl-C
    or SIGTERM, when what was read is answered; 141 when nobody reads the output any more.
    """
    check_model(run, score, fpr)
    check_sources(sources, watch)
    with interruptible("interrupted before the first input"):
        with loading() as console:
            from lsc_continual.streaming.classifier import StreamClassifier
            from lsc_continual.streaming.command import (
                StreamOptions,
                answer_all,
                forget_standard_output,
            )
        options = StreamOptions(
            output, resume, watch, save_unknown, batch_size, batch_seconds, workers
        )
        classifier = StreamClassifier.load(
            run,
            score=score,
            fpr=fpr,
            device=device,
            top=top,
            max_pixels=max_pixels,
            cache=cache,
            trust_code=trust_code,
        )
    with Interruption() as interruption:
        try:
            failed = answer_all(
                classifier, sources, options, console, lambda: interruption.number != 0
            )
        except BrokenPipeError:
            forget_standard_output()
            raise typer.Exit(_BROKEN_PIPE) from None
    if interruption.number:
        raise typer.Exit(128 + interruption.number)
    if failed:
        raise typer.Exit(1)

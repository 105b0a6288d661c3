"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
MetricsJson = Annotated[
    bool, typer.Option("--json", help="Print metrics.json at the end instead of a table.")
]
Rate = Annotated[
    float | None, typer.Option(help="Share of known inputs that may be called unknown.")
]
Score = Annotated[str | None, typer.Option(help="Novelty score; by default the run's.")]
BatchSize = Annotated[int, typer.Option(help="Inputs that the network takes at a time.")]
Workers = Annotated[
    int | None,
    typer.Option(help="Threads that read and decode; by default the cores.", show_default=False),
]
MaxPixels = Annotated[
    int,
    typer.Option(help="The largest number of pixels of an image file, as data.max_pixels."),
]
TrustCode = Annotated[
    bool,
    typer.Option(
        "--trust-code", help="Let the files of the run name code of somebody else's, and run it."
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, …")]
Cache = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Keep what the encoder says of each input in this folder, and look it up there.",
        show_default=False,
    ),
]

"""`lsc-cl merge`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lsc_continual.cli.early import check_folder
from lsc_continual.cli.options import Json, TrustCode
from lsc_continual.cli.running import interruptible, loading, print_json
from lsc_continual.errors import LSCError
from lsc_continual.machine.terminal import say


def merge(
    models: Annotated[
        list[Path], typer.Argument(help="Folders of models, two or more.", show_default=False)
    ],
    into: Annotated[Path, typer.Option(help="The folder of the one that knows all.")],
    trust_code: TrustCode = False,
    json: Json = False,
) -> None:
    """Make one model of several that learned apart, as if it had learned all.

    They need the same encoder, system, features and seed. What two of them learned alike counts
    twice.

    Examples:

    - `lsc-cl merge site-a site-b --into both`
    """
    if len(models) < 2:
        raise LSCError("name two models or more")
    for model in models:
        check_folder(model)
    with interruptible("interrupted; nothing was merged"):
        with loading() as console:
            from lsc_continual.living import keeping
        merged = keeping.merge(models, into, trust_code=trust_code)
    examples = sum(known.examples for known in merged.classes.values())
    if json:
        print_json({"classes": len(merged.classes), "examples": examples})
    else:
        say(console, f"{into}: {len(merged.classes):,} classes of {examples:,} examples")

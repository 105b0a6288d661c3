"""`lsc-cl forget`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lsc_continual.cli.early import check_folder
from lsc_continual.cli.options import Cache, Json, TrustCode
from lsc_continual.cli.running import interruptible, loading, print_json
from lsc_continual.errors import LSCError
from lsc_continual.machine.terminal import say


def forget(
    model: Annotated[Path, typer.Argument(help="The folder of the model.", show_default=False)],
    classes: Annotated[
        list[str] | None, typer.Argument(help="Names of classes.", show_default=False)
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="What they were learned from: it is taken out of the model, as if it had never "
            "been learned.",
            show_default=False,
        ),
    ] = None,
    cache: Cache = None,
    trust_code: TrustCode = False,
    json: Json = False,
) -> None:
    """Have a model no longer answer with some classes.

    Their targets are never given to others. What their examples taught stays in the model's sums
    unless --data brings them along: then it is subtracted, to rounding. Examples that were not
    learned are refused.

    Examples:

    - `lsc-cl forget pets lion`

    - `lsc-cl forget pets lion --data photos`

    - `lsc-cl forget pets --data mislabelled.csv`
    """
    check_folder(model)
    names = classes or []
    if not names and data is None:
        raise LSCError("name the classes to forget, or the data by --data")
    with interruptible("interrupted; the model is as it was"):
        with loading() as console:
            from lsc_continual.living import keeping
        living, gone, examples = keeping.forget(
            model, names, data, cache=cache, trust_code=trust_code
        )
    if json:
        print_json({"examples": examples, "gone": gone, "classes": len(living.classes)})
    else:
        said = ", ".join(gone) if gone else "no class"
        taken = f"{examples:,} examples taken out, " if data is not None else ""
        say(console, f"{model}: {taken}{said} forgotten; {len(living.classes):,} classes")

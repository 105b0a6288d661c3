"""`lsc-cl learn`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lsc_continual.cli.options import Cache, Json, TrustCode
from lsc_continual.cli.running import interruptible, loading, print_json
from lsc_continual.errors import LSCError
from lsc_continual.machine.terminal import say

if TYPE_CHECKING:
    from lsc_continual.classifier import Classifier
    from lsc_continual.inputs.labelled import Labelled


def learn(
    model: Annotated[
        Path, typer.Argument(help="The folder of the model, old or new.", show_default=False)
    ],
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE... [KEY=VALUE]...",
            help="Labelled data: a folder with a folder of images for each class; a table (.csv, "
            ".jsonl, .parquet) with a column of labels and one of paths or vectors; .npz with x "
            "and y; or .npy. And settings of a new model.",
            show_default=False,
        ),
    ],
    cache: Cache = None,
    trust_code: TrustCode = False,
    json: Json = False,
) -> None:
    """Teach a model: new classes, or further examples of those that it knows.

    Where there is no model yet, it is made. Nothing that was learned before has to be there again,
    and neither the order nor the grouping of what is learned matters; what is learned twice counts
    twice.

    Settings of a new model: encoder (of a run, as encoder=runs/NAME, or a name with
    encoder.weights), encoder.options.NAME, data.resolution, data.mean, data.std, system,
    system.dim, analytic.features, novelty.score, novelty.fpr, seed. Of vectors, none is needed.

    Examples:

    - `lsc-cl learn parts vectors.npz`

    - `lsc-cl learn parts more.parquet`

    - `lsc-cl learn pets photos encoder=runs/folder-lsc-seed0`

    - `lsc-cl learn pets photos encoder=resnet18 encoder.weights=DEFAULT`
    """
    from lsc_continual.cli.early import sources_and_settings

    sources, chosen = sources_and_settings(arguments)
    with interruptible("interrupted; the model is as it was"):
        with loading() as console:
            from lsc_continual.classifier import keeping
            from lsc_continual.machine.terminal import Embedding

        def make(labelled: Labelled) -> Classifier:
            return keeping.create(labelled, chosen)

        if chosen and keeping.is_there(model):
            raise LSCError(f"{model} has its settings already: leave out {', '.join(chosen)}")
        with Embedding(console) as embedding:
            living, learned = keeping.learn(
                model,
                sources,
                make,
                lambda line: say(console, line),
                kind=keeping.kind_of(chosen),
                cache=cache,
                progress=embedding.show,
                trust_code=trust_code,
            )
    new = [name for one in learned for name in one.new]
    skipped = [why for one in learned for why in one.skipped]
    examples = sum(one.examples for one in learned)
    again = sum(one.again for one in learned)
    if json:
        print_json(
            {
                "examples": examples,
                "new": new,
                "classes": len(living.classes),
                "skipped": skipped,
                "again": again,
                "uncalibrated": living.uncalibrated,
            }
        )
    else:
        for why in skipped[:10]:
            say(console, f"left out: {why}")
        if len(skipped) > 10:
            say(console, f"left out: {len(skipped) - 10:,} more")
        named = ", ".join(new[:5]) + (", …" if len(new) > 5 else "")
        arrived = f"{len(new):,} new ({named})" if new else "none new"
        say(
            console,
            f"{model}: learned {examples:,} examples; {len(living.classes):,} classes, {arrived}",
        )
        if again:
            say(console, f"{again:,} of them were learned before, and count twice now")
        if living.uncalibrated is not None:
            say(console, f"nothing is called unknown yet: {living.uncalibrated}")
    if skipped:
        raise typer.Exit(1)

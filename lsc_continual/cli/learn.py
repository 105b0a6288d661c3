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
    from lsc_continual.inputs.labelled import Labelled
    from lsc_continual.living.keeping import Living


def learn(
    model: Annotated[
        Path, typer.Argument(help="The folder of the model, old or new.", show_default=False)
    ],
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE... [KEY=VALUE]...",
            help="Labelled data: a folder with a folder of images for each class; a table (.csv, "
            ".jsonl, .parquet) with a column of labels and one of paths, vectors or texts; .npz "
            "with x and y; or .npy. And settings of a new model.",
            show_default=False,
        ),
    ],
    cache: Cache = None,
    trust_code: TrustCode = False,
    json: Json = False,
) -> None:
    """Teach a model: new classes, or further examples of those that it knows.

    Where there is no model yet, it is made. Nothing that was learned before has to be there again,
    what is learned twice counts twice. A run's model goes on living by the same command.

    There are two learners. learner=analytic, for vectors and wherever an encoder is ready
    (encoder=timm:NAME, hf:NAME, text:NAME, runs/NAME or a name with encoder.weights), adds up: in
    any order and grouping, the outcome is the same. learner=replay, for images without such an
    encoder, trains one, with some stored images.

    Settings of a new model: learner, encoder, encoder.weights, encoder.options.NAME, data.mean,
    data.resolution, data.std, system, system.dim, novelty.score, novelty.fpr, seed; of an analytic
    one, analytic.features; of a trained one, train.…, augment.…, replay.…, loss.…, as of `run`.

    Examples:

    - `lsc-cl learn parts vectors.npz`

    - `lsc-cl learn parts more.parquet`

    - `lsc-cl learn intents queries.csv encoder=text:sentence-transformers/all-MiniLM-L6-v2`

    - `lsc-cl learn birds photos encoder=timm:vit_small_patch14_dinov2.lvd142m`

    - `lsc-cl learn pets photos`

    - `lsc-cl learn runs/split-digits-lsc-seed0 more`
    """
    from lsc_continual.cli.early import sources_and_settings

    asked = sources_and_settings(arguments)
    with interruptible("interrupted; the model is as it was"):
        with loading() as console:
            from lsc_continual.living import keeping, making
            from lsc_continual.machine.terminal import Embedding

        def make(labelled: Labelled) -> Living:
            return making.create(
                labelled, asked.settings, asked.learner, asked.arguments, console=console
            )

        given = [*asked.settings, *(["learner"] if asked.learner else [])]
        keeping.require_model_or_nothing(model)
        if given and keeping.is_there(model):
            raise LSCError(f"{model} has its settings already: leave out {', '.join(given)}")
        with Embedding(console) as embedding:
            living, learned = keeping.learn(
                model,
                asked.sources,
                make,
                lambda line: say(console, line),
                kind=making.kind_of(asked.settings),
                console=console,
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

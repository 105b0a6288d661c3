"""A new model for some data: which learner suits it, and its settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from lsc_continual.classifier.creating import VECTORS
from lsc_continual.encoders.names import is_ready, takes_texts
from lsc_continual.errors import LSCError
from lsc_continual.inputs.labelled import Labelled
from lsc_continual.living.keeping import Living
from lsc_continual.living.model import Classifier
from lsc_continual.living.names import LEARNERS

_SIDE = 224  # pixels that torchvision's weights were trained on


def kind_of(settings: Mapping[str, Any]) -> str | None:
    """What tables are read for by a new model of such settings, where that is plain."""
    encoder = str(settings.get("encoder.name", ""))
    kinds = {VECTORS: "vectors", "": None}
    return "texts" if takes_texts(encoder) else kinds.get(encoder, "images")


def create(
    labelled: Labelled,
    settings: Mapping[str, Any],
    learner: str | None = None,
    arguments: Sequence[str] = (),
    *,
    console: Console | None = None,
) -> Living:
    """A new model for some data.

    Args:
        settings: by dotted key, as of a run.
        learner: by default "analytic", or "replay" where the encoder has to be trained.
        arguments: the settings as they were written, "key=value".
        console: where training shows how far it is.

    Raises:
        LSCError: texts without an encoder, or settings that do not fit.
    """
    encoder = settings.get("encoder.name")
    if encoder is None and labelled.kind == "texts":
        raise LSCError(
            "texts need an encoder: say which by "
            "encoder=text:sentence-transformers/all-MiniLM-L6-v2, for example"
        )
    is_given = labelled.kind == "vectors" and encoder in (None, VECTORS)
    if encoder is not None and not is_given:
        weights = settings.get("encoder.weights") is not None
        is_given = weights or is_ready(encoder) or Path(encoder).is_dir()
    if (learner or ("analytic" if is_given else "replay")) == "analytic":
        return _analytic(labelled, settings)
    trained: Living = LEARNERS["replay"].load().created(labelled, arguments, console)
    return trained


def _analytic(labelled: Labelled, settings: Mapping[str, Any]) -> Classifier:
    given = dict(settings)
    options = {
        key.removeprefix("encoder.options."): given.pop(key)
        for key in list(given)
        if key.startswith("encoder.options.")
    } | given.pop("encoder.options", {})
    encoder = given.pop("encoder.name", None)
    if encoder is None:
        if labelled.kind != "vectors":
            raise LSCError(
                "learner=analytic needs an encoder that is ready: say which by "
                "encoder=timm:vit_small_patch14_dinov2.lvd142m, for example"
            )
        encoder = VECTORS
    shaped = encoder != VECTORS and not Path(encoder).is_dir() and not is_ready(encoder)
    side = given.pop("data.resolution", _SIDE if shaped else None)
    if side is not None and not shaped:
        raise LSCError(f"encoder={encoder} has its size: leave out data.resolution")
    names = {
        "encoder.weights": "weights",
        "data.mean": "mean",
        "data.std": "std",
        "system.name": "system",
        "system.dim": "dim",
        "analytic.features": "features",
        "novelty.score": "score",
        "novelty.fpr": "fpr",
        "seed": "seed",
    }
    if other := sorted(key for key, value in given.items() if key not in names):
        raise LSCError(f"{other[0]} is for learner=replay: leave it out, or add learner=replay")
    return Classifier.create(
        encoder,
        options=options,
        input_shape=(3, side, side) if shaped else None,
        **{names[key]: value for key, value in given.items() if value is not None},
    )

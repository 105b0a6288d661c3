"""The frozen encoder that a living model begins with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from lsc_continual.classifier.folder import load_model
from lsc_continual.classifier.spec import ModelSpec
from lsc_continual.encoders.random_features import RandomFeatures
from lsc_continual.errors import LSCError

VECTORS = "vectors"


class Frozen(NamedTuple):
    """An encoder."""

    spec: ModelSpec
    """How it is built, and what it takes; of the rest, nothing counts."""
    module: nn.Module | None
    """It itself, if it was trained by a run."""


def frozen_encoder(
    encoder: str,
    input_shape: tuple[int, int, int] | None,
    weights: str | None,
    options: Mapping[str, Any] | None,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    *,
    trust_code: bool,
) -> Frozen:
    """The encoder that `Classifier.create` names, with the arguments of that.

    Raises:
        LSCError: there is no such run, or nobody says what the encoder takes.
    """
    if Path(encoder).is_dir():
        if weights is not None or options:
            raise LSCError(f"the encoder of {encoder} is trained and complete: leave out the rest")
        network, spec = load_model(encoder, trust_code=trust_code)
        expanded = network.encoder
        module = expanded.encoder if isinstance(expanded, RandomFeatures) else expanded
        return Frozen(spec, module)
    if input_shape is None and encoder != VECTORS:
        raise LSCError(f"encoder {encoder!r} needs input_shape=(channels, height, width)")
    spec = ModelSpec(encoder, input_shape or (0, 1, 1), [], dict(options or {}))
    spec.mean, spec.std = (None if values is None else list(values) for values in (mean, std))
    return Frozen(spec, None)

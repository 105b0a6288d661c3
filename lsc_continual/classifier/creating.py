"""The frozen encoder that a living model begins with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from lsc_continual.classifier.folder import load_model
from lsc_continual.classifier.spec import ModelSpec
from lsc_continual.encoders import make_encoder
from lsc_continual.encoders.making import ready_encoder
from lsc_continual.encoders.names import is_ready
from lsc_continual.encoders.random_features import RandomFeatures
from lsc_continual.encoders.ready.base import local_name
from lsc_continual.errors import LSCError

VECTORS = "vectors"


class Frozen(NamedTuple):
    """An encoder."""

    spec: ModelSpec
    """How it is built, and what it takes; of the rest, nothing counts."""
    module: nn.Module | None
    """It itself, if it has weights."""


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
    if is_ready(encoder):
        if input_shape is not None or mean is not None or std is not None:
            raise LSCError(
                f"encoder {encoder!r} knows its size, mean and std: leave out data.resolution, "
                "data.mean and data.std (options.img_size is another size for timm)"
            )
        ready = ready_encoder(encoder, weights, options)
        name, of = local_name(encoder), ready.architecture
        return Frozen(ModelSpec(name, ready.input_shape, [], architecture=of), ready)
    if "/" in encoder:
        raise LSCError(
            f"there is no folder {encoder}: pass that of a run, or the name of an encoder"
        )
    if input_shape is None and encoder != VECTORS:
        raise LSCError(f"encoder {encoder!r} needs input_shape=(channels, height, width)")
    spec = ModelSpec(encoder, input_shape or (0, 1, 1), [], dict(options or {}))
    spec.mean, spec.std = (None if values is None else list(values) for values in (mean, std))
    if weights is None:
        return Frozen(spec, None)
    shape = spec.input_shape
    made = make_encoder(encoder, shape, weights=weights, options=options, mean=mean, std=std)
    return Frozen(spec, made)

"""Encoders: from images to features, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from lsc_continual.encoders.names import ENCODERS, torchvision_names
from lsc_continual.encoders.weights import is_path, load_weights
from lsc_continual.errors import LSCError, first_line
from lsc_continual.registry import import_callable, is_own

Shape = tuple[int, int, int]
"""Channels, height, width of an input image."""


def make_encoder(
    name: str,
    input_shape: Shape,
    *,
    weights: str | None = None,
    options: Mapping[str, Any] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> nn.Module:
    """An encoder that takes FloatTensor[batch, *input_shape] with values in [0, 1].

    Args:
        name: one of `lsc-cl ls encoders`; the name of a torchvision classification model, whose
            last linear layer is then left out; or "module:attribute", something to call with
            `options` that returns a module.
        input_shape: of the images.
        weights: for torchvision models, the name of their weights, such as "DEFAULT"; or a file
            or run that holds the encoder's (see `load_weights`).
        options: passed on to the encoder.
        mean, std: per channel; inputs are normalised by them first.

    Raises:
        LSCError: unknown name, option or weights, or an encoder that does not take such images.
    """
    options = dict(options or {})
    path = weights if weights is not None and is_path(weights) else None
    ready = weights if path is None else None
    if is_own(name):
        build = partial(import_callable(name, "encoder"), **options)
    elif name in torchvision_names():
        build = partial(ENCODERS.load(name), name, input_shape, ready, options)
    else:
        build = partial(ENCODERS.load(name), input_shape, **options)
    if ready is not None and name not in torchvision_names():
        has = "loads its own weights" if is_own(name) else "has no ready weights"
        raise LSCError(f"encoder {name!r} {has}: leave out encoder.weights, or name a file")
    try:
        encoder: nn.Module = build()
    except LSCError:
        raise
    except Exception as error:  # somebody else's code
        reason = first_line(error)
        raise LSCError(f"encoder {name!r} cannot be built with {options}: {reason}") from error
    if not isinstance(encoder, nn.Module):
        raise LSCError(f"encoder {name!r} gave {type(encoder).__name__}, not a torch module")
    if path is not None:
        load_weights(encoder, path)
    if mean is not None and std is not None:
        from torchvision.transforms import v2  # late: it takes a second to import

        normalized = nn.Sequential(v2.Normalize(list(mean), list(std)), encoder)
        if hasattr(encoder, "num_features"):
            normalized.num_features = encoder.num_features
        encoder = normalized
    training = encoder.training
    try:
        with torch.no_grad():
            features = encoder.eval()(torch.zeros(1, *input_shape))
    except Exception as error:  # somebody else's code
        raise LSCError(
            f"encoder {name!r} does not accept images of shape {input_shape}: {first_line(error)}"
        ) from error
    if not isinstance(features, torch.Tensor) or not features.numel():
        raise LSCError(f"encoder {name!r} gives no features: change encoder.options")
    return encoder.train(training)

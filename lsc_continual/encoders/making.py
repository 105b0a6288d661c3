"""Encoders: from images to features, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from lsc_continual.encoders.names import ENCODERS, is_ready, takes_texts, torchvision_names
from lsc_continual.encoders.ready.base import ReadyEncoder
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
    architecture: Mapping[str, Any] | None = None,
) -> nn.Module:
    """An encoder that takes FloatTensor[batch, *input_shape] with values in [0, 1].

    Args:
        name: one of `lsc-cl ls encoders`, such as "timm:NAME", which comes with its weights and its
            normalisation; the name of a torchvision classification model, whose
            last linear layer is then left out; or "module:attribute", something to call with
            `options` that returns a module.
        input_shape: of the images.
        weights: for torchvision models, the name of their weights, such as "DEFAULT"; or a file
            or run that holds the encoder's (see `load_weights`).
        options: passed on to the encoder.
        mean, std: per channel; inputs are normalised by them first.
        architecture: of an earlier `ready_encoder`, which is built again without weights.

    Raises:
        LSCError: unknown name, option or weights, or an encoder that does not take such images.
    """
    options = dict(options or {})
    if is_ready(name):
        if mean is not None or std is not None:
            raise LSCError(f"encoder {name!r} has its own mean and std: leave out data.mean")
        made = ready_encoder(name, weights, options, architecture)
        texts = input_shape[1:] == (1, 1)
        images = input_shape[0] in (1, 3) and input_shape[1:] != (1, 1)
        if not (texts if takes_texts(name) else images):
            raise LSCError(f"encoder {name!r} does not take inputs of shape {input_shape}")
        return made
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


def ready_encoder(
    name: str,
    weights: str | None = None,
    options: Mapping[str, Any] | None = None,
    architecture: Mapping[str, Any] | None = None,
) -> ReadyEncoder:
    """An encoder of other people's, with its weights; it says what it takes.

    Args:
        name: "timm:NAME", "hf:NAME" or "text:NAME"; for NAME, also a folder.
        weights: a file of others.
        options: passed on.
        architecture: of an earlier one, which is built again without weights.

    Raises:
        LSCError: it cannot be had, or has no such option or weights.
    """
    given = dict(options or {})
    if weights is not None:
        if not is_path(weights):
            raise LSCError(
                f"encoder {name!r} comes with its weights: leave out encoder.weights, or name a "
                "file of your own"
            )
        given["pretrained"] = False
    encoder: ReadyEncoder = ENCODERS.load(name)(name, given, architecture)
    if weights is not None:
        load_weights(encoder.network, weights)
    if architecture is None:
        with torch.no_grad():
            found = encoder.eval()(torch.zeros(1, *encoder.input_shape))
        encoder.architecture["features"] = found.flatten(1).shape[1]
    return encoder

"""The encoder for those who name none."""

from __future__ import annotations

from typing import Any

from torch import nn

from lsc_continual.encoders.mlp import MLP
from lsc_continual.encoders.resnet import resnet_small


def default_encoder(input_shape: tuple[int, int, int], **options: Any) -> nn.Module:
    """A small residual network for images, a perceptron for vectors (images of 1×1).

    Args:
        input_shape: channels, height, width.
        options: of the one or the other.
    """
    vectors = input_shape[1:] == (1, 1)
    return MLP(input_shape, **options) if vectors else resnet_small(input_shape, **options)

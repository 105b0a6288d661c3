"""The networks of peers: the encoder of `LSC` under a head of another kind."""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor, nn

from lsc_continual.network.layers import Between


class Features(nn.Module):
    """An encoder as `LSC` runs it: its precision and memory layout, features flattened.

    Args:
        encoder: any module.
        input_shape: channels, height and width of its inputs.
        bf16: whether it computes in bfloat16 (autocast); features are float32 anyway.
        standardize, hidden: as of a `TargetClassifier`; by default nothing follows the encoder.
    """

    def __init__(
        self,
        encoder: nn.Module,
        input_shape: tuple[int, int, int],
        bf16: bool = False,
        standardize: bool | None = None,
        hidden: int | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.bf16 = bf16
        training = encoder.training
        with torch.no_grad():
            width = encoder.eval()(torch.zeros(1, *input_shape)).numel()
        encoder.train(training)
        if not hidden and standardize is None:
            standardize = False
        between = Between.of(encoder, standardize, hidden or 0, 0)
        *layers, self.width = between.layers(width)
        self.between = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Inputs -> FloatTensor[batch, width]."""
        if x.is_cuda:
            x = x.contiguous(memory_format=torch.channels_last)
        with torch.autocast(x.device.type, torch.bfloat16) if self.bf16 else nullcontext():
            features: Tensor = self.encoder(x).flatten(1)
            features = self.between(features)
        return features.float()


class LinearNetwork(nn.Module):
    """Features under a linear layer with one output for each class of the whole stream.

    Avalanche's own head grows, which breaks DER (it compares logits of two widths) and leaks the
    classes of the test data, for which it grows too.
    """

    def __init__(self, features: Features, classes: int) -> None:
        super().__init__()
        self.features = features
        self.classifier = nn.Linear(features.width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Inputs -> logits, FloatTensor[batch, classes]."""
        return self.classifier(self.features(x))  # type: ignore[no-any-return]

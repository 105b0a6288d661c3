"""No encoder: inputs are features already, such as another network's embeddings."""

from __future__ import annotations

from torch import nn


class Vectors(nn.Flatten):
    """Inputs as they are, flattened."""

    def __init__(self, input_shape: tuple[int, int, int]) -> None:
        super().__init__()
        channels, height, width = input_shape
        self.num_features = channels * height * width

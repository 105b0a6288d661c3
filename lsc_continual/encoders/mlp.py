"""A multilayer perceptron."""

from __future__ import annotations

from torch import nn


class MLP(nn.Sequential):
    """`depth` hidden layers of `width` rectified units on the flattened image."""

    def __init__(
        self, input_shape: tuple[int, int, int], *, width: int = 256, depth: int = 2
    ) -> None:
        channels, height, columns = input_shape
        layers: list[nn.Module] = [nn.Flatten()]
        inputs = channels * height * columns
        for _ in range(depth):
            layers += [nn.Linear(inputs, width), nn.ReLU()]
            inputs = width
        super().__init__(*layers)
        self.num_features = inputs

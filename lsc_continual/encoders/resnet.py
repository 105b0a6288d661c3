"""Residual networks for small images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class BasicBlock(nn.Module):
    """Two 3×3 convolutions with a shortcut (arXiv 1512.03385)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        residual = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(residual + self.shortcut(x))


class ResNet(nn.Module):
    """A residual network that starts at full resolution, as is usual on CIFAR.

    Args:
        input_shape: channels, height, width.
        widths: channels of each stage; every stage but the first halves the resolution.
        depths: blocks of each stage.
        pool: side of the feature map that is flattened at the end.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        *,
        widths: Sequence[int],
        depths: Sequence[int],
        pool: int = 1,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(input_shape[0], widths[0], 3, 1, 1, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(),
        )
        blocks: list[nn.Module] = []
        inputs = widths[0]
        for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            for block in range(depth):
                blocks.append(BasicBlock(inputs, width, 2 if stage and not block else 1))
                inputs = width
        self.blocks = nn.Sequential(*blocks)
        self.pool = nn.AdaptiveAvgPool2d(pool)
        self.num_features = inputs * pool * pool

    def forward(self, x: Tensor) -> Tensor:
        return torch.flatten(self.pool(self.blocks(self.stem(x))), 1)


def resnet_small(
    input_shape: tuple[int, int, int], *, width: int = 32, depth: int = 1, pool: int = 2
) -> ResNet:
    """Three stages of `width`, 2·`width` and 4·`width` channels: for 8×8 to 64×64 images."""
    widths = [width, 2 * width, 4 * width]
    return ResNet(input_shape, widths=widths, depths=[depth] * 3, pool=pool)


def resnet18_cifar(input_shape: tuple[int, int, int], *, width: int = 64) -> ResNet:
    """ResNet-18 with a 3×3 stem and no initial pooling, the usual CIFAR variant."""
    widths = [width, 2 * width, 4 * width, 8 * width]
    return ResNet(input_shape, widths=widths, depths=[2, 2, 2, 2])

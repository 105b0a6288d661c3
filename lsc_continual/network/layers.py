"""What lies between an encoder's features and the last linear layer."""

from __future__ import annotations

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

HIDDEN_UNITS = 1024
"""Of the hidden layer for many classes; chosen by measurement (docs/defaults.md)."""

CLASSES_PER_FEATURE = 2
"""With more classes expected for each feature, there is a hidden layer by default."""


class Standardization(nn.BatchNorm1d):
    """Features with mean 0 and variance 1: batch normalisation (arXiv 1502.03167), no parameters.

    A single sample has no variance; it is normalised by the running statistics, as in evaluation.

    Args:
        width: number of features.
    """

    def __init__(self, width: int) -> None:
        super().__init__(width, affine=False)

    def forward(self, input: Tensor) -> Tensor:
        """FloatTensor[batch, width] -> the same."""
        if self.training and len(input) == 1:
            return F.batch_norm(input, self.running_mean, self.running_var, eps=self.eps)
        return super().forward(input)


class Between(NamedTuple):
    """How the features of an encoder go on: see `TargetClassifier`."""

    standardize: bool
    units: int | None
    expected_classes: int

    @classmethod
    def of(
        cls, encoder: nn.Module, standardize: bool | None, units: int | None, expected_classes: int
    ) -> Between:
        """With the default of `standardize` filled in; arguments as of `TargetClassifier`."""
        if standardize is None:
            standardize = any(isinstance(module, _BatchNorm) for module in encoder.modules())
        return cls(standardize, units, expected_classes)

    def layers(self, width: int) -> tuple[nn.Module, nn.Module, int]:
        """The hidden layer, the standardisation, and how many numbers come out of them.

        Args:
            width: of the encoder's features.
        """
        norm = Standardization if self.standardize else nn.Identity
        units = self.units
        if units is None:
            many = self.expected_classes > CLASSES_PER_FEATURE * width
            units = HIDDEN_UNITS if self.standardize and many else 0
        if not units:
            return nn.Identity(), norm(width), width
        hidden = nn.Sequential(norm(width), nn.Linear(width, units), nn.ReLU())
        return hidden, norm(units), units

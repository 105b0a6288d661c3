"""Random expansion of an encoder's features."""

from __future__ import annotations

from math import sqrt

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lsc_continual.errors import LSCError

FEATURES = 4000
"""Random features beside the encoder's; chosen by measurement (docs/living.md)."""


class RandomFeatures(nn.Module):
    """encoder → flatten → x ↦ max(0, R x) with a fixed Gaussian R: FloatTensor[batch, features].

    A linear readout of many random features separates what one of the few original features does
    not (RanPAC, arXiv 2307.02251). R is a buffer, saved with the model and never trained.

    Args:
        encoder: its output, flattened, has a fixed width, its `num_features` if `width` is None.
        features: D, the number of random features.
        seed: of R.
        width: of the encoder's output.
        beside: whether x comes before them, [batch, width + features], and together they are as
            long as x on average; then the rows of R are orthogonal in blocks, which draws the same
            kernel with less noise (arXiv 1610.09072).
    """

    directions: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        features: int,
        *,
        seed: int = 0,
        width: int | None = None,
        beside: bool = False,
    ) -> None:
        super().__init__()
        width = getattr(encoder, "num_features", None) if width is None else width
        if not isinstance(width, int):
            raise LSCError(
                "random features need to know how many features the encoder has: give it an "
                "attribute num_features"
            )
        self.encoder = encoder
        self.beside = beside
        self.num_features = features + width * beside
        generator = torch.Generator().manual_seed(seed)
        directions = torch.empty(features, width)
        if not directions.is_meta:  # where there are no numbers, and to load what works takes long
            nn.init.normal_(directions, generator=generator)
            if beside:
                # The mean length of max(0, R x) is then that of x.
                directions = _orthogonal(directions) * sqrt(2 / features)
            else:
                # So scaled, the mean square of the features is that of the encoder's
                # (arXiv 1502.01852).
                directions *= sqrt(2 / width)
        self.register_buffer("directions", directions)

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.encoder(x)
        return self.expand(features.flatten(1))

    def expand(self, x: Tensor) -> Tensor:
        """The features of what the encoder says: FloatTensor[batch, width] -> [batch, features]."""
        random = F.relu(F.linear(x, self.directions))
        return torch.cat([x, random], 1) if self.beside else random


def _orthogonal(gaussian: Tensor) -> Tensor:
    """Rows as long as those given, and orthogonal within blocks of as many as fit."""
    blocks = [torch.linalg.qr(block.T)[0].T for block in gaussian.split(gaussian.shape[1])]
    lengths: Tensor = gaussian.norm(dim=1, keepdim=True)
    return torch.cat(blocks) * lengths

"""Random expansion of an encoder's features."""

from __future__ import annotations

from math import sqrt

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lsc_continual.errors import LSCError


class RandomFeatures(nn.Module):
    """encoder → flatten → x ↦ max(0, R x) with a fixed Gaussian R: FloatTensor[batch, features].

    A linear readout of many random features separates what one of the few original features does
    not (RanPAC, arXiv 2307.02251). R is a buffer, saved with the model and never trained.

    Args:
        encoder: its output, flattened, has a fixed width, its `num_features` if `width` is None.
        features: D, the number of random features.
        seed: of R.
        width: of the encoder's output.
    """

    directions: Tensor

    def __init__(
        self, encoder: nn.Module, features: int, *, seed: int = 0, width: int | None = None
    ) -> None:
        super().__init__()
        width = getattr(encoder, "num_features", None) if width is None else width
        if not isinstance(width, int):
            raise LSCError(
                "random features need to know how many features the encoder has: give it an "
                "attribute num_features"
            )
        self.encoder = encoder
        self.num_features = features
        generator = torch.Generator().manual_seed(seed)
        gaussian = nn.init.normal_(torch.empty(features, width), generator=generator)
        # So scaled, the mean square of the features is that of the encoder's (arXiv 1502.01852).
        self.register_buffer("directions", gaussian * sqrt(2 / width))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(F.linear(self.encoder(x).flatten(1), self.directions))

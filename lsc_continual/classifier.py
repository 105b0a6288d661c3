"""The network: an encoder, a projection to the system's dimension, and the target head."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lsc_continual.errors import LSCError
from lsc_continual.heads import TargetHead


class TargetClassifier(nn.Module):
    """encoder → flatten → linear projection → `TargetHead`.

    The projection reads the width of the encoder's features from `encoder.num_features`, or from
    the first batch where the encoder has no such attribute.

    `features` is the embedding of the latest forward pass, where Avalanche's feature plugins look
    for it.
    """

    def __init__(self, encoder: nn.Module, head: TargetHead) -> None:
        super().__init__()
        self.encoder = encoder
        width = getattr(encoder, "num_features", None)
        self.projection: nn.Linear = (
            nn.Linear(width, head.system.dim)
            if isinstance(width, int)
            else nn.LazyLinear(head.system.dim)
        )
        self.head = head
        self.features: Tensor | None = None

    def embed(self, x: Tensor) -> Tensor:
        """Inputs -> embeddings, FloatTensor[batch, dim]."""
        return self.projection(self.encoder(x).flatten(1))  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> Tensor:
        """Inputs -> the head's output."""
        self.features = self.embed(x)
        return self.head(self.features)  # type: ignore[no-any-return]

    @torch.no_grad()
    def settle(self, x: Tensor) -> None:
        """Fix the projection's input width by one forward pass, if it is still open.

        Raises:
            LSCError: the encoder does not accept the input.
        """
        if not isinstance(self.projection, nn.LazyLinear):
            return
        training = self.training
        self.eval()
        try:
            self.embed(x)
        except RuntimeError as error:
            raise LSCError(
                f"the encoder does not accept input of shape {tuple(x.shape)}: {error}"
            ) from error
        finally:
            self.train(training)

    def __getstate__(self) -> dict[str, Any]:
        # A graph tensor cannot be deep-copied, and strategies copy models.
        return self.__dict__ | {"features": None}

"""The network: an encoder, a projection to the system's dimension, and the target head."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lsc_continual.errors import LSCError, first_line
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
        self._compiled: Callable[[Tensor], Tensor] | None = None

    def embed(self, x: Tensor) -> Tensor:
        """Inputs -> embeddings, FloatTensor[batch, dim]."""
        return (self._compiled or self._embed)(x)

    def _embed(self, x: Tensor) -> Tensor:
        return self.projection(self.encoder(x).flatten(1))  # type: ignore[no-any-return]

    def compile_embedding(self) -> None:
        """Have `torch.compile` make encoder and projection faster, at the first batches' cost."""
        self._compiled = torch.compile(self._embed)

    def forward(self, x: Tensor) -> Tensor:
        """Inputs -> the head's output."""
        self.features = self.embed(x)
        return self.head(self.features)  # type: ignore[no-any-return]

    def frozen_embedder(self) -> nn.Module:
        """A copy of encoder and projection as they are now, in evaluation mode, not trained."""
        parts = copy.deepcopy([self.encoder, self.projection])
        return nn.Sequential(parts[0], nn.Flatten(), parts[1]).eval().requires_grad_(False)

    @property
    def is_settled(self) -> bool:
        """Whether the projection knows the width of the encoder's features."""
        return not isinstance(self.projection, nn.LazyLinear)

    @torch.no_grad()
    def settle(self, x: Tensor) -> None:
        """Fix the projection's input width by one forward pass. Call it while that is open.

        Raises:
            LSCError: the encoder does not accept the input.
        """
        training = self.training
        self.eval()
        try:
            self.embed(x)
        except RuntimeError as error:
            raise LSCError(
                f"the encoder does not accept input of shape {tuple(x.shape)}: {first_line(error)}"
            ) from error
        finally:
            self.train(training)

    def __getstate__(self) -> dict[str, Any]:
        # A graph tensor cannot be deep-copied, and strategies copy models.
        return self.__dict__ | {"features": None, "_compiled": None}

"""The network: an encoder, standardised features, a projection, and the target head."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lsc_continual.errors import LSCError, first_line
from lsc_continual.network.heads import TargetHead
from lsc_continual.network.layers import Between


class TargetClassifier(nn.Module):
    """encoder → flatten → hidden layer → standardisation → linear projection → `TargetHead`.

    Features after a rectifier are all positive, so without standardisation all embeddings would
    lean towards the projection of their mean, away from most targets. It is batch normalisation
    without parameters of its own. By default it follows encoders that normalise batches themselves;
    the features of others do not depend on what else is in a batch, and should not begin to when
    the mix of classes changes from experience to experience.

    Targets have nothing to do with one another, and a linear projection of few features does not
    meet many of them. There a layer of rectified units goes between: standardised features →
    linear → max(0, ·). For few classes it is not worth its size. (Our choice; measured in
    docs/defaults.md.)

    The width of the encoder's features is read from `encoder.num_features`, or from a batch by
    `settle` where the encoder has no such attribute; `LSC` does that by itself.

    `features` is the embedding of the latest forward pass, where Avalanche's feature plugins look
    for it.

    Args:
        encoder: any module; what it returns is flattened.
        head: where the embeddings go.
        standardize: whether the features are standardised; by default, if the encoder has batch
            normalisation.
        hidden: units of the hidden layer, 0 for none; by default `HIDDEN_UNITS` where features are
            standardised and more than `CLASSES_PER_FEATURE` classes are expected for each of them,
            else none.
        expected_classes: how many there will be at least, as far as is known. It only decides on
            the hidden layer.
    """

    hidden: nn.Module
    standardization: nn.Module
    projection: nn.Linear

    def __init__(
        self,
        encoder: nn.Module,
        head: TargetHead,
        standardize: bool | None = None,
        hidden: int | None = None,
        expected_classes: int = 0,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.features: Tensor | None = None
        self._compiled: Callable[[Tensor], Tensor] | None = None
        self._between = Between.of(encoder, standardize, hidden, expected_classes)
        width = getattr(encoder, "num_features", None)
        if isinstance(width, int):
            self._complete(width)

    def _complete(self, width: int) -> None:
        """Add what lies between `width` features and the head."""
        self.hidden, self.standardization, units = self._between.layers(width)
        self.projection = nn.Linear(units, self.head.system.dim)

    def embed(self, x: Tensor) -> Tensor:
        """Inputs -> embeddings, FloatTensor[batch, dim].

        Raises:
            LSCError: it is to be trained, and not all of its parameters are there.
        """
        if not self.is_settled:
            if self.training:
                raise LSCError(
                    "the encoder does not say how many features it has: give it an attribute "
                    "num_features, or call settle(batch) before you make the optimizer"
                )
            self.settle(x)
        return (self._compiled or self._embed)(x)

    def _embed(self, x: Tensor) -> Tensor:
        features = self.standardization(self.hidden(self.encoder(x).flatten(1)))
        return self.projection(features)  # type: ignore[no-any-return]

    def compile_embedding(self) -> None:
        """Have `torch.compile` make encoder and projection faster, at the first batches' cost."""
        self._compiled = torch.compile(self._embed)

    def forward(self, x: Tensor) -> Tensor:
        """Inputs -> the head's output."""
        self.features = self.embed(x)
        return self.head(self.features)  # type: ignore[no-any-return]

    def frozen_embedder(self) -> nn.Module:
        """A copy of all below the head as it is now, in evaluation mode, not trained."""
        layers = [self.encoder, self.hidden, self.standardization, self.projection]
        encoder, *rest = copy.deepcopy(layers)
        return nn.Sequential(encoder, nn.Flatten(), *rest).eval().requires_grad_(False)

    @property
    def is_settled(self) -> bool:
        """Whether the width of the encoder's features is known, and all layers are there."""
        return hasattr(self, "projection")

    @property
    def hidden_units(self) -> int:
        """The width of the hidden layer, 0 for none."""
        return 0 if isinstance(self.hidden, nn.Identity) else self.projection.in_features

    @torch.no_grad()
    def settle(self, x: Tensor) -> None:
        """Learn the width of the encoder's features from a batch. Call it while that is open.

        Raises:
            LSCError: the encoder does not accept the input.
        """
        training = self.encoder.training
        self.encoder.eval()
        try:
            width = self.encoder(x).flatten(1).shape[1]
        except RuntimeError as error:
            raise LSCError(
                f"the encoder does not accept input of shape {tuple(x.shape)}: {first_line(error)}"
            ) from error
        finally:
            self.encoder.train(training)
        self._complete(width)
        self.to(x.device)

    def __getstate__(self) -> dict[str, Any]:
        # A graph tensor cannot be deep-copied, and strategies copy models.
        return self.__dict__ | {"features": None, "_compiled": None}

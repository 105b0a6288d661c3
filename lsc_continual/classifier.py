"""The network: an encoder, standardised features, a projection, and the target head."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lsc_continual.errors import LSCError, first_line
from lsc_continual.heads import TargetHead


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


class LazyStandardization(nn.LazyBatchNorm1d):
    """A `Standardization` that reads the number of features from the first batch."""

    cls_to_become = Standardization  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__(affine=False)


class TargetClassifier(nn.Module):
    """encoder → flatten → standardisation → linear projection → `TargetHead`.

    Features after a rectifier are all positive, so without standardisation all embeddings would
    lean towards the projection of their mean, away from most targets. It is batch normalisation
    without parameters of its own. By default it follows encoders that normalise batches themselves;
    the features of others do not depend on what else is in a batch, and should not begin to when
    the mix of classes changes from experience to experience.

    The width of the encoder's features is read from `encoder.num_features`, or from the first
    batch where the encoder has no such attribute.

    `features` is the embedding of the latest forward pass, where Avalanche's feature plugins look
    for it.

    Args:
        encoder: any module; what it returns is flattened.
        head: where the embeddings go.
        standardize: whether the features are standardised; by default, if the encoder has batch
            normalisation.
    """

    def __init__(
        self, encoder: nn.Module, head: TargetHead, standardize: bool | None = None
    ) -> None:
        super().__init__()
        self.encoder = encoder
        width = getattr(encoder, "num_features", None)
        self.standardization: nn.Module
        self.projection: nn.Linear
        if isinstance(width, int):
            self.standardization = Standardization(width)
            self.projection = nn.Linear(width, head.system.dim)
        else:
            self.standardization = LazyStandardization()
            self.projection = nn.LazyLinear(head.system.dim)
        if standardize is None:
            standardize = any(isinstance(module, _BatchNorm) for module in encoder.modules())
        if not standardize:
            self.standardization = nn.Identity()
        self.head = head
        self.features: Tensor | None = None
        self._compiled: Callable[[Tensor], Tensor] | None = None

    def embed(self, x: Tensor) -> Tensor:
        """Inputs -> embeddings, FloatTensor[batch, dim]."""
        return (self._compiled or self._embed)(x)

    def _embed(self, x: Tensor) -> Tensor:
        features = self.standardization(self.encoder(x).flatten(1))
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
        encoder, *rest = copy.deepcopy([self.encoder, self.standardization, self.projection])
        return nn.Sequential(encoder, nn.Flatten(), *rest).eval().requires_grad_(False)

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

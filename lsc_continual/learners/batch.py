"""Labelled samples, and where features are brought."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Batch(NamedTuple):
    """Labelled samples."""

    embeddings: Tensor
    """FloatTensor[count, width]: what the encoder says."""
    targets: Tensor
    """FloatTensor[count, dim]: the targets of their classes."""
    ordinals: Tensor
    """LongTensor[count]: of their classes."""
    digests: NDArray[np.uint64]
    """Of content and name, by which a sample is known again."""


def joined(batches: Sequence[Batch]) -> Batch:
    """All samples of some batches, at least one."""
    embeddings, targets, ordinals, digests = zip(*batches, strict=True)
    return Batch(
        torch.cat(embeddings), torch.cat(targets), torch.cat(ordinals), np.concatenate(digests)
    )


class Projection(NamedTuple):
    """From features to embeddings near targets: z = W x + b."""

    weight: Tensor
    """FloatTensor[dim, features]."""
    bias: Tensor

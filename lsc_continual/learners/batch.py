"""Labelled samples, and where features are brought."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
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


class Projection(NamedTuple):
    """From features to embeddings near targets: z = W x + b."""

    weight: Tensor
    """FloatTensor[dim, features]."""
    bias: Tensor

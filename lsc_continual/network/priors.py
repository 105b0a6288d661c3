"""What a head assumes unless it is told: its scale, and how frequent the unknown is."""

from __future__ import annotations

from math import log

import torch
from torch import Tensor

from lsc_continual.errors import LSCError, NotTractableError
from lsc_continual.systems import VectorSystem

UNKNOWN_WEIGHT = 25.0
"""ω · size of the default unknown prior; chosen by measurement (docs/defaults.md)."""

LEAST_SCALE, SCALE_GROWTH = 16.0, 4.0
"""Of the default scale of a head."""


def default_unknown_prior(system: VectorSystem) -> float:
    """ω such that the unowned vectors together count like a fixed number of classes."""
    return min(1.0, UNKNOWN_WEIGHT / system.size) if system.has_log_partition else 0.0


def checked_unknown_prior(given: float | None, system: VectorSystem) -> float:
    """ω as it was given, or its default.

    Raises:
        NotTractableError: it is above 0, and the system's sum over all vectors is not tractable.
        LSCError: it is no share.
    """
    prior = default_unknown_prior(system) if given is None else given
    if not 0 <= prior <= 1:
        raise LSCError(f"the unknown prior is between 0 and 1, not {prior}")
    if prior and not system.has_log_partition:
        raise NotTractableError(
            f"the sum over all vectors of {system.name!r} is not tractable: set "
            "loss.unknown_prior=0 or choose another system"
        )
    return prior


def checked_frequencies(given: Tensor | float) -> Tensor:
    """How often training shows classes, DoubleTensor[...].

    Raises:
        LSCError: one of them is not above 0.
    """
    frequencies = torch.as_tensor(given, dtype=torch.float64)
    if not ((frequencies > 0) & frequencies.isfinite()).all():
        raise LSCError(f"the frequencies of a training prior are above 0, not {given}")
    return frequencies


def default_scale(classes: int) -> float:
    """s at which one of so many classes can be certain, while an embedding is far from its target.

    To outweigh C classes of cosine 0 at cosine c takes s·c ≥ ln C; 4 ln C does it from cosine 0.25
    on. Up to some fifty classes it is 16. Neither targets nor predictions move with the scale.
    """
    return max(LEAST_SCALE, SCALE_GROWTH * log(max(1, classes)))

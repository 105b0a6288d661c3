"""The losses by name. Nothing heavy is imported."""

from __future__ import annotations

from lsc_continual.registry import Entry, Registry

_LOSSES = "lsc_continual.network.losses:"

LOSSES: Registry[Entry] = Registry(
    "loss",
    "a class of modules, made without arguments and called with (output, labels)",
    {
        "softmax": Entry(
            _LOSSES + "StructuredSoftmaxLoss",
            "cross-entropy against the whole system, with unknown prior ω",
        ),
        "cosine": Entry(_LOSSES + "CosineLoss", "1 − cosine to the target"),
        "euclidean": Entry(_LOSSES + "EuclideanLoss", "squared distance to the target"),
    },
)

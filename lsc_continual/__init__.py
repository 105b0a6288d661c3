"""Open-world continual learning: classes that keep arriving, a network that never grows.

Names are imported on first use, so that `import lsc_continual` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lsc_continual.classifier.folder import load_model
    from lsc_continual.encoders import make_encoder
    from lsc_continual.errors import LSCError
    from lsc_continual.network.heads import TargetHead
    from lsc_continual.network.losses import CosineLoss, EuclideanLoss, StructuredSoftmaxLoss
    from lsc_continual.network.target_classifier import TargetClassifier
    from lsc_continual.novelty import NoveltyDetector
    from lsc_continual.scenarios import make_benchmark
    from lsc_continual.strategies import LSC, EmbeddingReplay, LSCAnalytic
    from lsc_continual.streaming import StreamClassifier
    from lsc_continual.systems import VectorSystem, make_system, min_dim
    from lsc_continual.targets import Targets

_HOMES = {
    "LSC": "strategies",
    "LSCAnalytic": "strategies",
    "CosineLoss": "network.losses",
    "EmbeddingReplay": "strategies",
    "EuclideanLoss": "network.losses",
    "LSCError": "errors",
    "NoveltyDetector": "novelty",
    "StreamClassifier": "streaming",
    "StructuredSoftmaxLoss": "network.losses",
    "TargetClassifier": "network.target_classifier",
    "TargetHead": "network.heads",
    "Targets": "targets",
    "VectorSystem": "systems",
    "load_model": "classifier.folder",
    "make_benchmark": "scenarios",
    "make_encoder": "encoders",
    "make_system": "systems",
    "min_dim": "systems",
}

__all__ = [
    "LSC",
    "CosineLoss",
    "EmbeddingReplay",
    "EuclideanLoss",
    "LSCAnalytic",
    "LSCError",
    "NoveltyDetector",
    "StreamClassifier",
    "StructuredSoftmaxLoss",
    "TargetClassifier",
    "TargetHead",
    "Targets",
    "VectorSystem",
    "load_model",
    "make_benchmark",
    "make_encoder",
    "make_system",
    "min_dim",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'lsc_continual' has no attribute {name!r}")
    return getattr(import_module(f"lsc_continual.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__

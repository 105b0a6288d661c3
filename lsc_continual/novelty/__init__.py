"""Novelty: scores (higher = more novel), their quality, and a calibrated detector."""

from lsc_continual.novelty.base import NoveltyScore, available_scores, make_score
from lsc_continual.novelty.detector import NoveltyDetector
from lsc_continual.novelty.metrics import novelty_metrics

__all__ = [
    "NoveltyDetector",
    "NoveltyScore",
    "available_scores",
    "make_score",
    "novelty_metrics",
]

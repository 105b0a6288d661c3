"""Novelty: scores (higher = more novel), their quality, and a calibrated detector."""

from lsc_continual.novelty.detector import NoveltyDetector
from lsc_continual.novelty.metrics import novelty_metrics
from lsc_continual.novelty.scores import SCORES, novelty_scores

__all__ = ["SCORES", "NoveltyDetector", "novelty_metrics", "novelty_scores"]

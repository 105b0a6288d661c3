"""Avalanche strategies and plugins."""

from lsc_continual.strategies.analytic import LSCAnalytic
from lsc_continual.strategies.augmentation import BatchAugmentation
from lsc_continual.strategies.calibration import NoveltyCalibration
from lsc_continual.strategies.collapse_metrics import CollapseMetrics
from lsc_continual.strategies.divergence import DivergenceError, StopOnDivergence
from lsc_continual.strategies.evaluation import LSCScores, OpenWorldEvaluation
from lsc_continual.strategies.lsc import LSC
from lsc_continual.strategies.point_collapse import LatentPointCollapse, PointPenalty, Stage
from lsc_continual.strategies.replay import EmbeddingReplay
from lsc_continual.strategies.schedule import CosineDecay

__all__ = [
    "LSC",
    "BatchAugmentation",
    "CollapseMetrics",
    "CosineDecay",
    "DivergenceError",
    "EmbeddingReplay",
    "LSCAnalytic",
    "LSCScores",
    "LatentPointCollapse",
    "NoveltyCalibration",
    "OpenWorldEvaluation",
    "PointPenalty",
    "Stage",
    "StopOnDivergence",
]

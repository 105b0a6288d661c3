from .base import NoveltyScore as NoveltyScore
from .base import Placed as Placed
from .base import available_scores as available_scores
from .base import make_score as make_score
from .detector import NoveltyDetector as NoveltyDetector
from .detector import Verdict as Verdict
from .metrics import novelty_metrics as novelty_metrics

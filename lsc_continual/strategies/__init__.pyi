from .analytic import LSCAnalytic as LSCAnalytic
from .analytic import build_analytic as build_analytic
from .assembly import Assembly as Assembly
from .assembly import Conditions as Conditions
from .assembly import with_targets as with_targets
from .augmentation import BatchAugmentation as BatchAugmentation
from .calibration import NoveltyCalibration as NoveltyCalibration
from .collapse_metrics import CollapseMetrics as CollapseMetrics
from .divergence import DivergenceError as DivergenceError
from .divergence import StopOnDivergence as StopOnDivergence
from .dynamic_head import DynamicTargetHead as DynamicTargetHead
from .evaluation import (
    LSCScores as LSCScores,
)
from .evaluation import (
    OpenWorldEvaluation as OpenWorldEvaluation,
)
from .evaluation import (
    OpenWorldResult as OpenWorldResult,
)
from .evaluation import (
    Scored as Scored,
)
from .lsc import LSC as LSC
from .lsc import build_lsc as build_lsc
from .point_collapse import (
    Growth as Growth,
)
from .point_collapse import (
    LatentPointCollapse as LatentPointCollapse,
)
from .point_collapse import (
    PointPenalty as PointPenalty,
)
from .replay import EmbeddingReplay as EmbeddingReplay
from .resumable import Resumable as Resumable
from .schedule import CosineDecay as CosineDecay
from .stages import Stage as Stage
from .stages import Staged as Staged
from .strategy import Strategy as Strategy

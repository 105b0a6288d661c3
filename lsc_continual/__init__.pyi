from .classifier.folder import load_model as load_model
from .encoders.making import make_encoder as make_encoder
from .errors import LSCError as LSCError
from .living.model import Classifier as Classifier
from .network.losses import (
    CosineLoss as CosineLoss,
)
from .network.losses import (
    EuclideanLoss as EuclideanLoss,
)
from .network.losses import (
    StructuredSoftmaxLoss as StructuredSoftmaxLoss,
)
from .network.target_classifier import TargetClassifier as TargetClassifier
from .novelty.detector import NoveltyDetector as NoveltyDetector
from .scenarios.class_incremental import make_benchmark as make_benchmark
from .strategies.analytic import LSCAnalytic as LSCAnalytic
from .strategies.dynamic_head import TargetHead as TargetHead
from .strategies.lsc import LSC as LSC
from .strategies.replay import EmbeddingReplay as EmbeddingReplay
from .streaming.classifier import StreamClassifier as StreamClassifier
from .systems.base import VectorSystem as VectorSystem
from .systems.making import make_system as make_system
from .systems.making import min_dim as min_dim
from .targets.targets import Targets as Targets

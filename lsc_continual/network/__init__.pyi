from .collapse import NeuralCollapse as NeuralCollapse
from .collapse import neural_collapse as neural_collapse
from .heads import Origin as Origin
from .heads import TargetHead as TargetHead
from .heads import origin_of as origin_of
from .losses import (
    CosineLoss as CosineLoss,
)
from .losses import (
    EuclideanLoss as EuclideanLoss,
)
from .losses import (
    StructuredSoftmaxLoss as StructuredSoftmaxLoss,
)
from .priors import default_unknown_prior as default_unknown_prior
from .target_classifier import TargetClassifier as TargetClassifier

from .classifier import Alternative as Alternative
from .classifier import Prediction as Prediction
from .classifier import StreamClassifier as StreamClassifier

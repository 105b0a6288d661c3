from .classifier import StreamClassifier as StreamClassifier
from .prediction import Alternative as Alternative
from .prediction import Prediction as Prediction

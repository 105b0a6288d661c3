from .classifier import StreamClassifier as StreamClassifier

"""Trained classifiers on streams: read ahead, answer in order, do not stop at a bad input."""

from lsc_continual.streaming.classifier import Alternative, Prediction, StreamClassifier

__all__ = ["Alternative", "Prediction", "StreamClassifier"]

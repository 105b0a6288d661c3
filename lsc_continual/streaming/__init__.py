"""Trained classifiers on streams: read ahead, answer in order, do not stop at a bad input."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

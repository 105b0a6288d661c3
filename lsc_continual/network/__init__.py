"""The network: what lies between an encoder's features and class probabilities, and its losses."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

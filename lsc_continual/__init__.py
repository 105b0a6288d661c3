"""Open-world continual learning: classes that keep arriving, a network that never grows.

Names are imported on first use, so that `import lsc_continual` costs nothing.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

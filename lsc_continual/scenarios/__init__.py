"""Scenarios: labelled images by name, and the streams of experiences made from them."""

from lsc_continual.scenarios.images import ImageData, LabelledImages
from lsc_continual.scenarios.stream import experience_sizes, make_stream

__all__ = ["ImageData", "LabelledImages", "experience_sizes", "make_stream"]

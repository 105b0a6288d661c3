"""Labelled images, in memory or in files, and batches of them."""

from lsc_continual.inputs.base import ImageData, Images
from lsc_continual.inputs.files import ImageFiles
from lsc_continual.inputs.stored import StoredImages

__all__ = ["ImageData", "ImageFiles", "Images", "StoredImages"]

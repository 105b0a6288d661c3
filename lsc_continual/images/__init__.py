"""Labelled images, in memory or in files, and batches of them."""

from lsc_continual.images.base import ImageData, Images
from lsc_continual.images.files import ImageFiles
from lsc_continual.images.stored import StoredImages

__all__ = ["ImageData", "ImageFiles", "Images", "StoredImages"]

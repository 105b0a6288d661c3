"""Images in memory."""

from __future__ import annotations

import hashlib
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lsc_continual.errors import LSCError
from lsc_continual.inputs.base import Images
from lsc_continual.inputs.pixels import pixel_digests


class StoredImages(Images):
    """Images in one tensor.

    Args:
        images: [count, channels, height, width], uint8 (0 … 255) or floats in [0, 1].
        labels: LongTensor[count].

    Raises:
        LSCError: another dtype, number of dimensions or of labels, or values that are not finite.
    """

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        super().__init__(labels)
        if images.ndim != 4 or len(images) != len(labels):
            raise LSCError(
                f"images of shape {tuple(images.shape)} with {len(labels)} labels: images have "
                "four dimensions (count, channels, height, width) and a label each"
            )
        if images.is_floating_point():
            if not torch.isfinite(images).all():
                raise LSCError("the images hold values that are not finite: repair them")
        elif images.dtype != torch.uint8:
            raise LSCError(f"images are uint8 or floats, not {images.dtype}: convert them")
        self.images = images

    @property
    def shape(self) -> tuple[int, int, int]:
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return as_unit_range(self.images[index]), self.targets[index]

    def subset(self, rows: Tensor) -> StoredImages:
        return StoredImages(self.images[rows], torch.tensor(self.targets)[rows])

    def fingerprint(self) -> str:
        digest = hashlib.sha256(repr((tuple(self.images.shape), str(self.images.dtype))).encode())
        digest.update(torch.tensor(self.targets).numpy().tobytes())
        digest.update(self.images.contiguous().numpy().data)
        return digest.hexdigest()[:16]

    @cached_property
    def digests(self) -> NDArray[np.uint64]:
        return pixel_digests(self.images)


def as_unit_range(images: Tensor) -> Tensor:
    """uint8 in 0 … 255 becomes float in [0, 1]; floats stay."""
    return images if images.is_floating_point() else images.float().div_(255)

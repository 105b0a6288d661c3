"""Random rotation, shift, zoom, crop and flip of whole batches, each image in its own way."""

from __future__ import annotations

from math import log, radians

import torch
import torch.nn.functional as F
from torch import Tensor


class RandomGeometry:
    """One random affine map for each image, all in a single resampling on the images' device.

    torchvision's transforms draw one set of parameters a call, so they would either change a whole
    batch in one way or go through it image by image. The parameters mean what they mean there
    (`v2.RandomAffine`, `v2.RandomResizedCrop`, `v2.RandomHorizontalFlip`).

    Args:
        rotate: up to this many degrees either way.
        translate: up to this part of the image's side.
        zoom: scale between 1 − zoom and 1 + zoom.
        flip: left and right, every other image.
        crop_scale: a random part of at least this share of the area, of a width that is 3/4 to
            4/3 of its height, takes the place of the image.
    """

    _DRAWS = 9

    def __init__(
        self,
        rotate: float = 0.0,
        translate: float = 0.0,
        zoom: float = 0.0,
        flip: bool = False,
        crop_scale: float | None = None,
    ) -> None:
        self.rotate = radians(rotate)
        self.translate = translate
        self.zoom = zoom
        self.flip = flip
        self.crop_scale = crop_scale

    def __bool__(self) -> bool:
        """Whether anything changes."""
        return bool(self.rotate or self.translate or self.zoom or self.flip or self.crop_scale)

    def __call__(
        self, images: Tensor, seed: int, start: int = 0, total: int | None = None
    ) -> Tensor:
        """FloatTensor[batch, channels, height, width] to the same; what comes in is black.

        Args:
            seed: of the draws.
            start, total: where these images stand in a batch that several processes share.
        """
        generator = torch.Generator().manual_seed(seed)
        draws = torch.rand(total or len(images), self._DRAWS, generator=generator)
        maps = self.maps(draws[start : start + len(images)], images.shape[-1] / images.shape[-2])
        return F.grid_sample(images, grid(maps.to(images), *images.shape[-2:]), align_corners=False)

    def maps(self, draws: Tensor, aspect: float = 1.0) -> Tensor:
        """Draws from [0, 1) to maps from output to input coordinates: [batch, 9] -> [batch, 2, 3].

        Coordinates run from −1 to 1 over the image; `aspect` is its width over its height.
        """
        signed = 2 * draws - 1
        angle, zoom = self.rotate * signed[:, 0], 1 + self.zoom * signed[:, 1]
        shift = 2 * self.translate * signed[:, 2:4]
        width = height = torch.ones_like(angle)
        if self.crop_scale is not None:
            area = self.crop_scale + (1 - self.crop_scale) * draws[:, 4]
            ratio = torch.exp(log(4 / 3) * signed[:, 5]) / aspect
            width, height = (area * ratio).sqrt(), (area / ratio).sqrt()
            # What would stick out is cut off, as in torchvision after ten vain attempts.
            width, height = width.clamp_max(1), height.clamp_max(1)
            shift = shift + torch.stack([1 - width, 1 - height], -1) * signed[:, 6:8]
        mirror = torch.where(draws[:, 8] < 0.5, -1.0, 1.0) if self.flip else 1.0
        cos, sin = torch.cos(angle) / zoom, torch.sin(angle) / zoom
        rows = [
            torch.stack([cos * width * mirror, -sin * height / aspect, shift[:, 0]], -1),
            torch.stack([sin * width * mirror * aspect, cos * height, shift[:, 1]], -1),
        ]
        return torch.stack(rows, 1)


def grid(maps: Tensor, height: int, width: int) -> Tensor:
    """Where each output pixel comes from: [batch, 2, 3] -> [batch, height, width, 2].

    As `torch.nn.functional.affine_grid`, by broadcasting instead of a product of tiny matrices.
    """
    x = (2 * torch.arange(width, device=maps.device) + 1) / width - 1
    y = (2 * torch.arange(height, device=maps.device) + 1) / height - 1
    across, down, shift = maps[:, :, None, None].unbind(-1)
    return (across * x + (down * y[:, None] + shift)).permute(0, 2, 3, 1)

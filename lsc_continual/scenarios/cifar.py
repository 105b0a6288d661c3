"""CIFAR-10 and CIFAR-100, through torchvision, which verifies the files before it reads them."""

from __future__ import annotations

from typing import Any

import torch
from torchvision.datasets import CIFAR10, CIFAR100

from lsc_continual.inputs import ImageData, StoredImages
from lsc_continual.inputs.source import Source
from lsc_continual.scenarios.torchvision_data import open_parts


def load_cifar10(source: Source) -> ImageData:
    """50,000 + 10,000 photographs of 32×32 in ten classes."""
    return _load(CIFAR10, source)


def load_cifar100(source: Source) -> ImageData:
    """50,000 + 10,000 photographs of 32×32 in a hundred classes."""
    return _load(CIFAR100, source)


def _load(dataset: type[Any], source: Source) -> ImageData:
    parts = open_parts(dataset, source.root / dataset.base_folder, source)
    train, test = (_images(part) for part in parts)
    return ImageData(train, test, list(parts[0].classes))


def _images(part: Any) -> StoredImages:
    pixels = torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous()
    return StoredImages(pixels, torch.tensor(part.targets))

"""MNIST and its relatives, through torchvision."""

from __future__ import annotations

from typing import Any

from torchvision.datasets import MNIST, FashionMNIST

from lsc_continual.inputs import ImageData, StoredImages
from lsc_continual.inputs.source import Source
from lsc_continual.scenarios.torchvision_data import open_parts


def load_mnist(source: Source) -> ImageData:
    """60,000 + 10,000 handwritten digits of 28×28."""
    return _load(MNIST, source)


def load_fashion_mnist(source: Source) -> ImageData:
    """60,000 + 10,000 articles of clothing of 28×28."""
    return _load(FashionMNIST, source)


def _load(dataset: type[Any], source: Source) -> ImageData:
    parts = open_parts(dataset, source.root / dataset.__name__ / "raw", source)
    train, test = (StoredImages(part.data.unsqueeze(1), part.targets.long()) for part in parts)
    return ImageData(train, test, list(parts[0].classes))

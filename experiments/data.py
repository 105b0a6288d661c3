"""Real images as tensors, through the scenarios of the package."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from experiments.settings import Settings
from lsc_continual.inputs import Source, StoredImages
from lsc_continual.inputs.stored import as_unit_range
from lsc_continual.scenarios import load_images


class Part(NamedTuple):
    """Images in [0, 1], FloatTensor[count, channels, height, width], and LongTensor[count]."""

    images: Tensor
    labels: Tensor

    def rows(self, rows: Tensor) -> Part:
        return Part(self.images[rows], self.labels[rows])

    def of_classes(self, labels: range) -> Part:
        """Those whose labels lie in a range."""
        inside = (self.labels >= labels.start) & (self.labels < labels.stop)
        return self.rows(inside.nonzero()[:, 0])

    def to(self, device: torch.device) -> Part:
        return Part(self.images.to(device), self.labels.to(device))


class Data(NamedTuple):
    """What a network is trained on, and other images of the same classes."""

    train: Part
    test: Part

    @property
    def shape(self) -> tuple[int, int, int]:
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width

    @property
    def classes(self) -> int:
        return int(self.train.labels.max()) + 1


def load(
    scenario: str, settings: Settings, per_class: int | None = None, halved: bool = False
) -> Data:
    """The data of a scenario, such as "split-fashion-mnist", in memory and on the device.

    Args:
        per_class: how many training images of each class, the first ones; by default all.
        halved: whether images have half the rows and columns.

    Raises:
        LSCError: they are not there and cannot be fetched.
    """
    source = Source(root=settings.arrays.get(scenario, settings.root))
    name = "arrays" if scenario in settings.arrays else scenario
    loaded = load_images(name, source).limited(per_class)
    parts = []
    for images in (loaded.train, loaded.test):
        assert isinstance(images, StoredImages), f"{scenario} is read from files"
        part = Part(as_unit_range(images.images), torch.as_tensor(images.targets))
        some, labels = part.to(settings.device)
        parts.append(Part(F.avg_pool2d(some, 2) if halved else some, labels))
    return Data(*parts)

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

    def first(self, per_class: int) -> Part:
        """The first images of each class, in the order of the data."""
        order = self.labels.argsort(stable=True)
        counts = self.labels.bincount()
        begin = counts.cumsum(0) - counts
        rank = torch.arange(len(order)) - begin[self.labels[order]]
        return self.rows(order[rank < per_class].sort().values)

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

    def halved(self) -> Data:
        """With half the rows and columns."""
        return Data(*(part._replace(images=F.avg_pool2d(part.images, 2)) for part in self))


def load(scenario: str, settings: Settings) -> Data:
    """The data of a scenario, such as "split-fashion-mnist", in memory and on the device.

    Raises:
        LSCError: they are not there and cannot be fetched.
    """
    source = Source(root=settings.arrays.get(scenario, settings.root))
    loaded = load_images("arrays" if scenario in settings.arrays else scenario, source)
    parts = []
    for images in (loaded.train, loaded.test):
        assert isinstance(images, StoredImages), f"{scenario} is read from files"
        labels = torch.as_tensor(images.targets)
        parts.append(Part(as_unit_range(images.images), labels).to(settings.device))
    return Data(*parts)

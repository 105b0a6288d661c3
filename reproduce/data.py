"""Real images as tensors, through the scenarios of the package."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from lsc_continual.catalog import SCENARIOS
from torch import Tensor

from lsc_continual.inputs import StoredImages
from lsc_continual.inputs.source import Source
from lsc_continual.inputs.stored import as_unit_range
from reproduce.outcome import Settings


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
        """Those whose labels lie in a range that begins at 0."""
        return self.rows((self.labels < labels.stop).nonzero()[:, 0])

    def to(self, device: torch.device) -> Part:
        return Part(self.images.to(device), self.labels.to(device))


class Data(NamedTuple):
    train: Part
    test: Part

    @property
    def shape(self) -> tuple[int, int, int]:
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width


def load(scenario: str, settings: Settings) -> Data:
    """The data of a scenario, such as "split-fashion-mnist", in memory and on the device.

    Raises:
        LSCError: they are not there and cannot be fetched.
    """
    source = Source(root=settings.root)
    if scenario in settings.arrays:
        source = replace(source, root=settings.arrays[scenario])
    loaded = SCENARIOS.load("arrays" if scenario in settings.arrays else scenario)(source)
    parts = []
    for images in (loaded.train, loaded.test):
        assert isinstance(images, StoredImages), f"{scenario} is read from files"
        labels = torch.as_tensor(images.targets)
        parts.append(Part(as_unit_range(images.images), labels).to(settings.device))
    return Data(*parts)

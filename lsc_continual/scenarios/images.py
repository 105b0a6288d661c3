"""Labelled images in memory."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from lsc_continual.errors import LSCError


class LabelledImages(Dataset[tuple[Tensor, int]]):
    """Images as FloatTensor[channels, height, width] in [0, 1], with integer labels.

    Args:
        images: [count, channels, height, width]; integers count as 0 … 255.
        labels: LongTensor[count].
    """

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images = images if images.is_floating_point() else images.float() / 255
        self.targets: list[int] = labels.tolist()
        """Under the name that Avalanche looks for."""

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.images[index], self.targets[index]


class ImageData(NamedTuple):
    """What a scenario loads: training and test images over the same classes."""

    train: LabelledImages
    test: LabelledImages
    class_names: list[str]

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width

    def limited(self, per_class: int | None) -> ImageData:
        """The first `per_class` training images of each class only (all with None)."""
        if per_class is None:
            return self
        labels = torch.tensor(self.train.targets)
        kept = [(labels == c).nonzero()[:per_class, 0] for c in range(len(self.class_names))]
        rows = torch.cat(kept).sort().values
        return self._replace(train=LabelledImages(self.train.images[rows], labels[rows]))

    def check(self) -> ImageData:
        """Itself, after a look at labels and pixels.

        Raises:
            LSCError: a test label that is never trained on, a class without training or test
                images, or values that are not finite.
        """
        if stray := sorted(set(self.test.targets) - set(self.train.targets)):
            raise LSCError(
                f"the test data has class {stray[0]!r}, which is never trained on: remove its "
                "images or add some to the training data"
            )
        for part, images in (("training", self.train), ("test", self.test)):
            if missing := sorted(set(range(len(self.class_names))) - set(images.targets)):
                name = self.class_names[missing[0]]
                raise LSCError(f"class {name!r} has no {part} images: add some or remove the class")
            if not torch.isfinite(images.images).all():
                raise LSCError(f"the {part} images hold values that are not finite: repair them")
        return self

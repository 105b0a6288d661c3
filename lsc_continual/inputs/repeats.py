"""Images that are there more than once."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsc_continual.inputs.base import Images
from lsc_continual.inputs.files import ImageFiles, file_digest

_MOST_FILES = 100_000  # that are looked into

Compared = Literal["pixels", "files", "nothing"]


class Repeats(NamedTuple):
    """How many images are there again where they should not be."""

    tested_and_trained: int = 0
    """Test images that are among the training images."""
    in_several_classes: int = 0
    """Images, each counted once, that are in two classes or more."""
    compared: Compared = "pixels"
    """What tells: pixels in memory; of images in files their size and beginning, or, where there
    are more than 100,000, nothing."""

    def __str__(self) -> str:
        """A line on them; empty where there are none."""
        if self.compared == "nothing":
            return f"not looked for among more than {_MOST_FILES:,} files"
        said = []
        if self.tested_and_trained:
            said.append(f"{self.tested_and_trained:,} of the test images among the training images")
        if self.in_several_classes:
            said.append(f"{self.in_several_classes:,} of the images in several classes")
        return "; ".join(said)


def find_repeats(train: Images, test: Images) -> Repeats:
    """Look for the same images in training and test data, and in several classes."""
    compared: Compared = "pixels"
    if isinstance(train, ImageFiles) and isinstance(test, ImageFiles):
        compared = "files" if len(train) + len(test) <= _MOST_FILES else "nothing"
    if compared == "nothing":
        return Repeats(compared=compared)
    trained, tested = content_digests(train), content_digests(test)
    digests = np.concatenate([trained, tested])
    pairs = np.unique(np.stack([digests, np.array(train.targets + test.targets, "u8")]), axis=1)
    classes = np.unique(pairs[0], return_counts=True)[1]
    again = int(np.isin(tested, trained).sum())
    return Repeats(again, int((classes > 1).sum()), compared)


def content_digests(images: Images) -> NDArray[np.uint64]:
    """A number for each image: of its pixels in memory, or of its file's size and beginning."""
    if isinstance(images, ImageFiles):
        digests = [file_digest(images.path(row)) for row in range(len(images))]
        return np.array(digests, np.uint64)
    return images.digests

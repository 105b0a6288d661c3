"""Images that are there more than once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lsc_continual.inputs.base import Images
from lsc_continual.inputs.stored import StoredImages


class Repeats(NamedTuple):
    """How many images are there again, pixel by pixel, where they should not be."""

    tested_and_trained: int = 0
    """Test images that are among the training images."""
    in_several_classes: int = 0
    """Images, each counted once, that are in two classes or more."""

    def __str__(self) -> str:
        """A line on them; empty where there are none."""
        said = []
        if self.tested_and_trained:
            said.append(f"{self.tested_and_trained:,} of the test images among the training images")
        if self.in_several_classes:
            said.append(f"{self.in_several_classes:,} of the images in several classes")
        return "; ".join(said)


def find_repeats(train: Images, test: Images) -> Repeats:
    """Look for the same pixels, among images in memory; files are not looked into."""
    if not isinstance(train, StoredImages) or not isinstance(test, StoredImages):
        return Repeats()
    trained, tested = train.digests, test.digests
    digests = np.concatenate([trained, tested])
    pairs = np.unique(np.stack([digests, np.array(train.targets + test.targets, "u8")]), axis=1)
    classes = np.unique(pairs[0], return_counts=True)[1]
    return Repeats(int(np.isin(tested, trained).sum()), int((classes > 1).sum()))

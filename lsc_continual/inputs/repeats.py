"""Images that are there more than once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsc_continual.inputs.base import Images
from lsc_continual.inputs.stored import StoredImages

_CHUNK = 2**24  # bytes looked at at a time


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
    trained, tested = (_digests(part) for part in (train, test))
    digests = np.concatenate([trained, tested])
    pairs = np.unique(np.stack([digests, np.array(train.targets + test.targets, "u8")]), axis=1)
    classes = np.unique(pairs[0], return_counts=True)[1]
    return Repeats(int(np.isin(tested, trained).sum()), int((classes > 1).sum()))


def _digests(images: StoredImages) -> NDArray[np.uint64]:
    """A number for each image: the same for the same pixels, and for others hardly ever.

    The mixed words of 64 bits, times odd numbers drawn once, added up modulo 2⁶⁴.
    """
    rows = images.images.contiguous().flatten(1).numpy()
    words = -(-rows.shape[1] * rows.itemsize // 8)
    factors = np.random.RandomState(0).randint(2**63, size=words, dtype=np.uint64) * 2 + 1
    step = max(1, _CHUNK // (8 * words))
    found = np.empty(len(rows), np.uint64)
    for start in range(0, len(rows), step):
        some = rows[start : start + step]
        padded = np.zeros((len(some), 8 * words), np.uint8)
        padded[:, : some[0].nbytes] = some.view(np.uint8)
        mixed = padded.view(np.uint64) * factors
        mixed ^= mixed >> np.uint64(29)
        found[start : start + step] = (mixed * factors).sum(1, dtype=np.uint64)
    return found

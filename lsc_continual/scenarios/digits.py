"""The handwritten digits that come with scikit-learn: no file, no network."""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits as sklearn_digits
from sklearn.model_selection import train_test_split

from lsc_continual.inputs import ImageData, StoredImages
from lsc_continual.inputs.source import Source

_SPLIT_SEED = 0  # the data set comes without a split; ours is the same in every run


def load_digits(source: Source) -> ImageData:
    """1,797 images of 8×8 in ten classes, a stratified quarter of them for testing."""
    bunch = sklearn_digits()
    images = torch.tensor(bunch.images, dtype=torch.float32).unsqueeze(1) / 16
    whole = StoredImages(images, torch.tensor(bunch.target))
    train, test = train_test_split(
        torch.arange(len(whole)), test_size=0.25, stratify=bunch.target, random_state=_SPLIT_SEED
    )
    names = [str(name) for name in bunch.target_names]
    return ImageData(whole.subset(train), whole.subset(test), names)

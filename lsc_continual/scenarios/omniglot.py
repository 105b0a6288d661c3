"""Omniglot: handwritten characters of fifty alphabets (doi 10.1126/science.aab3050)."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from pathlib import PurePosixPath

from torchvision.datasets import Omniglot

from lsc_continual.inputs import ImageData, Images, StoredImages
from lsc_continual.inputs.reading import read_files
from lsc_continual.inputs.source import Source
from lsc_continual.inputs.trees import ClassFiles, image_paths, subfolders
from lsc_continual.scenarios.archives import Archive

_PARTS = {"images_background": "Greek", "images_evaluation": "Angelic"}  # an alphabet of each
_LAST_TRAINING_DRAWER = 15  # of 20


def load_omniglot(source: Source) -> ImageData:
    """1,623 characters by 20 people each, 15 of them for training; bright ink, 28×28."""
    root = source.root / Omniglot.folder
    if not root.is_dir() and all((source.root / part).is_dir() for part in _PARTS):
        root = source.root
    for part, alphabet in _PARTS.items():
        url = f"{Omniglot.download_url_prefix}/{part}.zip"
        archive = Archive("Omniglot", url, Omniglot.zips_md5[part], part, alphabet)
        archive.obtain(replace(source, root=root))
    train: ClassFiles = {}
    test: ClassFiles = {}
    for part in _PARTS:
        for alphabet in subfolders(root / part):
            for character in subfolders(root / part / alphabet):
                name = f"{alphabet}/{character}"
                paths = image_paths(root, f"{part}/{name}")
                train[name] = [path for path in paths if _drawer(path) <= _LAST_TRAINING_DRAWER]
                test[name] = [path for path in paths if _drawer(path) > _LAST_TRAINING_DRAWER]
    # Always in memory, where ink can be made bright: at 28×28 they take 25 MB.
    data = read_files(root, train, test, replace(source, memory=inf), resolution=28, channels=1)
    return data._replace(train=_inverted(data.train), test=_inverted(data.test), inverted=True)


def _drawer(path: str) -> int:
    """7 from ".../0001_07.png"."""
    number = PurePosixPath(path).stem.rpartition("_")[2]
    return int(number) if number.isdigit() else 0


def _inverted(images: Images) -> StoredImages:
    assert isinstance(images, StoredImages)
    images.images = 255 - images.images
    return images

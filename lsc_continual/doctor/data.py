"""Which scenarios' data are here, by the names of their files: nothing is opened or decoded.

To add a scenario that reads files, add its line.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from lsc_continual.catalog import SCENARIOS
from lsc_continual.doctor.finding import Finding, shown


class Files(NamedTuple):
    """How to tell that data are here, and where to get them.

    Args:
        needs: patterns below a place, each of which has to match; none: anything could be it.
        get: where to get them, or how they have to lie.
        places: folders below `data.root`; the first in which something matches counts.
        downloaded: whether a run fetches what is missing.
    """

    needs: tuple[str, ...]
    get: str
    places: tuple[str, ...] = ("",)
    downloaded: bool = True


_IDX = tuple(
    f"{part}-{what}-ubyte*" for part in ("train", "t10k") for what in ("images-idx3", "labels-idx1")
)
_CIFAR10 = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch", "batches.meta")
_IMAGENET = Files(
    ("train/n????????", "val"),
    "https://image-net.org/download-images (ILSVRC2012, with an account), as train/n01440764/… "
    "and val/…,",
    ("", "imagenet", "ILSVRC2012", "ILSVRC/Data/CLS-LOC"),
    downloaded=False,
)

FILES: dict[str, Files | None] = {
    "split-digits": None,  # comes with scikit-learn
    "split-mnist": Files(_IDX, "https://ossci-datasets.s3.amazonaws.com/mnist/", ("MNIST/raw",)),
    "split-fashion-mnist": Files(
        _IDX, "https://github.com/zalandoresearch/fashion-mnist", ("FashionMNIST/raw",)
    ),
    "split-cifar10": Files(
        _CIFAR10, "https://www.cs.toronto.edu/~kriz/cifar.html", ("cifar-10-batches-py",)
    ),
    "split-cifar100": Files(
        ("train", "test", "meta"),
        "https://www.cs.toronto.edu/~kriz/cifar.html",
        ("cifar-100-python",),
    ),
    "split-omniglot": Files(
        ("images_background/Greek", "images_evaluation/Angelic"),
        "https://github.com/brendenlake/omniglot",
        ("omniglot-py", ""),
    ),
    "split-cub200": Files(
        ("images.txt", "images"),
        "https://data.caltech.edu/records/65de6-vp158",
        ("CUB_200_2011", ""),
    ),
    "core50": Files(("s1",), "https://vlomonaco.github.io/core50", ("core50_128x128", "")),
    "split-tiny-imagenet": Files(
        ("wnids.txt", "train", "val"),
        "http://cs231n.stanford.edu/tiny-imagenet-200.zip",
        ("tiny-imagenet-200", ""),
    ),
    "split-imagenet100": _IMAGENET,
    "split-imagenet": _IMAGENET,
    "folder": Files((), "data.root= names a folder that holds a folder of images for each class"),
    "arrays": Files((), "data.root= names an .npz file with x_train and y_train"),
    "python": Files((), "benchmark= names a function of yours, which knows its data"),
}
"""Scenario -> its files; None: it needs none."""


def find_data(root: Path) -> Iterator[Finding]:
    """Every scenario of the catalogue that reads files."""
    for name in SCENARIOS:
        if name not in FILES:
            found = "not known where its files lie"
            yield Finding("data", name, "note", found, f"see: lsc-cl run scenario={name}")
        elif (files := FILES[name]) is not None:
            yield find(name, files, root)


def find(name: str, files: Files, root: Path) -> Finding:
    """One scenario's data in `root`."""
    if not files.needs:
        return Finding("data", name, "note", "your own, not looked for", files.get)
    for place in files.places:
        folder = root / place
        lacking = [need for need in files.needs if not _matches(folder, need)]
        if not lacking:
            return Finding("data", name, "ok", f"in {shown(folder)}")
        if len(lacking) < len(files.needs):
            found = f"incomplete in {shown(folder)}: no {lacking[0]}"
            return Finding("data", name, "missing", found, _cure(files, root))
    found = f"not in {shown(root)}{'; a run downloads it' if files.downloaded else ''}"
    return Finding("data", name, "missing", found, _cure(files, root))


def _matches(folder: Path, pattern: str) -> bool:
    return any(True for _ in folder.glob(pattern))


def _cure(files: Files, root: Path) -> str:
    place = shown(root / files.places[0])
    return f"{'by hand' if files.downloaded else 'get it'}: {files.get} into {place}"

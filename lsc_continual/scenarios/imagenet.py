"""ImageNet, as it is unpacked for the challenge of 2012, and the usual hundred of its classes."""

from __future__ import annotations

import re
import tarfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np

from lsc_continual.errors import LSCError, first_line
from lsc_continual.inputs import ImageData
from lsc_continual.inputs.reading import read_files
from lsc_continual.inputs.selection import select_classes
from lsc_continual.inputs.source import Source
from lsc_continual.inputs.trees import ClassFiles, image_paths, subfolders
from lsc_continual.scenarios.archives import read_pairs
from lsc_continual.scenarios.names import IMAGENET

_ORDER_SEED = 1993  # of the class order in the literature, since arXiv 1611.07725
_SUBSET = 100


def load_imagenet(source: Source) -> ImageData:
    """1.28 million + 50,000 photographs in 1,000 classes, called by their WordNet ids."""
    root = _find(source.root)
    wnids = select_classes(_class_folders(root), source.classes)
    train = {wnid: image_paths(root, f"train/{wnid}") for wnid in wnids}
    test = _validation(root, wnids, source.root)
    return read_files(root, train, test, source, resolution=224, channels=3)


def load_imagenet100(source: Source) -> ImageData:
    """The first hundred classes of numpy's permutation with seed 1993, or `source.classes`."""
    if source.classes is None:
        source = replace(source, classes=tuple(usual_subset(_class_folders(_find(source.root)))))
    return load_imagenet(source)


def usual_subset(wnids: list[str]) -> list[str]:
    """The hundred classes that the literature calls ImageNet-100 (e.g. PODNet, arXiv 2004.13513).

    Args:
        wnids: all 1,000, sorted; or a hundred that somebody has picked, which stay as they are.

    Raises:
        LSCError: another number.
    """
    if len(wnids) == _SUBSET:
        return wnids
    if len(wnids) != 1000:
        raise LSCError(
            f"the usual 100 classes are chosen from 1,000, but train/ holds {len(wnids)}: unpack "
            "the others too, or name those to use by data.classes="
        )
    order = np.random.RandomState(_ORDER_SEED).permutation(1000)
    return [wnids[index] for index in order[:_SUBSET]]


def _find(root: Path) -> Path:
    for place in IMAGENET.places:
        if (root / place / "train").is_dir():
            return root / place
    raise LSCError(
        f"ImageNet is not in {root}, and it cannot be downloaded without an account: get "
        "ILSVRC2012 from https://image-net.org/download-images and unpack it so that there are "
        "train/n01440764/… and val/… in data.root="
    )


def _class_folders(root: Path) -> list[str]:
    wnids = [name for name in subfolders(root / "train") if re.fullmatch(r"n\d{8}", name)]
    if wnids:
        return wnids
    if any((root / "train").glob("n*.tar")):
        raise LSCError(
            f"{root / 'train'} still holds archives: unpack each into a folder of its name, with "
            'cd train && for f in n*.tar; do mkdir "${f%.tar}" && tar -xf "$f" -C "${f%.tar}"; done'
        )
    raise LSCError(f"{root / 'train'} has no class folders such as n01440764: unpack it there")


def _validation(root: Path, wnids: list[str], top: Path) -> ClassFiles:
    if subfolders(root / "val"):
        return {wnid: image_paths(root, f"val/{wnid}") for wnid in wnids}
    paths = image_paths(root, "val")
    if not paths:
        raise LSCError(f"{root / 'val'} holds no images: unpack ILSVRC2012_img_val.tar there")
    labels = _validation_labels([root, *root.parents[: len(root.relative_to(top).parts)]])
    test: ClassFiles = {wnid: [] for wnid in wnids}
    for path in paths:
        wnid = labels.get(Path(path).stem)
        if wnid in test:
            test[wnid].append(path)
    return test


_KAGGLE = "LOC_val_solution.csv"
_DEVKIT = "ILSVRC2012_devkit_t12"


def _validation_labels(folders: list[Path]) -> dict[str, str]:
    """Image, such as "ILSVRC2012_val_00000001" -> WordNet id, from Kaggle or the devkit."""
    for folder in folders:
        if (folder / _KAGGLE).exists():
            pairs = read_pairs(folder / _KAGGLE, ",")
            return {image: boxes.split()[0] for image, boxes in pairs.items() if boxes}
        for kit in (folder / _DEVKIT, folder / f"{_DEVKIT}.tar.gz"):
            if kit.exists():
                return _from_devkit(kit)
    raise LSCError(
        f"the images in {folders[0] / 'val'} are not in class folders: put {_DEVKIT}.tar.gz from "
        f"image-net.org, or Kaggle's {_KAGGLE}, into {folders[0]}"
    )


def _from_devkit(kit: Path) -> dict[str, str]:
    from scipy.io import loadmat

    try:
        meta, truth = _members(kit, "meta.mat", "ILSVRC2012_validation_ground_truth.txt")
        synsets = loadmat(BytesIO(meta), squeeze_me=True)["synsets"]
        wnids = {int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in synsets}
        numbers = [int(line) for line in truth.split()]
        return {f"ILSVRC2012_val_{i:08d}": wnids[n] for i, n in enumerate(numbers, 1)}
    except Exception as error:  # of tar, gzip, scipy and the contents
        raise LSCError(f"{kit} is damaged ({first_line(error)}): download it again") from error


def _members(kit: Path, *names: str) -> list[bytes]:
    """Files in the kit's data folder; of an archive, only these are unpacked, into memory."""
    if kit.is_dir():
        return [(kit / "data" / name).read_bytes() for name in names]
    with tarfile.open(kit) as archive:
        found = [archive.extractfile(f"{_DEVKIT}/data/{name}") for name in names]
        return [file.read() for file in found if file]

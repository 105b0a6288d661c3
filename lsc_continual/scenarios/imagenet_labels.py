"""Labels of ImageNet's validation images, where these lie in one folder."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

from lsc_continual.errors import LSCError, first_line
from lsc_continual.scenarios.listings import read_pairs

_KAGGLE = "LOC_val_solution.csv"
_DEVKIT = "ILSVRC2012_devkit_t12"


def validation_labels(folders: Iterable[Path]) -> dict[str, str]:
    """WordNet ids by image, such as "ILSVRC2012_val_00000001", from Kaggle or the development kit.

    Args:
        folders: where to look for them.

    Raises:
        LSCError: neither is there, or what is there is damaged.
    """
    folders = list(folders)
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

"""CUB-200-2011: two hundred kinds of birds."""

from __future__ import annotations

from lsc_continual.errors import LSCError
from lsc_continual.inputs import ImageData
from lsc_continual.inputs.reading import read_files
from lsc_continual.inputs.source import Source
from lsc_continual.inputs.trees import ClassFiles
from lsc_continual.scenarios.archives import Archive
from lsc_continual.scenarios.listings import read_pairs

_ARCHIVE = Archive(
    "CUB-200-2011",
    "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz",
    "97eceeb196236b17998738112f37df78",
    "CUB_200_2011",
    "images.txt",
)


def load_cub200(source: Source) -> ImageData:
    """5,994 + 5,794 photographs of 200 bird species, the official split."""
    root = _ARCHIVE.obtain(source)
    files, labels, trained, classes = (
        read_pairs(root / f"{name}.txt")
        for name in ("images", "image_class_labels", "train_test_split", "classes")
    )
    names = {number: name.partition(".")[2] or name for number, name in classes.items()}
    train: ClassFiles = {name: [] for name in names.values()}
    test: ClassFiles = {name: [] for name in names.values()}
    try:
        for number, path in files.items():
            part = train if trained[number] == "1" else test
            part[names[labels[number]]].append(f"images/{path}")
    except KeyError as error:
        raise LSCError(
            f"the lists of CUB-200-2011 in {root} do not fit together (number {error}): unpack the "
            "data again"
        ) from error
    return read_files(root, train, test, source, resolution=224, channels=3)

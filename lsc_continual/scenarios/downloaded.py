"""Published data sets in archives: CUB-200, CORe50, Tiny ImageNet, Omniglot."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from math import inf
from pathlib import Path, PurePosixPath

from torchvision.datasets import Omniglot

from lsc_continual.errors import LSCError
from lsc_continual.inputs import ImageData, Images, StoredImages
from lsc_continual.inputs.reading import read_files
from lsc_continual.inputs.source import Source
from lsc_continual.inputs.trees import ClassFiles, image_paths, subfolders
from lsc_continual.scenarios.archives import Archive, read_lines, read_pairs

_CUB200 = Archive(
    "CUB-200-2011",
    "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz",
    "97eceeb196236b17998738112f37df78",
    "CUB_200_2011",
    "images.txt",
)


def load_cub200(source: Source) -> ImageData:
    """5,994 + 5,794 photographs of 200 bird species, the official split."""
    root = _CUB200.obtain(source)
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


_CORE50 = Archive(
    "CORe50",
    "http://bias.csr.unibo.it/maltoni/download/core50/core50_128x128.zip",
    "745f3373fed08d69343f1058ee559e13",
    "core50_128x128",
    "s1",
)
_KINDS = (
    *("plug_adapter", "mobile_phone", "scissors", "light_bulb", "can"),
    *("glass", "ball", "marker", "cup", "remote_control"),
)
_TEST_SESSIONS = ("s3", "s7", "s10")


def load_core50(source: Source) -> ImageData:
    """164,866 frames of 50 objects; sessions 3, 7 and 10 are for testing, as in the paper."""
    root = _CORE50.obtain(source)
    sessions = [name for name in subfolders(root) if name.startswith("s")]
    names = [f"{kind}{i}" for kind in _KINDS for i in range(1, 6)]  # o1 … o50
    train, test = (
        {
            name: [
                path
                for session in sessions
                if (session in _TEST_SESSIONS) is tested
                for path in image_paths(root, f"{session}/o{number}")
            ]
            for number, name in enumerate(names, 1)
        }
        for tested in (False, True)
    )
    return read_files(root, train, test, source, resolution=64, channels=3)


_TINY = Archive(
    "Tiny ImageNet",
    "http://cs231n.stanford.edu/tiny-imagenet-200.zip",
    "90528d7ca1a48142e341f4ef8d21d0de",
    "tiny-imagenet-200",
    "wnids.txt",
)


def load_tiny_imagenet(source: Source) -> ImageData:
    """100,000 + 10,000 photographs in 200 classes; the validation images are for testing."""
    root = _TINY.obtain(source)
    names = _tiny_names(root)
    train = {name: image_paths(root, f"train/{wnid}") for wnid, name in names.items()}
    test: ClassFiles = {name: [] for name in names.values()}
    for file, rest in sorted(read_pairs(root / "val" / "val_annotations.txt").items()):
        wnid = rest.split()[0]
        if wnid in names:
            test[names[wnid]].append(f"val/images/{file}")
    return read_files(root, train, test, source, resolution=64, channels=3)


def _tiny_names(root: Path) -> dict[str, str]:
    """WordNet id -> its first word, with the id where two ids share it."""
    words = read_pairs(root / "words.txt", "\t")
    ids = sorted(line.strip() for line in read_lines(root / "wnids.txt"))
    first = {wnid: words.get(wnid, wnid).partition(",")[0] for wnid in ids}
    count = Counter(first.values())
    return {wnid: name if count[name] == 1 else f"{name} ({wnid})" for wnid, name in first.items()}


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

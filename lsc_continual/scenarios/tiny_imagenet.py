"""Tiny ImageNet: two hundred of ImageNet's classes at 64×64."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from lsc_continual.inputs import ImageData
from lsc_continual.inputs.reading import read_files
from lsc_continual.inputs.source import Source
from lsc_continual.inputs.trees import ClassFiles, image_paths
from lsc_continual.scenarios.archives import Archive
from lsc_continual.scenarios.listings import read_lines, read_pairs

_ARCHIVE = Archive(
    "Tiny ImageNet",
    "http://cs231n.stanford.edu/tiny-imagenet-200.zip",
    "90528d7ca1a48142e341f4ef8d21d0de",
    "tiny-imagenet-200",
    "wnids.txt",
)


def load_tiny_imagenet(source: Source) -> ImageData:
    """100,000 + 10,000 photographs in 200 classes; the validation images are for testing."""
    root = _ARCHIVE.obtain(source)
    names = _names(root)
    train = {name: image_paths(root, f"train/{wnid}") for wnid, name in names.items()}
    test: ClassFiles = {name: [] for name in names.values()}
    for file, rest in sorted(read_pairs(root / "val" / "val_annotations.txt").items()):
        wnid = rest.split()[0]
        if wnid in names:
            test[names[wnid]].append(f"val/images/{file}")
    return read_files(root, train, test, source, resolution=64, channels=3)


def _names(root: Path) -> dict[str, str]:
    """WordNet id -> its first word, with the id where two ids share it."""
    words = read_pairs(root / "words.txt", "\t")
    ids = sorted(line.strip() for line in read_lines(root / "wnids.txt"))
    first = {wnid: words.get(wnid, wnid).partition(",")[0] for wnid in ids}
    count = Counter(first.values())
    return {wnid: name if count[name] == 1 else f"{name} ({wnid})" for wnid, name in first.items()}

"""Any images in class folders."""

from __future__ import annotations

from lsc_continual.errors import LSCError
from lsc_continual.inputs import ImageData
from lsc_continual.inputs.reading import read_files
from lsc_continual.inputs.selection import held_out, select_classes
from lsc_continual.inputs.source import Source
from lsc_continual.inputs.trees import ClassFiles, class_files

_TEST = ("test", "val", "valid", "validation")  # the first that is there counts


def load_folder(source: Source) -> ImageData:
    """ROOT/train/CLASS/… and ROOT/test/CLASS/…, or ROOT/CLASS/… with a split by seed.

    Instead of `test`, the folder can be called `val`, `valid` or `validation`.

    Raises:
        LSCError: no such folders; a class with a single image, where a split is needed.
    """
    root = source.root
    if not root.is_dir():
        raise LSCError(
            f"data.root={root} is not a folder: pass one that holds a folder of images for each "
            "class (unpack archives first)"
        )
    test = next((name for name in _TEST if (root / name).is_dir()), None)
    if test and (root / "train").is_dir():
        return read_files(root, class_files(root, "train"), class_files(root, test), source)
    files = class_files(root)
    if list(files) == ["train"]:
        files = class_files(root, "train")
    names = select_classes(list(files), source.classes)
    train, testing = _split({name: files[name] for name in names}, source)
    data = read_files(root, train, testing, source)
    return data._replace(split={"train": _paths(train), "test": _paths(testing)})


def _split(files: ClassFiles, source: Source) -> tuple[ClassFiles, ClassFiles]:
    train, test = {}, {}
    for name, paths in files.items():
        mask = held_out(name, len(paths), source.test_fraction, source.seed)
        train[name] = [path for path, out in zip(paths, mask, strict=True) if not out]
        test[name] = [path for path, out in zip(paths, mask, strict=True) if out]
    return train, test


def _paths(files: ClassFiles) -> list[str]:
    return [path for paths in files.values() for path in paths]

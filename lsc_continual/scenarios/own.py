"""Your own images in class folders, and images or tables of features in one .npz file."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lsc_continual.errors import LSCError, inert
from lsc_continual.inputs import ImageData, StoredImages
from lsc_continual.inputs.labelled import read_labelled
from lsc_continual.inputs.npz import find_file, read_arrays
from lsc_continual.inputs.pixels import as_images
from lsc_continual.inputs.reading import read_files
from lsc_continual.inputs.selection import (
    held_out,
    held_out_of_each,
    keep_classes,
    select_classes,
    split_classes,
    without_unreadable,
)
from lsc_continual.inputs.source import Source
from lsc_continual.inputs.tables import TABLES
from lsc_continual.inputs.texts import text_rows
from lsc_continual.inputs.trees import (
    ClassFiles,
    LeftOut,
    class_folders,
    look_through,
    require_folder,
    subfolders,
)

_TEST = ("test", "val", "valid", "validation")  # the first that is there counts
_NAMED = 3  # files that a sentence names
ADDED = "added since the run was started"


def load_folder(source: Source) -> ImageData:
    """ROOT/train/CLASS/… and ROOT/test/CLASS/…, or ROOT/CLASS/… with a split by seed.

    Instead of `test`, the folder can be called `val`, `valid` or `validation`.

    Raises:
        LSCError: no such folders; a class with a single image, where a split is needed.
    """
    root = source.root
    require_folder(root)
    (train_folder, test_folder), beside = _layout(root, source)
    if test_folder is None:
        parts, left_out = class_folders(root, *([train_folder] if train_folder else []))
    else:
        parts, left_out = class_folders(root, str(train_folder), test_folder)
    left_out |= beside
    return _of_files(root, parts, left_out, test_folder is None, source)


def _of_files(
    root: Path, parts: Sequence[ClassFiles], left_out: LeftOut, drawn: bool, source: Source
) -> ImageData:
    """Images in files, of one part that is split here if `drawn`, else of a training and a test."""
    more: LeftOut = {}
    chosen = replace(source, classes=None)  # where they are by then
    if source.split is not None:
        (train, testing), more = _found_again(parts, source.split, root)
    elif drawn:
        (files,) = parts
        counts = {name: len(files[name]) for name in select_classes(list(files), source.classes)}
        names, more = split_classes(counts, source.keep_single)
        train, testing = _split({name: files[name] for name in names}, source)
    else:
        (train, testing), chosen = parts, source
    data = read_files(root, train, testing, chosen).without(left_out).without(more)
    data = without_unreadable(data, tested=drawn and not source.keep_single)
    split = {
        part: [*map(inert, chain(*files.values()))]
        for part, files in (("train", train), ("test", testing))
    }
    return data._replace(split=split, drawn=drawn)


def _layout(root: Path, source: Source) -> tuple[tuple[str | None, str | None], LeftOut]:
    """The folders of training and test images, None where there are none, and what is beside them.

    A run that goes on has the layout that it was started with.

    Raises:
        LSCError: training images beside something that may be meant as test images.
    """
    names = subfolders(root)
    folders = {name.lower(): name for name in names} | {name: name for name in names}
    train = folders.get("train")
    test = next((folders[name] for name in _TEST if name in folders), None)
    if source.split is not None:
        recorded = [path for paths in source.split.values() for path in paths]
        trees = {path.split("/")[0] for path in recorded if path.count("/") > 1}
        train = train if train in trees else None
        test = test if test in trees else None
    if train is None or not any(subfolders(root / train)):  # a class may be called so
        return (None, None), {}
    others = [name for name in subfolders(root) if name not in (train, test)]
    contents = look_through(root, others)
    beside = {
        inert(name): {f"beside the folders {train} and {test}": len(found.images)}
        for name, found in zip(others, contents, strict=True)
        if found.images
    }
    if test is None and beside and source.split is None:
        raise LSCError(
            f"{root / train} holds folders of classes, and beside it is {next(iter(beside))!r}: "
            f"call the folder of test images test, or take {train} away"
        )
    return (train, test), beside if test is not None else {}


def _found_again(
    parts: Sequence[ClassFiles], split: Mapping[str, Sequence[str]], root: Path
) -> tuple[tuple[ClassFiles, ClassFiles], LeftOut]:
    """The training and test files that a run was started with, and what was added since."""
    train, test = (set(split[part]) for part in ("train", "test"))
    chosen: tuple[ClassFiles, ClassFiles] = {}, {}
    added: Counter[str] = Counter()
    found = set()
    every = [(name, path) for part in parts for name, paths in part.items() for path in paths]
    for name, path in every:
        shown = inert(path)
        found.add(shown)
        for files, wanted in zip(chosen, (train, test), strict=True):
            if shown in wanted:
                files.setdefault(name, []).append(path)
        added[name] += shown not in train and shown not in test
    if gone := sorted((train | test) - found):
        named = ", ".join(gone[:_NAMED]) + (", …" if len(gone) > _NAMED else "")
        raise LSCError(
            f"{len(gone):,} of the images that the run was started with are gone from {root} "
            f"({named}): put them back or start a new run"
        )
    return chosen, {name: {ADDED: count} for name, count in added.items() if count}


def _split(files: ClassFiles, source: Source) -> tuple[ClassFiles, ClassFiles]:
    train, test = {}, {}
    for name, paths in files.items():
        mask = held_out(len(paths), source.test_fraction, source.seed)
        train[name] = [path for path, out in zip(paths, mask, strict=True) if not out]
        test[name] = [path for path, out in zip(paths, mask, strict=True) if out]
    return train, test


_KEYS = ("x_train", "y_train", "x_test", "y_test", "class_names")


def load_arrays(source: Source) -> ImageData:
    """x_train, y_train, x_test, y_test and, if there, class_names of an .npz file; or a table.

    Labels are integers of any values, or text. Without test images, a seeded share of each class
    is kept for testing. Tables are those that `read_labelled` takes, of vectors, texts or paths of
    images.

    Raises:
        LSCError: no such file, a key is missing, or arrays that do not fit.
    """
    path, texts = find_file(source.root, (".npy", *TABLES)), False
    if path.suffix.lower() not in (".npy", *TABLES):
        arrays = read_arrays(path, _KEYS)
    else:
        labelled = read_labelled(path)
        if isinstance(labelled.data[0], Path):
            files: ClassFiles = {}
            for name, image in zip(labelled.labels, labelled.data, strict=True):
                files.setdefault(name, []).append(os.path.relpath(image, path.parent))
            return _of_files(path.parent, [files], {}, True, source)
        if texts := labelled.kind == "texts":
            rows_of: NDArray[Any] = text_rows([str(text) for text in labelled.data])
        else:
            rows_of = np.asarray(labelled.data)
        arrays = {"x_train": rows_of, "y_train": np.asarray(labelled.labels)}
    x, y = _part(arrays, "train", path)
    if not len(x):
        raise LSCError(f"x_train in {path} holds no images: add some")
    given = "x_test" in arrays or "y_test" in arrays
    x_test, y_test = _part(arrays, "test", path) if given else (x[:0], y[:0])
    if y.dtype.kind != y_test.dtype.kind:
        raise LSCError(f"y_train in {path} is of type {y.dtype}, y_test {y_test.dtype}: use one")
    values, inverse = np.unique(np.concatenate([y, y_test]), return_inverse=True)
    names = _names(values, arrays.get("class_names"), path)
    labels, tested = inverse[: len(y)], inverse[len(y) :]
    images = StoredImages(as_images(x, f"x_train in {path}"), torch.from_numpy(labels))
    held_out = images
    drawn = not len(tested)
    if not drawn:
        held_out = StoredImages(as_images(x_test, f"x_test in {path}"), torch.from_numpy(tested))
    left_out: LeftOut = {}
    if source.split is not None and source.recorded is not None:
        source.recorded.require(names, path)
        rows = {part: np.array(source.split[part], np.int64) for part in ("train", "test")}
        left_out = _added(rows, labels, labels if drawn else tested, names, path)
    elif drawn:
        counts = dict(zip(names, np.bincount(inverse).tolist(), strict=True))
        kept, left_out = split_classes(counts, source.keep_single)
        out = held_out_of_each(inverse, len(names), source.test_fraction, source.seed)
        used = np.isin(inverse, [names.index(name) for name in kept])
        rows = {"train": np.flatnonzero(used & ~out), "test": np.flatnonzero(out)}
    else:
        rows = {"train": np.arange(len(labels)), "test": np.arange(len(tested))}
    train = images.subset(torch.from_numpy(rows["train"]))
    test = held_out.subset(torch.from_numpy(rows["test"]))
    split = {name: part.astype(str).tolist() for name, part in rows.items()}
    texts = texts or x.dtype.kind in "US"
    data = ImageData(train, test, names, split=split, drawn=drawn, texts=texts).without(left_out)
    there = set(train.targets) | set(test.targets)
    return keep_classes(data, [name for label, name in enumerate(names) if label in there])


def _added(
    rows: Mapping[str, NDArray[Any]],
    labels: NDArray[Any],
    tested: NDArray[Any],
    names: Sequence[str],
    path: Path,
) -> LeftOut:
    """What is there beside the rows that a run was started with, of training and test arrays.

    Raises:
        LSCError: some of these rows are gone.
    """
    apart = tested is not labels
    for part, there in (("train", labels), ("test", tested)):
        if len(rows[part]) and rows[part].max() >= len(there):
            raise LSCError(
                f"{path} has {len(there):,} {part} images, and the run was started with more: put "
                "them back or start a new run"
            )
    if apart:
        others = [np.delete(labels, rows["train"]), np.delete(tested, rows["test"])]
    else:
        others = [np.delete(labels, np.concatenate([rows["train"], rows["test"]]))]
    added = Counter(names[label] for label in np.concatenate(others).tolist())
    return {name: {ADDED: count} for name, count in added.items()}


def _part(
    arrays: dict[str, NDArray[Any]], part: str, path: Path
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Images as they are, and labels as int64 or text [N]."""
    for key in (f"x_{part}", f"y_{part}"):
        if key not in arrays:
            raise LSCError(f"{path} has no array {key!r}: add it with numpy.savez")
    x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1 or y.dtype.kind not in "biuSU":
        raise LSCError(
            f"y_{part} in {path} has shape {y.shape} and type {y.dtype}: use one integer or text "
            "for each image"
        )
    if x.ndim == 0 or len(x) != len(y):
        raise LSCError(
            f"x_{part} in {path} has shape {x.shape}, but there are {len(y)} labels in y_{part}: "
            "they need one length"
        )
    if y.dtype.kind == "u" and len(y) and int(y.max()) >= 2**63:
        raise LSCError(f"y_{part} in {path} holds {y.max()}: labels are below 2**63, or text")
    if y.dtype.kind == "S":
        y = np.char.decode(y, "utf-8", "backslashreplace")
    return x, y if y.dtype.kind == "U" else y.astype(np.int64)


def _names(values: NDArray[Any], given: NDArray[Any] | None, path: Path) -> list[str]:
    """The names given, if labels count them from 0; else the labels themselves.

    Raises:
        LSCError: two labels have one name, or some has none.
    """
    names = values
    if given is not None:
        if values.dtype.kind == "i" and 0 <= values[0] <= values[-1] < len(given):
            names = given[values]
        else:
            warnings.warn(
                f"class_names in {path} is not used: it names labels from 0, and there are "
                f"{values[0]!s} to {values[-1]!s}",
                stacklevel=1,
            )
    texts = [inert(str(name)) for name in names]
    if twice := [name for name, count in Counter(texts).items() if count > 1]:
        raise LSCError(f"two classes in {path} are called {twice[0]!r}: give each a name")
    return texts

"""Labelled examples out of what people keep them in."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsc_continual.errors import LSCError, inert
from lsc_continual.inputs.npz import DAMAGE, read_arrays, read_header
from lsc_continual.inputs.pixels import as_images
from lsc_continual.inputs.tables import (
    TABLES,
    VECTORS,
    label_of,
    read_table,
    reason,
)
from lsc_continual.inputs.trees import LeftOut, class_folders
from lsc_continual.storage.reading import open_regular, read_text

_LARGEST = 2**28  # bytes of a list of labels
_METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")  # Hugging Face's imagefolder


@dataclass(frozen=True)
class Labelled:
    """Examples, each with the name of its class."""

    data: NDArray[Any] | list[Path] | list[str]
    """Vectors [count, width], images [count, …], image files, or texts."""
    labels: list[str]
    left_out: LeftOut = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """ "vectors", "images" or "texts"."""
        if isinstance(self.data, np.ndarray):
            return "vectors" if self.data.ndim == 2 else "images"
        return "texts" if isinstance(self.data[0], str) else "images"

    def summary(self) -> str:
        """One line on what was found and left out."""
        line = f"{len(self.labels):,} examples of {len(set(self.labels)):,} classes"
        reasons: Counter[str] = Counter()
        for of_class in self.left_out.values():
            reasons.update(of_class)
        said = ", ".join(f"{count:,} × {reason}" for reason, count in reasons.most_common())
        return f"{line}; left out: {said}" if said else line


def read_labelled(source: Path, part: str = "train", kind: str | None = None) -> Labelled:
    """Examples and the names of their classes.

    Args:
        part: "train" or "test", of arrays that have both.
        kind: "vectors", "images" or "texts", where a table has columns of several.
        source: a folder with a folder of images for each class, or with a `metadata.csv` or
            `.jsonl` of `file_name` and `label`; a table (.csv, .jsonl, .parquet) with a column of
            labels and one of paths, vectors or texts; an .npz file with x and y (or x_train and
            y_train) and, if there, class_names; or an .npy file with the labels beside it, in
            `NAME.labels.txt`, one a line, or `NAME.labels.npy`.

    Raises:
        LSCError: none of these, it cannot be read, or it holds no labelled examples.
    """
    if not source.exists():
        raise LSCError(f"there is no {source}: pass labelled images, vectors or texts")
    if source.is_dir():
        tables = [source / name for name in _METADATA if (source / name).is_file()]
        found = _of_table(tables[0], "images") if tables else _of_folder(source)
    else:
        readers: Mapping[str, Callable[[Path], Labelled]] = {
            ".npz": partial(_of_npz, part=part),
            ".npy": _of_npy,
            **dict.fromkeys(TABLES, partial(_of_table, kind=kind)),
        }
        reader = readers.get(source.suffix.lower())
        if reader is None:
            raise LSCError(
                f"{source} is no folder and none of {', '.join(readers)}: convert it to one"
            )
        found = reader(source)
    if not found.labels:
        raise LSCError(f"{source} holds no examples: add some")
    return found


def _of_folder(source: Path) -> Labelled:
    (files,), left_out = class_folders(source)
    if list(files) == ["train"]:
        (files,), left_out = class_folders(source, "train")
    paths = [source / path for of_class in files.values() for path in of_class]
    labels = [name for name, of_class in files.items() for _ in of_class]
    return Labelled(paths, labels, left_out)


def _of_npz(path: Path, part: str) -> Labelled:
    parts = f"x_{part}", f"y_{part}"
    arrays = read_arrays(path, (*parts, "x", "y", "class_names"))
    keys = parts if parts[0] in arrays else ("x", "y")
    if not set(keys) <= arrays.keys() or len(arrays[keys[0]]) != len(arrays[keys[1]]):
        raise LSCError(
            f"{path} has no {parts[0]} and {parts[1]} (or x and y) of one length: add them"
        )
    x, y = (arrays[key] for key in keys)
    names, numbered = arrays.get("class_names"), y.dtype.kind in "iu" and len(y) > 0
    if names is not None and numbered and 0 <= y.min() <= y.max() < len(names):
        y = names[y]
    return Labelled(as_rows(x, f"{keys[0]} in {path}"), _texts(y))


def _of_npy(path: Path) -> Labelled:
    beside = path.with_suffix(".labels.npy"), path.with_suffix(".labels.txt")
    try:
        if beside[0].is_file():
            labels = _texts(read_npy(beside[0]))
        elif beside[1].is_file():
            labels = [inert(line) for line in read_text(beside[1], _LARGEST).rstrip().split("\n")]
        else:
            raise LSCError(f"{path} has no labels: put them into {beside[1]}, one a line")
        x = read_npy(path, len(labels))
    except LSCError:
        raise
    except DAMAGE as error:
        raise LSCError(f"{path} or its labels cannot be read: {reason(error)}") from error
    return Labelled(as_rows(x, str(path)), labels)


def read_npy(path: Path, rows: int | None = None) -> NDArray[Any]:
    """The array in an .npy file, once its header is what the file holds.

    Args:
        rows: that it has to have.
    """
    with open_regular(path) as file:
        header = read_header(file)
        size = os.fstat(file.fileno()).st_size - file.tell()
        if header.dtype.hasobject or min(header.shape, default=0) < 0 or header.bytes != size:
            raise LSCError(f"{path} is not what its header says: write it with numpy.save")
        if rows is not None and header.shape[:1] != (rows,):
            raise LSCError(f"{path} has the shape {header.shape}, and there are {rows:,} labels")
        file.seek(0)
        found: NDArray[Any] = np.load(file, allow_pickle=False)
        return found


def as_rows(x: NDArray[Any], what: str) -> NDArray[Any] | list[str]:
    """Vectors and texts as they are, images with their channels first."""
    if x.ndim == 1 and x.dtype.kind in "US":
        return list(map(str, _decoded(x).tolist()))
    if x.ndim == 2:
        with np.errstate(over="ignore"):  # what does not fit is infinite, and left out as such
            return np.asarray(x, np.float32)
    images: NDArray[Any] = as_images(x, what).numpy()
    return images


def _texts(y: NDArray[Any]) -> list[str]:
    return [inert(str(label)) for label in _decoded(y).ravel().tolist()]


def _decoded(texts: NDArray[Any]) -> NDArray[Any]:
    return np.char.decode(texts, "utf-8", "replace") if texts.dtype.kind == "S" else texts


def _of_table(path: Path, kind: str | None = None) -> Labelled:
    labels: list[str] = []
    data: list[Any] = []
    column = ""
    for row in read_table(path, kind):
        column = row.column
        labels.append(label_of(row.fields.get(str(row.label)), path, row.number))
        data.append(row.content(path))
        if isinstance(data[-1], np.ndarray) and len(data[-1]) != len(data[0]):
            raise LSCError(
                f"row {row.number} of {path} has {len(data[-1])} numbers, and the first has "
                f"{len(data[0])}: mend it"
            )
    return Labelled(np.array(data) if column in VECTORS else data, labels)

"""Labelled examples out of what people keep them in."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
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
    LABELS,
    PATHS,
    VECTORS,
    label_of,
    read_csv,
    read_jsonl,
    read_parquet,
    reason,
    vector_of,
    wrong_columns,
)
from lsc_continual.inputs.trees import LeftOut, class_folders
from lsc_continual.storage.reading import open_regular, read_text

_LARGEST = 2**28  # bytes of a list of labels
_METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")  # Hugging Face's imagefolder


@dataclass(frozen=True)
class Labelled:
    """Examples, each with the name of its class."""

    data: NDArray[Any] | list[Path]
    """Vectors [count, width], images [count, …], or image files."""
    labels: list[str]
    left_out: LeftOut = field(default_factory=dict)

    @property
    def are_vectors(self) -> bool:
        return isinstance(self.data, np.ndarray) and self.data.ndim == 2

    def summary(self) -> str:
        """One line on what was found and left out."""
        line = f"{len(self.labels):,} examples of {len(set(self.labels)):,} classes"
        reasons: Counter[str] = Counter()
        for of_class in self.left_out.values():
            reasons.update(of_class)
        said = ", ".join(f"{count:,} × {reason}" for reason, count in reasons.most_common())
        return f"{line}; left out: {said}" if said else line


def read_labelled(source: Path, part: str = "train") -> Labelled:
    """Examples and the names of their classes.

    Args:
        part: "train" or "test", of arrays that have both.
        source: a folder with a folder of images for each class, or with a `metadata.csv` or
            `.jsonl` of `file_name` and `label`; a table (.csv, .jsonl, .parquet) with a column of
            labels and one of paths or vectors; an .npz file with x and y (or x_train and y_train)
            and, if there, class_names; or an .npy file with the labels beside it, in
            `NAME.labels.txt`, one a line, or `NAME.labels.npy`.

    Raises:
        LSCError: none of these, it cannot be read, or it holds no labelled examples.
    """
    if not source.exists():
        raise LSCError(f"there is no {source}: pass labelled images or vectors")
    if source.is_dir():
        tables = [source / name for name in _METADATA if (source / name).is_file()]
        found = _of_table(tables[0]) if tables else _of_folder(source)
    else:
        readers: Mapping[str, Callable[[Path], Labelled]] = {
            ".npz": partial(_of_npz, part=part),
            ".npy": _of_npy,
            ".csv": _of_table,
            ".jsonl": _of_table,
            ".parquet": _of_table,
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
    return Labelled(_rows(x, f"{keys[0]} in {path}"), _texts(y))


def _of_npy(path: Path) -> Labelled:
    beside = path.with_suffix(".labels.npy"), path.with_suffix(".labels.txt")
    try:
        if beside[0].is_file():
            labels = _texts(_array(beside[0]))
        elif beside[1].is_file():
            labels = [inert(line) for line in read_text(beside[1], _LARGEST).rstrip().split("\n")]
        else:
            raise LSCError(f"{path} has no labels: put them into {beside[1]}, one a line")
        x = _array(path, len(labels))
    except LSCError:
        raise
    except DAMAGE as error:
        raise LSCError(f"{path} or its labels cannot be read: {reason(error)}") from error
    return Labelled(_rows(x, str(path)), labels)


def _array(path: Path, rows: int | None = None) -> NDArray[Any]:
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


def _rows(x: NDArray[Any], what: str) -> NDArray[Any]:
    """Vectors as they are, images with their channels first."""
    if x.ndim == 2:
        with np.errstate(over="ignore"):  # what does not fit is infinite, and left out as such
            return np.asarray(x, np.float32)
    images: NDArray[Any] = as_images(x, what).numpy()
    return images


def _texts(y: NDArray[Any]) -> list[str]:
    if y.dtype.kind == "S":
        y = np.char.decode(y, "utf-8", "replace")
    return [inert(str(label)) for label in y.ravel().tolist()]


def _of_table(path: Path) -> Labelled:
    reader = {".csv": read_csv, ".jsonl": read_jsonl, ".parquet": read_parquet}[path.suffix.lower()]
    try:
        return _of_rows(path, reader(path))
    except OSError as error:
        raise LSCError(f"{path} cannot be read: {reason(error)}") from error


def _of_rows(path: Path, rows: Iterator[Mapping[str, Any]]) -> Labelled:
    labels: list[str] = []
    paths: list[Path] = []
    vectors: list[NDArray[np.float32]] = []
    label = file = vector = None
    for number, row in enumerate(rows, 1):
        if number == 1:
            label, file, vector = (
                next((name for name in names if name in row), None)
                for names in (LABELS, PATHS, VECTORS)
            )
            if label is None or (file is None and vector is None):
                raise wrong_columns(path, row)
        labels.append(label_of(row.get(str(label)), path, number))
        if file is not None:
            name = row.get(file)
            if not isinstance(name, str) or not name or "\0" in name:
                raise LSCError(f"row {number} of {path} has no {file}: give it one or take it out")
            paths.append(path.parent / name)
        else:
            vectors.append(vector_of(row.get(str(vector)), path, number))
            if len(vectors[-1]) != len(vectors[0]):
                raise LSCError(
                    f"row {number} of {path} has {len(vectors[-1])} numbers, and the first has "
                    f"{len(vectors[0])}: mend it"
                )
    return Labelled(paths if file is not None else np.array(vectors), labels)

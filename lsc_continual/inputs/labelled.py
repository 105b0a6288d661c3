"""Labelled examples out of what people keep them in."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsc_continual.errors import LSCError, first_line, inert
from lsc_continual.inputs.npz import DAMAGE, read_arrays
from lsc_continual.inputs.pixels import as_images
from lsc_continual.inputs.trees import LeftOut, class_folders
from lsc_continual.storage.reading import open_regular, read_text

_LARGEST = 2**31  # bytes of a table of text
_PATHS = ("path", "file_name", "file", "image")
_VECTORS = ("vector", "embedding", "features")
_LABELS = ("label", "class", "y")
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


def read_labelled(source: Path) -> Labelled:
    """Examples and the names of their classes.

    Args:
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
            ".npz": _of_npz,
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


def _of_npz(path: Path) -> Labelled:
    arrays = read_arrays(path, ("x_train", "y_train", "x", "y", "class_names"))
    keys = ("x_train", "y_train") if "x_train" in arrays else ("x", "y")
    if not set(keys) <= arrays.keys() or len(arrays[keys[0]]) != len(arrays[keys[1]]):
        raise LSCError(f"{path} has no x and y (or x_train and y_train) of one length: add them")
    x, y = (arrays[key] for key in keys)
    names, numbered = arrays.get("class_names"), y.dtype.kind in "iu" and len(y) > 0
    if names is not None and numbered and 0 <= y.min() <= y.max() < len(names):
        y = names[y]
    return Labelled(_rows(x, f"{keys[0]} in {path}"), _texts(y))


def _of_npy(path: Path) -> Labelled:
    beside = path.with_suffix(".labels.npy"), path.with_suffix(".labels.txt")
    labels: list[str]
    try:
        with open_regular(path) as file:
            x = np.load(file, allow_pickle=False)
        if beside[0].is_file():
            with open_regular(beside[0]) as file:
                labels = _texts(np.load(file, allow_pickle=False))
        elif beside[1].is_file():
            labels = [inert(line) for line in read_text(beside[1], _LARGEST).splitlines()]
        else:
            raise LSCError(f"{path} has no labels: put them into {beside[1]}, one a line")
    except LSCError:
        raise
    except DAMAGE as error:
        raise LSCError(f"{path} or its labels cannot be read: {first_line(error)}") from error
    if x.ndim == 0 or len(x) != len(labels):
        raise LSCError(f"{path} has the shape {x.shape}, and there are {len(labels):,} labels")
    return Labelled(_rows(x, str(path)), labels)


def _rows(x: NDArray[Any], what: str) -> NDArray[Any]:
    """Vectors as they are, images with their channels first."""
    if x.ndim == 2:
        return np.asarray(x, np.float32)
    images: NDArray[Any] = as_images(x, what).numpy()
    return images


def _texts(y: NDArray[Any]) -> list[str]:
    if y.dtype.kind == "S":
        y = np.char.decode(y, "utf-8", "replace")
    return [inert(str(label)) for label in y.ravel().tolist()]


def _of_table(path: Path) -> Labelled:
    rows = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}[path.suffix.lower()](path)
    found = list(rows)
    if not found:
        return Labelled([], [])
    columns = found[0].keys()
    label, file, vector = (
        next((name for name in names if name in columns), None)
        for names in (_LABELS, _PATHS, _VECTORS)
    )
    if label is None or (file is None and vector is None):
        raise LSCError(
            f"{path} has the columns {', '.join(map(inert, columns))}: it needs one of labels "
            f"({', '.join(_LABELS)}) and one of paths ({', '.join(_PATHS)}) or vectors "
            f"({', '.join(_VECTORS)})"
        )
    labels = [_label(row.get(label), path, number) for number, row in enumerate(found, 1)]
    if file is not None:
        return Labelled([path.parent / str(row[file]) for row in found], labels)
    assert vector is not None
    vectors = [_vector(row.get(vector), path, number) for number, row in enumerate(found, 1)]
    widths = sorted({len(one) for one in vectors})
    if len(widths) > 1:
        raise LSCError(f"{path} has vectors of {widths[0]} and of {widths[-1]} numbers: mend it")
    return Labelled(np.stack(vectors), labels)


def _label(value: Any, path: Path, number: int) -> str:
    if value is None or value == "":
        raise LSCError(f"row {number} of {path} has no label: give it one or take it out")
    return inert(str(value))


def _vector(value: Any, path: Path, number: int) -> NDArray[np.float32]:
    try:
        if isinstance(value, str):
            value = json.loads(value)
        vector = np.asarray(value, np.float32)
    except (ValueError, TypeError) as error:
        raise LSCError(f"row {number} of {path} holds no vector: {first_line(error)}") from error
    if vector.ndim != 1 or not len(vector):
        raise LSCError(f"row {number} of {path} holds no vector of numbers: mend it")
    return vector


def _csv(path: Path) -> Iterator[dict[str, Any]]:
    try:
        yield from csv.DictReader(StringIO(read_text(path, _LARGEST), newline=""), strict=True)
    except (OSError, ValueError, csv.Error) as error:
        raise LSCError(f"{path} cannot be read as CSV: {first_line(error)}") from error


def _jsonl(path: Path) -> Iterator[dict[str, Any]]:
    try:
        lines = read_text(path, _LARGEST).splitlines()
    except (OSError, ValueError) as error:
        raise LSCError(f"{path} cannot be read: {first_line(error)}") from error
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line) if line.strip() else None
        except (ValueError, RecursionError) as error:
            reason = first_line(error)
            raise LSCError(f"line {number} of {path} is no JSON: {reason}") from error
        if row is not None and not isinstance(row, dict):
            raise LSCError(f"line {number} of {path} is no object: write one a line")
        if row is not None:
            yield row


def _parquet(path: Path) -> Sequence[dict[str, Any]]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise LSCError(
            f"{path} needs pyarrow: pip install 'lsc_continual[tables]', or write it as .jsonl"
        ) from None
    try:
        rows: Sequence[dict[str, Any]] = parquet.read_table(path).to_pylist()
        return rows
    except (OSError, ArrowException) as error:
        raise LSCError(f"{path} cannot be read as Parquet: {first_line(error)}") from error

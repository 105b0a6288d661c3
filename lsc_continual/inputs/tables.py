"""The rows of tables of labelled examples: CSV, JSON lines, Parquet."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsc_continual.errors import LSCError, first_line, inert
from lsc_continual.inputs.npz import RATIO
from lsc_continual.storage.reading import open_regular

_LONGEST = 2**22  # bytes of a row
_SMALL = 2**28  # bytes that a Parquet file may take however small it is
_LONGEST_LABEL = 1000  # letters
_BATCH = 1024  # of its rows, read at a time
PATHS = ("path", "file_name", "file", "image")
VECTORS = ("vector", "embedding", "features")
TEXTS = ("text", "sentence", "query")
LABELS = ("label", "class", "y")
TABLES = (".csv", ".jsonl", ".parquet")
COLUMNS = {"images": PATHS, "vectors": VECTORS, "texts": TEXTS}


def wrong_columns(path: Path, row: Iterable[str]) -> LSCError:
    return LSCError(
        f"{path} has the columns {', '.join(map(inert, row))}: it needs one of labels "
        f"({', '.join(LABELS)}) and one of paths ({', '.join(PATHS)}), vectors "
        f"({', '.join(VECTORS)}) or texts ({', '.join(TEXTS)})"
    )


def content_column(path: Path, row: Mapping[str, Any], kind: str | None = None) -> str:
    """The column of paths, vectors or texts.

    Args:
        kind: "images", "vectors" or "texts", where there are several.

    Raises:
        LSCError: there is none, or of several nobody says which.
    """
    found = [next((name for name in names if name in row), None) for names in COLUMNS.values()]
    of_kind = {of: name for of, name in zip(COLUMNS, found, strict=True) if name is not None}
    if kind in of_kind:
        return of_kind[kind]
    if not of_kind:
        raise wrong_columns(path, row)
    if len(of_kind) > 1:
        raise LSCError(
            f"{path} has columns of {' and of '.join(of_kind)} ({', '.join(of_kind.values())}): "
            "keep one"
        )
    return next(iter(of_kind.values()))


def content_of(row: Mapping[str, Any], column: str, path: Path, number: int) -> Any:
    """What a row holds: the path of an image, a vector or a text."""
    value = row.get(column)
    if column in VECTORS:
        return vector_of(value, path, number)
    if not isinstance(value, str) or not value.strip() or (column in PATHS and "\0" in value):
        raise LSCError(f"row {number} of {path} has no {column}: give it one or take it out")
    return path.parent / value if column in PATHS else value


def label_of(value: Any, path: Path, number: int) -> str:
    if value is None or value == "":
        raise LSCError(f"row {number} of {path} has no label: give it one or take it out")
    if not isinstance(value, str) and type(value) is not int:
        raise LSCError(f"row {number} of {path} has the label {value!r}: write names as text")
    if len(str(value)) > _LONGEST_LABEL:
        raise LSCError(
            f"row {number} of {path} has a label of {len(str(value)):,} letters: shorten it"
        )
    return inert(str(value))


def vector_of(value: Any, path: Path, number: int) -> NDArray[np.float32]:
    try:
        if isinstance(value, str):
            value = json.loads(value)
        with np.errstate(over="ignore"):  # what does not fit is infinite, and left out as such
            vector = np.asarray(value, np.float32)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise LSCError(f"row {number} of {path} holds no vector: {first_line(error)}") from error
    if vector.ndim != 1 or not len(vector):
        raise LSCError(f"row {number} of {path} holds no vector of numbers: mend it")
    return vector


def _lines(path: Path) -> Iterator[str]:
    """The lines of a file of text, each with its end.

    Raises:
        LSCError: one is too long, or no UTF-8.
    """
    with open_regular(path) as file:
        number = 0
        while line := file.readline(_LONGEST):
            number += 1
            if len(line) == _LONGEST:
                raise LSCError(f"line {number} of {path} is longer than {_LONGEST:,} bytes")
            try:
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise LSCError(f"line {number} of {path} is no UTF-8: save it as such") from error


class Row(NamedTuple):
    """A row of a table."""

    number: int
    """From 1."""
    fields: Mapping[str, Any]
    """Empty for a line that is none."""
    label: str | None
    """The name of the column of labels, if there is one."""
    column: str
    """The name of the column of paths, vectors or texts."""
    error: LSCError | None = None
    """What is wrong with the line."""

    def content(self, path: Path) -> Any:
        """The path of an image, a vector or a text; LSCError as of `content_of`."""
        if self.error is not None:
            raise self.error
        return content_of(self.fields, self.column, path, self.number)


def read_table(path: Path, kind: str | None = None, *, labelled: bool = True) -> Iterator[Row]:
    """The rows of a table, .csv, .jsonl or .parquet.

    Args:
        kind: "images", "vectors" or "texts", where it has columns of several.
        labelled: whether it has to have a column of labels.

    Raises:
        LSCError: it cannot be read, or columns are missing.
    """
    readers: Mapping[str, Callable[[Path], Iterator[Mapping[str, Any] | LSCError]]] = {
        ".csv": read_csv,
        ".jsonl": read_jsonl,
        ".parquet": partial(read_parquet, kind=kind),
    }
    label, column = None, ""
    try:
        for number, fields in enumerate(readers[path.suffix.lower()](path), 1):
            if isinstance(fields, LSCError):
                if not column or labelled:
                    raise fields
                yield Row(number, {}, label, column, LSCError(str(fields)))
                continue
            if not column:
                label = next((name for name in LABELS if name in fields), None)
                if labelled and label is None:
                    raise wrong_columns(path, fields)
                column = content_column(path, fields, kind)
            yield Row(number, fields, label, column)
    except OSError as error:
        raise LSCError(f"{path} cannot be read: {reason(error)}") from error


def read_csv(path: Path) -> Iterator[Mapping[str, Any]]:
    csv.field_size_limit(_LONGEST)
    rows = csv.reader(_lines(path), strict=True)
    try:
        names = next(rows, [])
        if twice := [name for name in names if names.count(name) > 1]:
            raise LSCError(f"{path} has two columns {inert(twice[0])!r}: name each once")
        for number, row in enumerate((row for row in rows if row), 1):
            if len(row) != len(names):
                raise LSCError(
                    f"row {number} of {path} has {len(row)} fields, and there are {len(names)} "
                    "columns: put vectors into quotes, for example"
                )
            yield dict(zip(names, row, strict=True))
    except csv.Error as error:
        raise LSCError(f"{path} cannot be read as CSV: {first_line(error)}") from error


def read_jsonl(path: Path) -> Iterator[Mapping[str, Any] | LSCError]:
    """Its objects, and what is wrong with lines that are none."""
    for number, line in enumerate(_lines(path), 1):
        try:
            row = json.loads(line) if line.strip() else None
        except (ValueError, RecursionError) as error:
            why = first_line(error)
            yield LSCError(f"line {number} of {path} is no JSON: {why}")
            continue
        if row is not None and not isinstance(row, dict):
            yield LSCError(f"line {number} of {path} is no object: write one a line")
        elif row is not None:
            yield row


def read_parquet(path: Path, kind: str | None = None) -> Iterator[Mapping[str, Any]]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise LSCError(
            f"{path} needs pyarrow: pip install 'lsc_continual[tables]', or write it as .jsonl"
        ) from None
    with open_regular(path) as opened:
        size = os.fstat(opened.fileno()).st_size
        try:
            file = parquet.ParquetFile(opened)
            names = file.schema_arrow.names
            wanted = [name for name in (*LABELS, "id") if name in names]
            wanted.append(content_column(path, dict.fromkeys(names), kind))
            groups = [file.metadata.row_group(n) for n in range(file.metadata.num_row_groups)]
            held = sum(group.total_byte_size for group in groups) + 64 * file.metadata.num_rows
            if held > max(_SMALL, RATIO * size):
                raise LSCError(
                    f"{path} takes {held / 2**30:.1f} GiB out of {size / 2**20:.1f} MiB, which is "
                    "not read for safety: write it with less compression"
                )
            for batch in file.iter_batches(_BATCH, columns=wanted):
                columns = [batch.column(name) for name in wanted]
                for values in zip(*columns, strict=True):
                    yield {name: v.as_py() for name, v in zip(wanted, values, strict=True)}
        except ArrowException as error:
            raise LSCError(f"{path} cannot be read as Parquet: {first_line(error)}") from error


def reason(error: BaseException) -> str:
    """What an error of the system or of a library says, without the path."""
    return (isinstance(error, OSError) and error.strerror) or first_line(error)

"""Rows of figures: as tables on the terminal and in Markdown, and as JSON files."""

from __future__ import annotations

import tempfile
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from lsc_continual.errors import LSCError, first_line
from lsc_continual.storage import folders

Row = dict[str, Any]
"""What was measured, by the name of its column."""


def show(
    console: Console,
    title: str,
    rows: Sequence[Row],
    *,
    section: str = "",
    hidden: Container[str] = (),
) -> None:
    """Print one line a row, with a column for every key that occurs, and "remark" at the end.

    Args:
        section: a key; a line is drawn where its value changes.
        hidden: keys that get no column.
    """
    table = Table(title=title, title_justify="left")
    columns = [column for column in _columns(rows) if column not in hidden]
    for column in columns:
        words = any(isinstance(row.get(column), str) for row in rows)
        table.add_column(column, justify="left" if words else "right")
    for row, following in zip(rows, [*rows[1:], {}]):
        changes = row.get(section) != following.get(section)
        table.add_row(*(text(row.get(column)) for column in columns), end_section=changes)
    console.print(table)


def markdown(rows: Sequence[Row]) -> list[str]:
    """The same table as lines of Markdown."""
    columns = _columns(rows)
    return [
        f"| {' | '.join(columns)} |",
        "|" + "---|" * len(columns),
        *(f"| {' | '.join(text(row.get(column)) for column in columns)} |" for row in rows),
    ]


def _columns(rows: Sequence[Row]) -> list[str]:
    """Every key that occurs, in the order of the first; "remark" comes last."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    return sorted(columns, key="remark".__eq__)


def text(value: Any) -> str:
    """A figure as a table shows it: three digits at least, thousands apart, – for none."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"
    return f"{value:,}" if type(value) is int else str(value)


def write_json(path: Path, figures: Any) -> None:
    """Write figures; an earlier file is replaced as a whole, or not at all.

    What is of no JSON type, such as a path, is written as text.

    Raises:
        LSCError: it cannot be written.
    """
    try:
        folders.write_json(path, figures, default=str)
    except OSError as error:
        raise LSCError(f"{path} cannot be written ({error.strerror})") from error


def check_writable(option: str, path: Path, folder: bool = False) -> None:
    """See whether there can be a file, or a folder of files, before anything is measured.

    Args:
        option: of the command line, that named the path.
        folder: the path is one, and is made where it is missing.

    Raises:
        LSCError: there cannot.
    """
    if path.is_dir() and not folder:
        raise LSCError(f"{option} {path} is a folder: name a file in it")
    where = path if folder else path.parent
    try:
        if folder:
            where.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=where):
            pass
    except OSError as error:
        raise LSCError(
            f"{option} {path} cannot be written ({first_line(error)}): choose another place"
        ) from error

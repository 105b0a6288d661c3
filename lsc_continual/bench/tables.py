"""Tables of figures, on the terminal and in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table


def show(console: Console, title: str, rows: Sequence[dict[str, Any]], section: str = "") -> None:
    """Print one line a row, with a column for every key that occurs, and "remark" at the end.

    Args:
        section: a key; a line is drawn where its value changes.
    """
    table = Table(title=title, title_justify="left")
    columns = _columns(rows)
    for column in columns:
        words = any(isinstance(row.get(column), str) for row in rows)
        table.add_column(column, justify="left" if words else "right")
    for row, following in zip(rows, [*rows[1:], {}]):
        changes = row.get(section) != following.get(section)
        table.add_row(*(text(row.get(column)) for column in columns), end_section=changes)
    console.print(table)


def markdown(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The same table as lines of Markdown."""
    columns = _columns(rows)
    return [
        f"| {' | '.join(columns)} |",
        "|" + "---|" * len(columns),
        *(f"| {' | '.join(text(row.get(column)) for column in columns)} |" for row in rows),
    ]


def _columns(rows: Sequence[dict[str, Any]]) -> list[str]:
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

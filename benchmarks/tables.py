"""Tables of figures on the terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table


def show(console: Console, title: str, rows: list[dict[str, Any]]) -> None:
    """Print one line a row, with a column for every key that occurs."""
    table = Table(title=title, title_justify="left")
    columns = list(dict.fromkeys(key for row in rows for key in row))
    for column in columns:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*(text(row.get(column, "–")) for column in columns))
    console.print(table)


def text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
    return f"{value:,}" if type(value) is int else str(value)

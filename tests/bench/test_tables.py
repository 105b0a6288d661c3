"""Tables show what was measured, and say where nothing was."""

from __future__ import annotations

from rich.console import Console

from lsc_continual.bench.tables import markdown, show, text


def test_figures_are_readable():
    assert [text(value) for value in (None, 3, 12_345, 0.5, 1234.5, "a")] == [
        "–",
        "3",
        "12,345",
        "0.50",
        "1,234",
        "a",
    ]


def test_every_key_is_a_column_and_remarks_come_last():
    console = Console(record=True, width=80, file=open("/dev/null", "w"))  # noqa: SIM115
    show(console, "title", [{"a": 1, "remark": "none"}, {"a": 2, "b": 0.5}], section="a")
    header, first, second = [
        [cell.strip() for cell in line.replace("┃", "│").split("│")[1:-1]]
        for line in console.export_text().splitlines()
        if "│" in line or "┃" in line
    ]
    assert (header, first, second) == (
        ["a", "b", "remark"],
        ["1", "–", "none"],
        ["2", "0.50", "–"],
    )


def test_markdown_has_the_same_columns():
    assert markdown([{"a": 1, "remark": "none"}, {"a": 2, "b": 0.5}]) == [
        "| a | b | remark |",
        "|---|---|---|",
        "| 1 | – | none |",
        "| 2 | 0.50 | – |",
    ]

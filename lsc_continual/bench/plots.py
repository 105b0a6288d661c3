"""Plots of rows of figures, as SVG files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # needs no display

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

Rows = Sequence[dict[str, Any]]

_PANEL = (4.2, 3.4)  # inches
_MARKERS = "osD^vP*X"


def draw_lines(
    rows: Rows,
    *,
    title: str,
    x: str,
    y: Sequence[str],
    line: str,
    panel: str | None = None,
    mark: tuple[float, str] | None = None,
) -> Figure:
    """Lines over logarithmic axes, side by side.

    Args:
        x: key of the horizontal axis.
        y: keys of the vertical axis, a column of panels each.
        line: key whose values are the lines.
        panel: key whose values are a panel each, for a single key in `y`.
        mark: height and name of a horizontal line.
    """
    found = [row[panel] for row in rows if panel is not None and row.get(panel) is not None]
    parts = list(dict.fromkeys(found)) or [None]
    panels = [(key, part) for key in y for part in parts]
    figure, axes = _panels(len(panels), title, share=len(y) == 1)
    names = list(dict.fromkeys(row[line] for row in rows))
    for place, (key, part) in zip(axes, panels):
        for number, name in enumerate(names):
            points = [
                (row[x], row[key])
                for row in rows
                if row[line] == name and row.get(key) and (panel is None or row.get(panel) == part)
            ]
            if points:
                style = f"C{number}{_MARKERS[number % len(_MARKERS)]}-"
                place.plot(*zip(*points), style, label=name, markersize=4)
        place.set(xscale="log", yscale="log", xlabel=x, ylabel=key)
        if panel is not None:
            name = part if isinstance(part, str) else f"{panel}: {part}"
            place.set_title(name, fontsize="medium")
        if mark is not None:
            place.axhline(mark[0], color="grey", linestyle="--", label=mark[1])
        place.grid(alpha=0.3)
    return _with_legend(figure, axes)


def draw_bars(rows: Rows, *, title: str, label: Sequence[str], y: Sequence[str]) -> Figure:
    """A group of bars for each row, over a logarithmic axis.

    Args:
        label: keys whose values name a row.
        y: keys whose values are the bars.
    """
    figure, axes = _panels(1, title, width=1.0 + 0.4 * len(rows))
    width = 0.8 / len(y)
    for number, key in enumerate(y):
        heights = [row.get(key) or 0 for row in rows]
        places = [place + (number - (len(y) - 1) / 2) * width for place in range(len(rows))]
        axes[0].bar(places, heights, width, label=key)
    names = ["\n".join(str(row[key]) for key in label) for row in rows]
    axes[0].set_xticks(range(len(rows)), names, fontsize="small")
    axes[0].set(yscale="log")
    axes[0].grid(axis="y", alpha=0.3)
    return _with_legend(figure, axes)


def save(figure: Figure, path: Path) -> None:
    """Write a figure; the name's ending says in which format."""
    figure.savefig(path)
    plt.close(figure)


def _panels(
    count: int, title: str, width: float = 1.0, share: bool = False
) -> tuple[Figure, list[Axes]]:
    columns = 3 if count == 3 else min(count, 2)
    lines = -(-count // columns)
    size = (_PANEL[0] * columns * width, _PANEL[1] * lines + 0.8)
    figure, grid = plt.subplots(
        lines, columns, figsize=size, squeeze=False, sharey=share, layout="constrained"
    )
    figure.suptitle(title)
    axes = list(grid.flat)
    for unused in axes[count:]:
        unused.set_axis_off()
    return figure, axes[:count]


def _with_legend(figure: Figure, axes: Sequence[Axes]) -> Figure:
    found: dict[str, Any] = {}
    for place in axes:
        for handle, name in zip(*place.get_legend_handles_labels()):
            found.setdefault(name, handle)
    figure.legend(
        found.values(), found.keys(), loc="outside lower center", ncols=3, fontsize="small"
    )
    return figure

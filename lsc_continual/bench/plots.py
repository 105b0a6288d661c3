"""Plots of rows of figures, as SVG files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lsc_continual.bench.tables import Row

_PANEL = (4.2, 3.4)  # inches
_LEGEND = 0.8  # inches below the panels
_MARKERS = "osD^vP*X"


def panels(
    columns: int, rows: int = 1, *, height: float = 3.6, sharey: bool = False
) -> tuple[Figure, list[Axes]]:
    """An empty figure as wide as a page, and its panels with a grid, row by row.

    Args:
        height: of the figure, in inches.
        sharey: whether all panels have the same vertical axis.
    """
    size = (2 * _PANEL[0], height)
    return _grid(columns * rows, columns, size, sharey)


def draw_lines(
    rows: Sequence[Row],
    *,
    title: str = "",
    x: str,
    y: Sequence[str],
    line: str,
    panel: str = "",
    mark: tuple[float, str] | None = None,
    log: str = "xy",
    marked: bool = True,
) -> Figure:
    """Lines side by side.

    Args:
        x: key of the horizontal axis.
        y: keys of the vertical axis, a column of panels each.
        line: key whose values are the lines.
        panel: key whose values are a panel each, for a single key in `y`.
        mark: height and name of a horizontal line.
        log: which axes are logarithmic.
        marked: whether points are.
    """
    parts = list(dict.fromkeys(row[panel] for row in rows if panel in row)) or [None]
    places = [(key, part) for key in y for part in parts]
    columns = 3 if len(places) == 3 else min(len(places), 2)
    size = (_PANEL[0] * columns, _PANEL[1] * -(-len(places) // columns) + _LEGEND)
    figure, axes = _grid(len(places), columns, size, len(y) == 1)
    figure.suptitle(title)
    names = list(dict.fromkeys(row[line] for row in rows))
    for place, (key, part) in zip(axes, places):
        for number, name in enumerate(names):
            points = [
                (row[x], row[key])
                for row in rows
                if row[line] == name and row.get(key) and row.get(panel) == part
            ]
            if points:
                marker = _MARKERS[number % len(_MARKERS)] if marked else ""
                place.plot(*zip(*points), f"C{number}{marker}-", label=name, markersize=4)
        place.set(xlabel=x, ylabel=key, **{f"{axis}scale": "log" for axis in log})
        if panel:
            name = part if isinstance(part, str) else f"{panel}: {part}"
            place.set_title(name, fontsize="medium")
        if mark is not None:
            place.axhline(mark[0], color="grey", linestyle="--", label=mark[1])
    return _with_legend(figure, axes)


def draw_bars(rows: Sequence[Row], *, title: str, label: Sequence[str], y: Sequence[str]) -> Figure:
    """A group of bars for each row, over a logarithmic axis.

    Args:
        label: keys whose values name a row.
        y: keys whose values are the bars.
    """
    size = (_PANEL[0] * (1.0 + 0.4 * len(rows)), _PANEL[1] + _LEGEND)
    figure, axes = _grid(1, 1, size)
    figure.suptitle(title)
    width = 0.8 / len(y)
    for number, key in enumerate(y):
        heights = [row.get(key) or 0 for row in rows]
        places = [place + (number - (len(y) - 1) / 2) * width for place in range(len(rows))]
        axes[0].bar(places, heights, width, label=key)
    names = ["\n".join(str(row[key]) for key in label) for row in rows]
    axes[0].set_xticks(range(len(rows)), names, fontsize="small")
    axes[0].set(yscale="log")
    axes[0].grid(axis="x", visible=False)
    return _with_legend(figure, axes)


def save(figure: Figure, path: Path) -> None:
    """Write a figure; the name's ending says in which format."""
    figure.savefig(path, metadata={"Date": None})  # the same figures give the same file


def _grid(
    count: int, columns: int, size: tuple[float, float], sharey: bool = False
) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=size, layout="constrained")
    lines = -(-count // columns)
    axes = list(figure.subplots(lines, columns, squeeze=False, sharey=sharey).flat)
    for place in axes[:count]:
        place.grid(alpha=0.3)
    for unused in axes[count:]:
        unused.set_axis_off()
    return figure, axes[:count]


def _with_legend(figure: Figure, axes: Sequence[Axes]) -> Figure:
    pairs = [pair for place in axes for pair in zip(*place.get_legend_handles_labels())]
    lines = {name: handle for handle, name in pairs}  # a name once
    figure.legend(lines.values(), lines, loc="outside lower center", ncols=3, fontsize="small")
    return figure

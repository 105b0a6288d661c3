"""Charts that stand in a page, drawn by matplotlib."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler

DASH = "–"
INK = "#000000"
"""Of all that is no series; in a page it becomes the colour of the text around."""

_SVG = {"svg.fonttype": "none", "svg.hashsalt": "lsc_continual", "font.sans-serif": ["DejaVu Sans"]}
STYLE: list[str | dict[str, Any]] = ["default", {"text.parse_math": False, **_SVG}]
"""For `matplotlib.style.context`, around drawing and saving: whatever the user's matplotlibrc says,
text stays text and the same figures give the same file."""

# Of the colours of Okabe and Ito ("Color Universal Design", 2008), which the colour-blind can tell
# apart, those that stand out from white paper and from black.
_COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", INK]
_DASHES = ["-", "--", "-.", ":", (0, (6, 2, 1, 2, 1, 2))]
_MARKERS = list("osD^vP*X<>hd")
SERIES = cycler(color=12 * _COLOURS, linestyle=12 * _DASHES, marker=5 * _MARKERS)
"""How lines differ: 60 of them in the pair of mark and dash, so nobody has to go by colour."""

NUMBERED = 20
"""Rows and columns of a heat map up to which its numbers fit into it."""

_WIDTH = 4.8  # inches


def line_chart(
    series: Mapping[str, Sequence[float | None]],
    xs: Sequence[int],
    *,
    x_name: str,
    limits: tuple[float, float] = (0.0, 1.0),
    spec: str = ".0%",
    log: bool = False,
    reference: float | None = None,
) -> Figure:
    """Lines over `xs`, interrupted at every `None`.

    Args:
        series: values by name; with more than one there is a legend.
        limits: the ends of the vertical axis.
        spec: format of its numbers.
        log: whether it is logarithmic.
        reference: height of a dotted line.
    """
    named = len(series) > 1
    figure = Figure(figsize=(_WIDTH, 2.6 + 0.11 * named * len(series)), layout="constrained")
    axes = figure.add_subplot(xlabel=x_name, yscale="log" if log else "linear", ylim=limits)
    axes.set_prop_cycle(SERIES)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color=INK, alpha=0.15)
    axes.yaxis.set_major_formatter(f"{{x:{spec}}}")
    ticks = sorted(set(xs))  # only where something was measured
    axes.set_xticks(ticks[:: -(-len(ticks) // 12)])
    if reference is not None:
        axes.axhline(reference, color=INK, linestyle=(0, (1, 3)))
    for name, values in series.items():
        ys = np.array(values, dtype=float)  # None becomes NaN
        # Marks of a long line would hide it; one of a single point is all there is of it.
        every = 1 if np.isnan(ys).any() else -(-len(ys) // 30)
        axes.plot(xs, ys, label=name, markersize=5, markevery=every, clip_on=False)
    if named:
        figure.legend(loc="outside lower center", ncols=2, frameon=False, handlelength=3.5)
    return figure


def heat_map(rows: Sequence[Sequence[float | None]]) -> Figure:
    """Row i, column j: accuracy after experience i on the test data of experience j, in per cent.

    Beyond `NUMBERED` experiences there are only shades.
    """
    count = max(map(len, [rows, *rows]))
    padded = [[*row, *[None] * (count - len(row))] for row in rows]
    values = np.array(padded, dtype=float)  # None becomes NaN
    numbered = count <= NUMBERED
    side = 0.32 if numbered else _WIDTH / count
    size = (max(_WIDTH, side * count + 0.6), side * len(rows) + 0.6)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot(xlabel="tested on experience", ylabel="after experience")
    axes.tick_params(length=0, top=True, labeltop=True, labelbottom=False)
    axes.xaxis.set_label_position("top")
    axes.spines[:].set_visible(False)
    deepest = "c0" if numbered else "ff"  # the ink stays legible on it, on white and on black
    shades = LinearSegmentedColormap.from_list("", [f"{_COLOURS[0]}00", f"{_COLOURS[0]}{deepest}"])
    edges = [np.arange(number + 1) + 0.5 for number in (count, len(rows))]
    axes.pcolormesh(*edges, values, cmap=shades, vmin=0, vmax=1)
    axes.invert_yaxis()
    axes.set_xticks(range(1, count + 1, -(-count // NUMBERED)))
    axes.set_yticks(range(1, len(rows) + 1, -(-len(rows) // NUMBERED)))
    for (i, j), value in np.ndenumerate(values):
        if numbered and j < len(rows[i]):
            number = DASH if np.isnan(value) else f"{100 * value:.0f}"
            axes.text(j + 1, i + 1, number, ha="center", va="center", size=9)
    return figure


def to_svg(figure: Figure, name: str, label: str) -> Markup:
    """A figure as an element of a page: as wide as there is room for, in the ink of its text.

    Args:
        name: tells its parts from those of the page's other figures.
        label: says in words what a screen reader cannot see.
    """
    file = StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    _, _, drawing = file.getvalue().partition("</defs>")  # before it is the frame of a file
    drawing = re.sub(r'\b(id="|href="#|url\(#)', rf"\g<1>{name}-", drawing)
    drawing = drawing.replace("xlink:href", "href").replace(INK, "currentColor")
    width, height = 72 * figure.get_size_inches()
    # Within these limits the text of a wide picture is no smaller than that of a narrow one.
    limits = f"min-width: {0.9 * width:.0f}px; max-width: {1.6 * width:.0f}px"
    markup = '<svg class="chart" style="{}" viewBox="0 0 {:.0f} {:.0f}" role="img" aria-label="{}">'
    return Markup(markup).format(limits, width, height, label) + Markup(drawing)

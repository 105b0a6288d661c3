"""Accuracy against classes seen, a line for each strategy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib import style
from matplotlib.figure import Figure

from lsc_continual.compare.summary import label_of
from lsc_continual.runs.charts import SERIES, STYLE

FORMATS = (".png", ".svg", ".pdf")


@style.context(STYLE)
def draw(summary: Mapping[str, Any], path: Path) -> None:
    """Write the plot; the file's name says in which format. Bands are standard deviations."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot(xlabel="classes seen", ylabel="accuracy over them, %")
    axes.set_title(summary["scenario"])
    axes.set_prop_cycle(SERIES)
    for row in (row for row in summary["rows"] if row["curve"]):
        classes = [point["classes"] for point in row["curve"]]
        means = [100 * point["mean"] for point in row["curve"]]
        spreads = [100 * (point["sd"] or 0) for point in row["curve"]]
        low = [middle - spread for middle, spread in zip(means, spreads, strict=True)]
        high = [middle + spread for middle, spread in zip(means, spreads, strict=True)]
        (line,) = axes.plot(
            classes,
            means,
            markersize=5,
            linestyle="--" if row["bound"] else "-",
            linewidth=2.5 if row["strategy"] == "lsc" else 1.4,
            label=label_of(row),
        )
        axes.fill_between(classes, low, high, color=line.get_color(), alpha=0.15, linewidth=0)
    axes.set_ylim(bottom=0, top=101)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", fontsize="small")
    figure.savefig(path, dpi=150)

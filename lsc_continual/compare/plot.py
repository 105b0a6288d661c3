"""Accuracy against classes seen, a line for each strategy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # needs no display

import matplotlib.pyplot as plt

FORMATS = (".png", ".svg", ".pdf")
_MARKERS = "osD^vP*X<>hd"


def draw(summary: Mapping[str, Any], path: Path) -> None:
    """Write the plot; the file's name says in which format. Bands are standard deviations."""
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    colours = plt.get_cmap("tab20").colors[::2] + plt.get_cmap("tab20").colors[1::2]  # type: ignore[attr-defined]
    for number, row in enumerate(row for row in summary["rows"] if row["curve"]):
        classes = [point["classes"] for point in row["curve"]]
        means = [100 * point["mean"] for point in row["curve"]]
        spreads = [100 * (point["sd"] or 0) for point in row["curve"]]
        low = [middle - spread for middle, spread in zip(means, spreads, strict=True)]
        high = [middle + spread for middle, spread in zip(means, spreads, strict=True)]
        colour = colours[number % len(colours)]
        axes.plot(
            classes,
            means,
            marker=_MARKERS[number % len(_MARKERS)],
            markersize=4,
            color=colour,
            linestyle="--" if row["bound"] else "-",
            linewidth=2.5 if row["strategy"] == "lsc" else 1.4,
            label=f"{row['strategy']} (bound)" if row["bound"] else row["strategy"],
        )
        axes.fill_between(classes, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.set(xlabel="classes seen", ylabel="accuracy over them, %", title=summary["scenario"])
    axes.set_ylim(bottom=0, top=101)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", fontsize="small")
    figure.savefig(path, dpi=150)
    plt.close(figure)

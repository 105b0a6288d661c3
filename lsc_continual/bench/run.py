"""The parts of `lsc-cl bench`, carried out: tables, a JSON file, plots."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from rich.console import Console
from threadpoolctl import threadpool_limits

from lsc_continual.bench import decode, loss, nearest, train
from lsc_continual.bench.plots import draw_bars, draw_lines, save
from lsc_continual.bench.settings import Settings, resolve
from lsc_continual.bench.tables import Row, check_writable, show, write_json
from lsc_continual.machine.environment import describe_environment


@dataclass(frozen=True)
class Table:
    """One measurement: a table, a list in the JSON file, a plot."""

    name: str
    title: str
    rows: Callable[[Settings], Iterator[Row]]
    section: str = ""
    """Key that changes where a line is drawn."""
    hidden: Sequence[str] = ()
    """Keys that are in the JSON file only."""
    plot: Callable[..., Figure] | None = None


def _draw_decoding(rows: list[Row], *, title: str) -> Figure:
    speeds = [key for key in rows[0] if key.endswith("M/s")]
    return draw_bars(rows, title=title, label=("system", "n", "format"), y=speeds)


TABLES: dict[str, tuple[Table, ...]] = {
    "decode": (
        Table(
            "decode",
            "the nearest vector of the whole system, million embeddings a second",
            decode.rows,
            plot=_draw_decoding,
        ),
        Table(
            "nearest",
            f"the nearest owned target; approximate indexes at recall {nearest.RECALL}, or their "
            "best",
            nearest.rows,
            section="classes",
            hidden=("misses measured", "effort", "queries", "disagreements", "compared"),
            plot=partial(draw_lines, x="classes", y=["queries/s"], line="way", panel="misses"),
        ),
    ),
    "loss": (
        Table(
            "loss",
            "a training step: loss and gradients of 256 embeddings",
            loss.rows,
            section="classes",
            plot=partial(draw_lines, x="classes", y=["step, ms", "memory, MiB"], line="head"),
        ),
        Table("loss by classes", "the structured softmax as classes grow", loss.rows_by_classes),
    ),
    "train": (
        Table(
            "train",
            "from image to label: encoder and prediction",
            train.rows,
            section="encoder",
            plot=train.draw,
        ),
    ),
}


def bench(
    parts: Sequence[str],
    options: Mapping[str, Any],
    json_file: Path | None,
    plots: Path | None,
    output: Console,
    progress: Console,
) -> None:
    """Measure, and show tables on `output`; what goes on is told on `progress`.

    Args:
        parts: keys of `TABLES`.
        options: of `resolve`.
        json_file: written after every row, so that nothing measured is lost.
        plots: a folder for an SVG file for each table; it is made if it is missing.

    Raises:
        LSCError: an option that cannot be, or a file that cannot be written; nothing has been
            measured then.
    """
    with progress.status("starting") as status:

        def say(text: str) -> None:
            status.update(text)
            if not progress.is_terminal:
                progress.print(text, highlight=False, markup=False)

        settings = resolve(say, **options)
        if json_file is not None:
            check_writable("--json", json_file)
        if plots is not None:
            check_writable("--plots", plots, folder=True)
        torch.set_num_threads(settings.threads)
        threadpool_limits(settings.threads)
        environment = describe_environment(settings.device)
        figures: Row = {"environment": environment | _competitors()}
        figures["settings"] = settings.describe()
        threads = "1 thread" if settings.threads == 1 else f"{settings.threads} threads"
        where = f"{environment['processor']}, {threads}, torch {environment['torch']}"
        for table in (table for part in parts for table in TABLES[part]):
            rows: list[Row] = []
            figures[table.name] = rows
            try:
                for row in table.rows(settings):
                    rows.append(row)
                    if json_file is not None:
                        write_json(json_file, figures)
            finally:  # also what there is when Ctrl-C comes
                if rows:
                    title = f"{table.title}\n{where}"
                    show(output, title, rows, section=table.section, hidden=table.hidden)
            if plots is not None and table.plot is not None:
                save(table.plot(rows, title=table.title), plots / f"{table.name}.svg")


def _competitors() -> dict[str, str]:
    """Versions of other people's libraries, of those that are installed."""
    versions = {}
    for name in ("faiss-cpu", "usearch"):
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    return versions

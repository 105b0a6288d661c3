"""The parts of `lsc-cl bench`, carried out: tables, a JSON file, plots."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from rich.console import Console
from threadpoolctl import threadpool_limits

from lsc_continual.bench import decode, loss, nearest, train
from lsc_continual.bench.settings import Request, Settings, resolve
from lsc_continual.bench.tables import show
from lsc_continual.errors import LSCError, first_line
from lsc_continual.machine.environment import describe_environment
from lsc_continual.storage.folders import write_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = dict[str, Any]


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
    plot: Callable[[list[Row], str], Figure] | None = None


def _decode_plot(rows: list[Row], title: str) -> Figure:
    from lsc_continual.bench.plots import draw_bars

    speeds = [key for key in rows[0] if key.endswith("M/s")]
    return draw_bars(rows, title=title, label=("system", "n", "format"), y=speeds)


def _nearest_plot(rows: list[Row], title: str) -> Figure:
    from lsc_continual.bench.plots import draw_lines

    return draw_lines(rows, title=title, x="classes", y=["queries/s"], line="way", panel="misses")


def _loss_plot(rows: list[Row], title: str) -> Figure:
    from lsc_continual.bench.plots import draw_lines

    return draw_lines(rows, title=title, x="classes", y=["step, ms", "memory, MiB"], line="head")


def _train_plot(rows: list[Row], title: str) -> Figure:
    from lsc_continual.bench.plots import draw_lines

    return draw_lines(
        [row for row in rows if row["prediction"] != train.OURS],
        title=title,
        x="classes",
        y=["time/ours"],
        line="prediction",
        panel="encoder",
        mark=(train.REPORTED, f"{train.REPORTED}×, reported in arXiv 2604.00779"),
    )


TABLES: dict[str, tuple[Table, ...]] = {
    "decode": (
        Table(
            "decode",
            "the nearest vector of the whole system, million embeddings a second",
            decode.rows,
            plot=_decode_plot,
        ),
        Table(
            "nearest",
            f"the nearest owned target; approximate indexes at recall {nearest.RECALL}, or their "
            "best",
            nearest.rows,
            section="classes",
            hidden=("misses measured", "effort", "queries", "disagreements", "compared"),
            plot=_nearest_plot,
        ),
    ),
    "loss": (
        Table(
            "loss",
            "a training step: loss and gradients of 256 embeddings",
            loss.rows,
            section="classes",
            plot=_loss_plot,
        ),
        Table("loss by classes", "the structured softmax as classes grow", loss.rows_by_classes),
    ),
    "train": (
        Table(
            "train",
            "from image to label: encoder and prediction",
            train.rows,
            section="encoder",
            plot=_train_plot,
        ),
    ),
}


def bench(
    parts: Sequence[str],
    request: Request,
    json_file: Path | None,
    plots: Path | None,
    output: Console,
    progress: Console,
) -> None:
    """Measure, and show tables on `output`; what goes on is told on `progress`.

    Args:
        parts: keys of `TABLES`.
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

        settings = resolve(request, say)
        if json_file is not None:
            _check_writable(json_file)
        if plots is not None:
            _make_folder(plots)
        torch.set_num_threads(settings.threads)
        threadpool_limits(settings.threads)
        environment = describe_environment(settings.device)
        figures: Row = {
            "environment": environment | _competitors(),
            "settings": settings.describe(),
        }
        threads = "1 thread" if settings.threads == 1 else f"{settings.threads} threads"
        where = f"{environment['processor']}, {threads}, torch {environment['torch']}"
        for table in (table for part in parts for table in TABLES[part]):
            rows: list[Row] = []
            figures[table.name] = rows
            try:
                for row in table.rows(settings):
                    rows.append(row)
                    if json_file is not None:
                        _write(json_file, figures)
            finally:  # also what there is when Ctrl-C comes
                if rows:
                    _present(table, rows, where, output)
            if plots is not None and table.plot is not None:
                _draw(table, rows, plots)


def _competitors() -> dict[str, str]:
    """Versions of other people's libraries, of those that are installed."""
    versions = {}
    for name in ("faiss-cpu", "usearch"):
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    return versions


def _present(table: Table, rows: list[Row], where: str, output: Console) -> None:
    shown = [{key: row[key] for key in row if key not in table.hidden} for row in rows]
    show(output, f"{table.title}\n{where}", shown, table.section)


def _draw(table: Table, rows: list[Row], folder: Path) -> None:
    from lsc_continual.bench.plots import save

    assert table.plot is not None
    save(table.plot(rows, table.title), folder / f"{table.name}.svg")


def _write(path: Path, figures: Row) -> None:
    try:
        write_file(path, (json.dumps(figures, indent=1, ensure_ascii=False) + "\n").encode())
    except OSError as error:
        raise LSCError(f"--json {path} cannot be written ({error.strerror})") from error


def _check_writable(path: Path) -> None:
    if path.is_dir():
        raise LSCError(f"--json {path} is a folder: name a file in it")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise LSCError(
            f"--json {path} cannot be written ({error.strerror}): choose another file"
        ) from error


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise LSCError(
            f"--plots {path} cannot be written ({first_line(error)}): choose another folder"
        ) from error

"""`lsc-cl compare`, carried out: runs, a table, `comparison.json` and a plot."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from lsc_continual.compare.compared import ComparedRun, Comparison
from lsc_continual.compare.plot import FORMATS, draw
from lsc_continual.compare.summary import summarize, table_of
from lsc_continual.compare.workers import Ended, carry_out
from lsc_continual.errors import LSCError
from lsc_continual.machine.terminal import say
from lsc_continual.storage.folders import write_json

COMPARISON, PLOT = "comparison.json", "comparison.png"


def compare(
    arguments: Sequence[str],
    jobs: int | None,
    plot: Path | None,
    output: Console | None,
    progress: Console,
) -> tuple[dict[str, Any], bool]:
    """Run what is not there yet; write and show the comparison.

    Args:
        arguments: as `Comparison.parse` takes them.
        jobs: runs at a time; by default one a GPU, or one for every two cores.
        plot: where the plot goes; by default into the folder of the comparison.
        output: where the table is printed; None for nowhere.
        progress: where the user is told what goes on.

    Returns:
        the content of `comparison.json`, and whether all runs finished.

    Raises:
        LSCError: something the user can mend.
    """
    if plot is not None and plot.suffix.lower() not in FORMATS:
        raise LSCError(f"--plot {plot}: its name has to end in one of {', '.join(FORMATS)}")
    if jobs is not None and jobs < 1:
        raise LSCError(f"--jobs is a positive number, not {jobs}")
    comparison = Comparison.parse(arguments)
    problems = _run_all(comparison, jobs, progress)
    summary = summarize(comparison, problems)
    plot = plot or comparison.folder / PLOT
    try:
        comparison.folder.mkdir(parents=True, exist_ok=True)
        write_json(comparison.folder / COMPARISON, summary)
        plot.parent.mkdir(parents=True, exist_ok=True)
        draw(summary, plot)
    except OSError as error:
        raise LSCError(f"{error.filename} cannot be written ({error.strerror})") from error
    if output is not None:
        output.print(table_of(summary))
        output.print(f"{comparison.folder / COMPARISON}, {plot}", markup=False, soft_wrap=True)
    return summary, not problems


def _run_all(comparison: Comparison, jobs: int | None, console: Console) -> dict[ComparedRun, str]:
    """Carry out the runs that have not finished; what went wrong, in a sentence each.

    Raises:
        LSCError: nothing went well, for one reason that the user can mend.
    """
    todo = [run for run in comparison.runs if not run.folder.finished]
    gpus = torch.cuda.device_count()
    jobs = jobs or gpus or max(1, len(os.sched_getaffinity(0)) // 2)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    done = len(comparison.runs) - len(todo)
    if done:
        say(console, f"{done} of {len(comparison.runs)} runs are there already")
    failed: list[Ended] = []
    running: list[ComparedRun] = []
    with bar:
        task = bar.add_task("", total=len(todo))
        for news in carry_out(todo, min(jobs, max(1, len(todo))), gpus):
            if isinstance(news, ComparedRun):
                running.append(news)
            else:
                running.remove(news.run)
                bar.advance(task)
                failed += [news] if news.problem else []
                say(console, f"{news.run.name}: {news.problem or _result(news.run)}")
            bar.update(task, description=", ".join(run.name for run in running))
    reasons = {ended.problem for ended in failed if ended.mendable}
    if len(failed) == len(comparison.runs) and len(reasons) == 1:
        raise LSCError(str(*reasons))
    return {ended.run: str(ended.problem) for ended in failed}


def _result(run: ComparedRun) -> str:
    final = run.folder.metrics().final
    assert final is not None
    return f"last {final.last_accuracy:.2%}, average {final.average_incremental_accuracy:.2%}"

"""What a run shows while it goes on, and at its end."""

from __future__ import annotations

import time
from typing import Any

from avalanche.core import SupervisedPlugin
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from lsc_continual.experiences.loader import batch_labels
from lsc_continual.runs.charts import DASH
from lsc_continual.runs.metrics import ExperienceMetrics, RunMetrics
from lsc_continual.runs.report import abbreviate, show
from lsc_continual.strategies.resumable import Resumable, State
from lsc_continual.strategies.stages import Stage, Staged
from lsc_continual.strategies.template import TrainingTemplate

_EVERY = 0.1  # seconds between two looks at the loss


class TrainingProgress(Staged, SupervisedPlugin, Resumable, supports_distributed=True):  # type: ignore[call-arg]
    """A live bar for each experience on a terminal; counts images and seconds everywhere."""

    stage = Stage.MEMORY  # what comes after it, calibration for example, is no training time

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]:.3f}  {task.fields[rate]:,.0f} images/s"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.experiences = 0
        """How many there will be."""
        self._task: TaskID | None = None
        self.images = 0
        """Training images, new and replayed, of the latest experience."""
        self.seconds = 0.0
        """Training time of the latest experience."""
        self._start = self._shown = time.perf_counter()

    @property
    def images_per_second(self) -> float:
        """Training images, new and replayed, of the latest experience."""
        return self.images / self.seconds if self.seconds else 0.0

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        self.images, self._start = 0, time.perf_counter()
        self._progress.start()
        self._task = self._progress.add_task(
            f"experience {strategy.clock.train_exp_counter + 1}/{self.experiences}",
            total=strategy.train_epochs * len(strategy.dataloader),
            loss=float("nan"),
            rate=0.0,
        )

    def after_training_iteration(self, strategy: Any, **kwargs: Any) -> None:
        self.images += forwarded(strategy)
        if self._progress.disable or self._task is None:
            return
        now = time.perf_counter()
        if now - self._shown > _EVERY:  # asking a GPU for the loss makes it wait
            self._shown = now
            rate = self.images / (now - self._start)
            done = strategy.clock.train_exp_iterations + 1
            self._progress.update(self._task, completed=done, loss=strategy.loss.item(), rate=rate)

    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        self.seconds = time.perf_counter() - self._start
        self.close()

    def state(self) -> State:
        if self._task is not None:
            self.seconds = time.perf_counter() - self._start
        return {"images": self.images, "seconds": self.seconds}

    def load_state(self, state: State, strategy: Any, stream: Any) -> None:
        self.take_up(state)

    def take_up(self, state: State) -> None:
        self.images, self.seconds = state["images"], state["seconds"]
        self._start = time.perf_counter() - self.seconds  # as if it had gone on without a break

    def close(self) -> None:
        """Take the bar away."""
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None
        self._progress.stop()


def forwarded(strategy: Any) -> int:
    """How many images the latest training step of a strategy forwarded, over all processes.

    Each view of an image counts by itself.
    """
    if isinstance(strategy, TrainingTemplate):
        return len(batch_labels(strategy)[0])
    output = strategy.mb_output
    views = output.shape[1] if output.ndim == 3 else 1  # SCR stacks them
    return len(output) * views + len(getattr(strategy, "mb_buffer_out", ()))  # ER-ACE's second pass


def _figures(entry: ExperienceMetrics, score: str | None) -> dict[str, str]:
    """What was measured after an experience; a dash for what was not."""
    quality = entry.novelty.get(score or "", {})
    return {
        "seen": show(entry.accuracy_seen, ".2%"),
        "old": show(entry.accuracy_old, ".2%"),
        "new": show(entry.accuracy_new, ".2%"),
        "AUROC": show(quality.get("auroc"), ".3f"),
        "alarms": show(entry.flagged.get("known"), ".1%"),
        "images/s": show(entry.images_per_second, ",.0f"),
    }


def experience_line(
    number: int, experiences: int, entry: ExperienceMetrics, score: str | None
) -> str:
    """One line on an experience that has ended; what was not measured is left out."""
    longer = {"AUROC": "novelty AUROC", "alarms": "false alarms"}
    figures = _figures(entry, score)
    speed = f"{figures.pop('images/s')} images/s"
    told = [f"{longer.get(k, k)} {figure}" for k, figure in figures.items() if figure != DASH]
    return "  ".join([f"experience {number}/{experiences}", *told, speed])


def result_table(metrics: RunMetrics) -> Table:
    """The table at the end of a run: one row an experience."""
    score = metrics.novelty_score
    by = "" if score is None else f" by {score}"
    title = f"accuracy on seen, old, new; AUROC{by} of classes to come; alarms"
    table = Table(title=title, title_justify="left", caption_justify="left")
    rows = [_figures(entry, score) for entry in metrics.experiences]
    for header in ("", "classes", *rows[0]):
        table.add_column(header, justify="left" if header == "classes" else "right")
    for number, (entry, row) in enumerate(zip(metrics.experiences, rows, strict=True), 1):
        classes = abbreviate(entry.class_names or entry.classes, most=5)
        table.add_row(str(number), escape(classes), *row.values())
    table.caption = escape(_without_novelty(metrics))
    return table


def _without_novelty(metrics: RunMetrics) -> str:
    """Which experiences have a dash in place of an AUROC, and why; empty where none has."""
    numbers: dict[str, list[str]] = {}
    for number, entry in enumerate(metrics.experiences, 1):
        if entry.novelty_missing is not None:
            numbers.setdefault(entry.novelty_missing, []).append(str(number))
    return "\n".join(f"{DASH} after {', '.join(after)}: {why}" for why, after in numbers.items())

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
        self.images, self.seconds, self._start = 0, 0.0, time.perf_counter()
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
            rate = self.images / (self.seconds + now - self._start)
            done = strategy.clock.train_exp_iterations + 1
            self._progress.update(self._task, completed=done, loss=strategy.loss.item(), rate=rate)

    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        self._count_time()
        self.close()

    def _count_time(self) -> None:
        now = time.perf_counter()
        self.seconds, self._start = self.seconds + now - self._start, now

    def state(self) -> State:
        if self._task is not None:
            self._count_time()
        return {"images": self.images, "seconds": self.seconds}

    def load_state(self, state: State, strategy: Any, stream: Any) -> None:
        self.take_up(state)

    def take_up(self, state: State) -> None:
        self.images, self.seconds = state["images"], state["seconds"]
        self._start = time.perf_counter()

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


def experience_line(
    number: int, experiences: int, entry: ExperienceMetrics, score: str | None
) -> str:
    """One line on an experience that has ended."""
    parts = [f"experience {number}/{experiences}", f"seen {entry.accuracy_seen:.2%}"]
    if entry.accuracy_old is not None:
        parts.append(f"old {entry.accuracy_old:.2%}")
    parts.append(f"new {show(entry.accuracy_new, '.2%')}")
    if quality := entry.quality(score):
        parts.append(f"novelty AUROC {quality['auroc']:.3f}")
    if entry.false_alarms is not None:
        parts.append(f"false alarms {entry.false_alarms:.1%}")
    parts.append(f"{entry.images_per_second:,.0f} images/s")
    return "  ".join(parts)


def result_table(metrics: RunMetrics) -> Table:
    """The table at the end of a run: one row an experience."""
    title = "accuracy on seen, old, new classes; AUROC of those to come; false alarms"
    table = Table(title=title, title_justify="left")
    for header in ("", "classes", "seen", "old", "new", "AUROC", "alarms", "images/s"):
        table.add_column(header, justify="left" if header == "classes" else "right")
    for number, entry in enumerate(metrics.experiences, 1):
        quality = entry.quality(metrics.novelty_score)
        table.add_row(
            str(number),
            escape(abbreviate(entry.named_classes, most=5)),
            f"{entry.accuracy_seen:.2%}",
            show(entry.accuracy_old, ".2%"),
            show(entry.accuracy_new, ".2%"),
            show(quality and quality["auroc"], ".3f"),
            show(entry.false_alarms, ".1%"),
            f"{entry.images_per_second:,.0f}",
        )
    return table

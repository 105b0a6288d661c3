"""What a run shows while it goes on, and at its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from avalanche.core import SupervisedPlugin
from rich.console import Console
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
from lsc_continual.runs.report import abbreviate
from lsc_continual.strategies.evaluation import OpenWorldResult
from lsc_continual.strategies.resumable import Resumable, State

_STAND_INS = ("mass", "maxcos")  # scores shown where the run's own needs a calibration

_EVERY = 0.1  # seconds between two looks at the loss


class TrainingProgress(SupervisedPlugin, Resumable, supports_distributed=True):  # type: ignore[call-arg]
    """A live bar for each experience on a terminal; counts images and seconds everywhere."""

    def __init__(self, console: Console, experiences: int) -> None:
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
        self.experiences = experiences
        self.count: Callable[[Any], int] = _batch_size
        """Images that a strategy's latest step forwarded."""
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
        self.images += self.count(strategy)
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
        self.images, self.seconds = state["images"], state["seconds"]

    def take_up(self, state: State) -> None:
        self.images, self.seconds, self._start = (
            state["images"],
            state["seconds"],
            time.perf_counter(),
        )

    def close(self) -> None:
        """Take the bar away."""
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None
        self._progress.stop()


def _batch_size(strategy: Any) -> int:
    return len(batch_labels(strategy)[0])


def measured_score(result: OpenWorldResult, score: str) -> str | None:
    """The run's novelty score, or another where that was not measured; None where none was."""
    return next((name for name in (score, *_STAND_INS) if name in result.novelty), None)


def headline(result: OpenWorldResult, score: str) -> dict[str, float] | None:
    """Metrics of that score."""
    name = measured_score(result, score)
    return None if name is None else result.novelty[name]


def experience_line(
    number: int, progress: TrainingProgress, result: OpenWorldResult, score: str
) -> str:
    """One line on an experience that has ended."""
    parts = [f"experience {number}/{progress.experiences}", f"seen {result.accuracy_seen:.2%}"]
    if result.accuracy_old is not None:
        parts.append(f"old {result.accuracy_old:.2%}")
    parts.append(f"new {result.accuracy_new:.2%}")
    if novelty := headline(result, score):
        parts.append(f"novelty AUROC {novelty['auroc']:.3f}")
    if "known" in result.flagged:
        parts.append(f"false alarms {result.flagged['known']:.1%}")
    parts.append(f"{progress.images_per_second:,.0f} images/s")
    return "  ".join(parts)


def result_table(metrics: dict[str, Any], results: list[OpenWorldResult], score: str) -> Table:
    """The table at the end of a run: one row an experience."""
    title = "accuracy on seen, old, new classes; AUROC of those to come; false alarms"
    table = Table(title=title, title_justify="left")
    for header in ("", "classes", "seen", "old", "new", "AUROC", "alarms", "images/s"):
        table.add_column(header, justify="left" if header == "classes" else "right")
    for index, (entry, result) in enumerate(zip(metrics["experiences"], results, strict=True)):
        novelty = headline(result, score)
        table.add_row(
            str(index + 1),
            abbreviate(entry["classes"], most=5),
            f"{result.accuracy_seen:.2%}",
            "–" if result.accuracy_old is None else f"{result.accuracy_old:.2%}",
            f"{result.accuracy_new:.2%}",
            f"{novelty['auroc']:.3f}" if novelty else "–",
            f"{result.flagged['known']:.1%}" if "known" in result.flagged else "–",
            f"{entry['images_per_second']:,.0f}",
        )
    return table

"""What is kept of a run, on disk and on the terminal."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import Any

from omegaconf import OmegaConf
from rich.console import Console
from torch.utils.tensorboard import SummaryWriter

from lsc_continual.classifier.folder import model_files
from lsc_continual.machine import distributed
from lsc_continual.machine.environment import describe_environment
from lsc_continual.runs.folder import CONFIG, REPORT, STREAM, RunFolder
from lsc_continual.runs.progress import (
    TrainingProgress,
    experience_line,
    measured_score,
    result_table,
)
from lsc_continual.runs.report import render_report
from lsc_continual.runs.trial import Trial
from lsc_continual.strategies.collapse_metrics import as_json
from lsc_continual.strategies.evaluation import OpenWorldResult
from lsc_continual.strategies.resumable import State


class Recorder:
    """Writes a run folder and tells the user, experience by experience. A context manager."""

    def __init__(self, folder: RunFolder, trial: Trial, console: Console) -> None:
        self.folder = folder
        self.trial = trial
        self.config = config = trial.config
        self.console = console
        self.metrics: dict[str, Any] = {
            "scenario": config.scenario.name,
            "strategy": config.strategy.name,
            "seed": config.seed,
            "environment": describe_environment(trial.strategy.device),
            "unreadable_files": 0,
            "novelty_score": None,
            "experiences": [],
        }
        self._results: list[OpenWorldResult] = []
        self._events: SummaryWriter | None = None
        self._start = time.perf_counter()
        self._seconds = 0.0  # of earlier sittings
        if distributed.rank() == 0:
            folder.write(CONFIG, OmegaConf.to_yaml(config))
            description = json.dumps(trial.stream.describe(), indent=1, ensure_ascii=False)
            folder.write(STREAM, description + "\n")
        self._skipped = set(trial.stream.skipped)

    def __enter__(self) -> Recorder:
        if distributed.rank() == 0:
            self._events = SummaryWriter(str(self.folder.path))
        self._start = time.perf_counter()
        return self

    def __exit__(self, *error: object) -> None:
        if self._events is not None:
            self._events.close()

    def record(self, classes: list[int], result: OpenWorldResult, skipped: set[str]) -> None:
        """Keep the figures of an experience that brought `classes`, and the model as it is now."""
        self._results.append(result)
        count, progress = len(self._results), self.trial.progress
        self.metrics["experiences"].append(
            {
                "classes": classes,
                "accuracy_seen": result.accuracy_seen,
                "accuracy_by_experience": result.accuracy_by_experience,
                **self.trial.sizes(),
                "train_seconds": progress.seconds,
                "images_per_second": progress.images_per_second,
                "novelty": result.novelty,
                "novelty_others": result.others,
                "novelty_forgotten": result.forgotten,
                "flagged": result.flagged,
                **self._collapse(),
            }
        )
        self.metrics["unreadable_files"] = len(self._skipped.union(skipped))
        self.metrics["novelty_score"] = self.metrics["novelty_score"] or measured_score(
            result, self.trial.score
        )
        self.metrics["final"] = summarize(self.metrics["experiences"])
        self.folder.write_metrics(self.metrics)
        if self.trial.spec is not None:
            files = model_files(self.trial.strategy.model, self.trial.spec, self.trial.detector)
            self.folder.write_model(files)
        self._log_events(count, result, progress)
        self._say(experience_line(count, progress, result, self.trial.score))

    def _collapse(self) -> dict[str, Any]:
        """Neural collapse after each epoch and on the test data of the classes seen, if asked."""
        measured = self.trial.collapse
        if measured is None:
            return {}
        epochs = [as_json(epoch) for epoch in measured.by_epoch]
        return {"neural_collapse": {"epochs": epochs, "seen": as_json(measured.latest)}}

    def finish(self) -> None:
        """Write the report, and show the table."""
        report = render_report(self.metrics, OmegaConf.to_yaml(self.config))
        self.folder.write(REPORT, report)
        final = self.metrics["final"]
        self.console.print(result_table(self.metrics, self._results, self.trial.score))
        self._say(
            f"last accuracy {final['last_accuracy']:.2%}, average incremental accuracy "
            f"{final['average_incremental_accuracy']:.2%}, forgetting {final['forgetting']:.2%}, "
            f"{self.seconds:.0f} s"
        )
        counts = [entry["parameters"] for entry in self.metrics["experiences"]]
        self._say(f"parameters of the network: {counts[0]:,} at first, {counts[-1]:,} at the end")
        if count := self.metrics["unreadable_files"]:
            self._say(f"{count:,} files could not be read and were left out")
        self._say(f"run folder: {self.folder.path}")

    @property
    def seconds(self) -> float:
        """Time spent on the run, over all sittings."""
        return self._seconds + time.perf_counter() - self._start

    def state(self) -> State:
        """What a resumed run takes over."""
        return {
            "experiences": list(self.metrics["experiences"]),
            "unreadable_files": self.metrics["unreadable_files"],
            "novelty_score": self.metrics["novelty_score"],
            "results": [asdict(result) for result in self._results],
            "seconds": self.seconds,
        }

    def load_state(self, state: State) -> None:
        """Take over what was recorded before."""
        self.metrics["experiences"] = list(state["experiences"])
        self._results = [OpenWorldResult(**result) for result in state["results"]]
        self._seconds = state["seconds"]
        self.metrics["unreadable_files"] = state["unreadable_files"]
        self.metrics["novelty_score"] = state["novelty_score"]
        if self._results:
            self.metrics["final"] = summarize(self.metrics["experiences"])

    def _say(self, line: str) -> None:
        self.console.print(line, soft_wrap=True, highlight=False, markup=False)

    def _log_events(
        self, experience: int, result: OpenWorldResult, progress: TrainingProgress
    ) -> None:
        """TensorBoard scalars, one point an experience."""
        assert self._events is not None
        scalars = {
            "accuracy/seen": result.accuracy_seen,
            "accuracy/new": result.accuracy_new,
            "speed/images_per_second": progress.images_per_second,
        }
        if result.accuracy_old is not None:
            scalars["accuracy/old"] = result.accuracy_old
        for name, quality in result.novelty.items():
            scalars |= {f"novelty/{name}/{key}": value for key, value in quality.items()}
        if self.trial.collapse is not None:
            seen = self.trial.collapse.latest
            scalars |= {
                f"neural_collapse/{k}": v for k, v in (seen._asdict() if seen else {}).items()
            }
        for name, share in result.flagged.items():
            scalars[f"flagged/{name.replace(' ', '_')}"] = share
        for name, value in scalars.items():
            self._events.add_scalar(name, value, experience)


def summarize(experiences: list[dict[str, Any]]) -> dict[str, float]:
    """Last and average incremental accuracy, and forgetting.

    Forgetting is the mean, over all experiences but the last, of the best accuracy reached before
    on an experience's classes less the accuracy now (Chaudhry et al., ECCV 2018).

    >>> rows = [[0.9], [0.7, 0.8]]
    >>> final = summarize([{"accuracy_seen": s, "accuracy_by_experience": r}
    ...                    for s, r in zip([0.9, 0.75], rows)])
    >>> {name: round(value, 3) for name, value in final.items()}
    {'last_accuracy': 0.75, 'average_incremental_accuracy': 0.825, 'forgetting': 0.2}
    """
    seen = [entry["accuracy_seen"] for entry in experiences]
    rows = [entry["accuracy_by_experience"] for entry in experiences]
    lost = [max(row[j] for row in rows[j:-1]) - rows[-1][j] for j in range(len(rows) - 1)]
    return {
        "last_accuracy": seen[-1],
        "average_incremental_accuracy": sum(seen) / len(seen),
        "forgetting": sum(lost) / len(lost) if lost else 0.0,
    }

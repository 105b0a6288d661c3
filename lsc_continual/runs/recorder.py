"""What is kept of a run, on disk and on the terminal."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

import msgspec
from rich.console import Console
from torch.utils.tensorboard import SummaryWriter

from lsc_continual.classifier import model_files
from lsc_continual.machine import distributed
from lsc_continual.machine.environment import describe_environment
from lsc_continual.machine.terminal import say
from lsc_continual.runs.folder import CONFIG, METRICS, REPORT, STREAM, RunFolder
from lsc_continual.runs.metrics import NONE_TO_COME, ExperienceMetrics, RunMetrics
from lsc_continual.runs.progress import TrainingProgress, experience_line, result_table
from lsc_continual.runs.report import render_report
from lsc_continual.runs.trained import TRAINED, trained_file
from lsc_continual.settings.words import to_yaml
from lsc_continual.strategies.assembly import Assembly
from lsc_continual.strategies.collapse_metrics import as_json
from lsc_continual.strategies.evaluation import OpenWorldResult
from lsc_continual.strategies.resumable import State


class Recorder:
    """Writes a run folder and tells the user, experience by experience."""

    def __init__(
        self,
        folder: RunFolder,
        assembly: Assembly,
        progress: TrainingProgress,
        console: Console,
    ) -> None:
        self.folder = folder
        self.assembly = assembly
        self.progress = progress
        self.console = console
        self._say = partial(say, console)
        settings = assembly.settings
        self.metrics = RunMetrics(
            scenario=settings.scenario.name,
            strategy=settings.strategy.name,
            seed=settings.seed,
            environment=describe_environment(assembly.strategy.device),
            novelty_score=assembly.score,
        )
        self._yaml = to_yaml(settings, comments=False)
        self._start = time.perf_counter()
        if distributed.rank() == 0:
            folder.write(CONFIG, self._yaml)
            folder.write_json(STREAM, assembly.data.describe())
            if assembly.data.trained is not None:
                folder.write_bytes(TRAINED, trained_file(assembly.data.trained))
            self._events = SummaryWriter(str(folder.path))
        self._skipped = set(assembly.data.skipped)

    def close(self) -> None:
        """End the event file."""
        if distributed.rank() == 0:
            self._events.close()

    def record(
        self,
        classes: list[int],
        result: OpenWorldResult,
        skipped: set[str],
        further: Mapping[str, bytes],
    ) -> None:
        """Keep the figures of an experience that brought `classes`, and the model as it is now.

        Args:
            further: files of the model's folder, from which it can go on by itself.
        """
        assembly, progress = self.assembly, self.progress
        entry = ExperienceMetrics(
            classes=classes,
            class_names=assembly.data.names_of(classes),
            accuracy_seen=result.accuracy_seen,
            accuracy_old=result.accuracy_old,
            accuracy_new=result.accuracy_new,
            accuracy_by_experience=result.accuracy_by_experience,
            train_seconds=progress.seconds,
            images_per_second=progress.images_per_second,
            novelty=result.novelty,
            novelty_missing=self._novelty_missing(result),
            novelty_others=result.others,
            novelty_forgotten=result.forgotten,
            flagged=result.flagged,
            neural_collapse=self._collapse(),
            **assembly.sizes(),
        )
        self.metrics.experiences.append(entry)
        self.metrics.unreadable_files = len(self._skipped.union(skipped))
        self.folder.write_json(METRICS, self.metrics.to_json())
        if assembly.spec is not None:
            files = model_files(assembly.strategy.model, assembly.spec, assembly.detector)
            self.folder.write_model({**files, **further})
        count = len(self.metrics.experiences)
        self._log_events(count, entry)
        score = self.metrics.novelty_score
        self._say(experience_line(count, len(assembly.rounds), entry, score))

    def _novelty_missing(self, result: OpenWorldResult) -> str | None:
        """Why the run's score was not measured on classes to come; None where it was."""
        if not result.novelty:
            return NONE_TO_COME
        if self.assembly.score in result.novelty:
            return None
        calibration = self.assembly.calibration
        return None if calibration is None else calibration.problem

    def _collapse(self) -> dict[str, Any] | None:
        """Neural collapse after each epoch and on the test data of the classes seen, if asked."""
        measured = self.assembly.collapse
        if measured is None:
            return None
        epochs = [as_json(epoch) for epoch in measured.by_epoch]
        return {"epochs": epochs, "seen": as_json(measured.latest)}

    def finish(self) -> None:
        """Write the report, and show the table."""
        self.folder.write(REPORT, render_report(self.metrics.to_json(), self._yaml))
        final = self.metrics.final
        assert final is not None
        self.console.print(result_table(self.metrics))
        self._say(
            f"last accuracy {final.last_accuracy:.2%}, average incremental accuracy "
            f"{final.average_incremental_accuracy:.2%}, forgetting {final.forgetting:.2%}, "
            f"{self.seconds:.0f} s"
        )
        counts = [entry.parameters for entry in self.metrics.experiences]
        self._say(f"parameters of the network: {counts[0]:,} at first, {counts[-1]:,} at the end")
        if count := self.metrics.unreadable_files:
            noun = "file" if count == 1 else "files"
            self._say(f"left out: {count:,} {noun} that could not be read")
        self._say(f"run folder: {self.folder.path}")

    @property
    def seconds(self) -> float:
        """Time spent on the run, over all sittings."""
        return time.perf_counter() - self._start

    def state(self) -> State:
        """What a resumed run takes over, or compares itself with."""
        return {
            "config": asdict(self.assembly.settings),
            "fingerprint": self.assembly.data.fingerprint,
            "contents": {name: list(of) for name, of in self.assembly.data.contents.items()},
            "environment": self.metrics.environment,
            "recorder": {
                "experiences": self.metrics.to_json()["experiences"],
                "unreadable_files": self.metrics.unreadable_files,
                "seconds": self.seconds,
            },
        }

    def load_state(self, state: State) -> None:
        """Take over what was recorded before."""
        kept = state["recorder"]
        entries = kept["experiences"]
        # Until checkpoint format 2, some figures were kept beside the experiences.
        for entry, result in zip(entries, kept.get("results", ())):
            names = self.assembly.data.names_of(entry["classes"])
            entry |= {key: result[key] for key in ("accuracy_old", "accuracy_new")}
            entry["class_names"] = names
        self.metrics.experiences = msgspec.convert(entries, list[ExperienceMetrics])
        self.metrics.unreadable_files = kept["unreadable_files"]
        self._start -= kept["seconds"]

    def _log_events(self, experience: int, entry: ExperienceMetrics) -> None:
        """TensorBoard scalars, one point an experience."""
        scalars = {
            "accuracy/seen": entry.accuracy_seen,
            "accuracy/new": entry.accuracy_new,
            "accuracy/old": entry.accuracy_old,
            "speed/images_per_second": entry.images_per_second,
        }
        for name, quality in entry.novelty.items():
            scalars |= {f"novelty/{name}/{key}": value for key, value in quality.items()}
        seen = (entry.neural_collapse or {}).get("seen") or {}
        scalars |= {f"neural_collapse/{key}": value for key, value in seen.items()}
        for name, share in entry.flagged.items():
            scalars[f"flagged/{name.replace(' ', '_')}"] = share
        for name, value in scalars.items():
            if value is not None:
                self._events.add_scalar(name, value, experience)

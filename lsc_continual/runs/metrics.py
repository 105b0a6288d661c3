"""`metrics.json`: what a run measured, as types, with reader and writer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import accumulate
from pathlib import Path
from statistics import mean
from typing import Any

import msgspec

from lsc_continual.errors import LSCError, first_line
from lsc_continual.storage.reading import read_text

_LARGEST = 2**30  # bytes of a metrics.json
Quality = dict[str, float]
"""What `novelty_metrics` says of a novelty score."""


@dataclass(frozen=True)
class ExperienceMetrics:
    """What was measured after an experience."""

    classes: list[int]
    """The labels of the classes that arrived."""
    accuracy_seen: float
    """Accuracy over the test data of all classes seen so far, no task label given."""
    accuracy_by_experience: list[float]
    """The same over the classes of each experience so far."""
    train_seconds: float
    images_per_second: float
    """Training images, new and replayed."""
    parameters: int
    """How many trained numbers the network has."""
    state_bytes: int
    """The size of the network's parameters and buffers."""
    stored_bytes: int | None = None
    """The size of images for replay and what is stored beside them; None in files of versions that
    did not measure it."""
    calibration_bytes: int | None = None
    """The size of held-out images for novelty detection; None likewise."""
    class_names: list[str] = field(default_factory=list)
    """The names of the classes that arrived; empty likewise."""
    accuracy_old: float | None = None
    """Accuracy over the classes of earlier experiences; None after the first."""
    accuracy_new: float | None = None
    """Accuracy over the classes of this experience."""
    novelty: dict[str, Quality] = field(default_factory=dict)
    """Each score against the classes still to come; empty where none is left."""
    novelty_missing: str | None = None
    """Why the score that speaks for the run is not among them; None where it is."""
    novelty_others: dict[str, dict[str, Quality]] = field(default_factory=dict)
    """Each score against other data sets, by their names."""
    novelty_forgotten: dict[str, Quality] = field(default_factory=dict)
    """Each score of inputs that were classified rightly once and are not now."""
    flagged: dict[str, float] = field(default_factory=dict)
    """Share that the calibrated detector flags: of the "known" (false alarms), of those "to come",
    of others; empty without a calibration."""
    neural_collapse: dict[str, Any] | None = None
    """After each epoch and on the test data of the classes seen; None where not asked for."""


NONE_TO_COME = "no class is left to come"


def classes_seen(arriving: Iterable[Sequence[Any]]) -> list[int]:
    """How many classes have been seen after each arrival of some.

    >>> classes_seen([[3, 7], [7, 1]])
    [2, 3]
    """
    seen = accumulate(map(set[Any], arriving), lambda known, new: known | new)
    return list(map(len, seen))


@dataclass(frozen=True)
class Final:
    """A whole run in three figures."""

    last_accuracy: float
    average_incremental_accuracy: float
    """The mean of `accuracy_seen` over experiences."""
    forgetting: float
    """The mean, over all experiences but the last, of the best accuracy reached before on an
    experience's classes less the accuracy now (Chaudhry et al., ECCV 2018)."""

    @classmethod
    def of(cls, seen: Sequence[float], rows: Sequence[Sequence[float]]) -> Final:
        """From `accuracy_seen` and `accuracy_by_experience` of all experiences.

        >>> Final.of([0.9, 0.75], [[0.9], [0.5, 0.75]])
        Final(last_accuracy=0.75, average_incremental_accuracy=0.825, forgetting=0.4)
        """
        lost = [max(row[j] for row in rows[j:-1]) - rows[-1][j] for j in range(len(rows) - 1)]
        return cls(seen[-1], sum(seen) / len(seen), sum(lost) / len(lost) if lost else 0.0)


@dataclass
class RunMetrics:
    """The content of `metrics.json`."""

    scenario: str
    strategy: str
    seed: int
    environment: dict[str, Any]
    novelty_score: str | None = None
    """The score that speaks for the run."""
    unreadable_files: int = 0
    experiences: list[ExperienceMetrics] = field(default_factory=list)

    def novelty(self) -> tuple[Quality, str | None]:
        """The run's score, as a mean over all experiences after which classes are to come.

        Returns:
            the means, and None; or none, and why: experiences without it would make others of them.
        """
        measured = []
        for number, entry in enumerate(self.experiences, 1):
            if self.novelty_score in entry.novelty:
                measured.append(entry.novelty[self.novelty_score])
            elif entry.novelty:
                why = entry.novelty_missing or f"{self.novelty_score} was not measured"
                return {}, f"experience {number}: {why}"
        if not measured:
            return {}, NONE_TO_COME
        return {key: mean(quality[key] for quality in measured) for key in measured[0]}, None

    @property
    def final(self) -> Final | None:
        """The run in three figures; None before the end of the first experience."""
        if not self.experiences:
            return None
        seen = [entry.accuracy_seen for entry in self.experiences]
        return Final.of(seen, [entry.accuracy_by_experience for entry in self.experiences])

    def to_json(self) -> dict[str, Any]:
        """In JSON types; without neural collapse where it was not measured."""
        content = asdict(self)
        for entry in content["experiences"]:
            if entry["neural_collapse"] is None:
                del entry["neural_collapse"]
        return content if self.final is None else content | {"final": asdict(self.final)}

    @classmethod
    def read(cls, path: Path) -> RunMetrics:
        """Of a file, which may be an earlier version's.

        Raises:
            LSCError: it cannot be read.
        """
        try:
            return msgspec.convert(json.loads(read_text(path, _LARGEST)), cls)
        except (OSError, ValueError, RecursionError, msgspec.ValidationError) as error:
            raise LSCError(
                f"{path} cannot be read ({first_line(error)}): put the run's own back"
            ) from error

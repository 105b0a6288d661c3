"""Closed-set and open-set figures of a trained model on labelled images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor

from lsc_continual.classifier.prediction import Prediction
from lsc_continual.errors import LSCError, inert
from lsc_continual.inputs.labelled import read_labelled
from lsc_continual.inputs.preparation import Content
from lsc_continual.inputs.trees import image_paths
from lsc_continual.novelty import novelty_metrics
from lsc_continual.streaming.classifier import BATCH_SIZE, StreamClassifier
from lsc_continual.streaming.inputs import Input
from lsc_continual.streaming.progress import StreamProgress

TrainedOn = Callable[[Sequence[tuple[Content, Tensor]]], int]
"""Images, each behind where it comes from -> how many of them were trained on."""


@dataclass(frozen=True)
class Figures:
    """What an evaluation says; None for what the images or the run do not allow to tell."""

    known: int
    """Images of classes that own a target, as far as they could be read."""
    known_classes: int
    unknown: int
    """Images of other classes."""
    unknown_classes: int
    failed: int
    """Images that could not be read."""
    trained_on: int | None
    """How many of the others the model was trained or calibrated on, which say little of new
    ones."""
    score: str
    """The novelty score that the rest is about."""
    accuracy: float | None
    """Share of known images whose class is named rightly, whether or not it is called known."""
    accuracy_by_class: dict[str, float]
    """The same of each class that was there, by name."""
    fpr: float | None
    """The false-alarm rate that the detector was set to."""
    false_alarms: float | None
    """Share of known images that are called unknown."""
    detected: float | None
    """Share of unknown images that are called unknown."""
    auroc: float | None
    fpr95: float | None
    """Share of known images flagged where 95 % of the unknown ones are (unknown positive)."""
    fpr95_known_positive: float | None
    """Share of unknown images accepted where 95 % of the known ones are."""
    oscr: float | None


def evaluate(
    classifier: StreamClassifier,
    source: Path | Iterable[tuple[str, Content]],
    console: Console,
    batch_size: int = BATCH_SIZE,
    workers: int | None = None,
    trained_on: TrainedOn | None = None,
) -> Figures:
    """Figures on labelled images; classes that own no target of the model are unknown.

    Args:
        source: a folder with a folder of images for each class; a file as `read_labelled` takes it,
            such as .npz with x_test and y_test; or images, each behind the name of its class.
        trained_on: tells which images the model was trained on.

    Raises:
        LSCError: there are no labelled images, or none of them can be read.
    """
    learned = set(classifier.class_names)
    if isinstance(source, Path):
        labelled = (
            _of_folder(source, learned)
            if source.is_dir()
            else _of_file(source, classifier.spec.kind)
        )
    else:
        labelled = list(source)
    inputs = [Input(*pair) for pair in labelled]
    classes = {name for name, _ in inputs}

    answers: list[Prediction] = []
    again = 0
    batches = classifier.stream_inputs([inputs], batch_size=batch_size, workers=workers)
    with StreamProgress(console) as progress:
        for items, predictions in batches:
            progress.add(predictions)
            answers += [answer for answer in predictions if answer.error is None]
            if trained_on is not None:
                again += trained_on(
                    [(item.content, item.image) for item in items if isinstance(item.image, Tensor)]
                )
    if not answers:
        raise LSCError(f"none of the {progress.failed:,} images can be read")

    known = np.array([answer.id in learned for answer in answers])
    named = np.array([answer.id for answer in answers])
    correct = np.array([answer.label == answer.id for answer in answers])
    alarms = np.array([answer.known is False for answer in answers])
    novelty = np.array([answer.novelty for answer in answers], dtype=np.float64)
    both = known.any() and not known.all()
    quality = novelty_metrics(novelty[known], novelty[~known], correct[known]) if both else {}
    detector = classifier.detector
    return Figures(
        known=int(known.sum()),
        known_classes=len(classes & learned),
        unknown=int((~known).sum()),
        unknown_classes=len(classes - learned),
        failed=progress.failed,
        trained_on=None if trained_on is None else again,
        score=classifier.score,
        accuracy=_share(correct[known]),
        accuracy_by_class={
            name: float(correct[named == name].mean())
            for name in sorted({answer.id for answer in answers} & learned)
        },
        fpr=None if detector is None else detector.fpr,
        false_alarms=None if detector is None else _share(alarms[known]),
        detected=None if detector is None else _share(alarms[~known]),
        auroc=quality.get("auroc"),
        fpr95=quality.get("fpr95"),
        fpr95_known_positive=quality.get("fpr95_known_positive"),
        oscr=quality.get("oscr"),
    )


def _of_folder(folder: Path, learned: set[str]) -> list[tuple[str, Content]]:
    """The images of FOLDER/CLASS/…."""
    paths = [path for path in image_paths(folder) if "/" in path]
    if not paths:
        raise LSCError(f"{folder} has no folders with images: give each class one, named after it")
    return [(_class_of(inert(path), learned), folder / path) for path in paths]


def _of_file(path: Path, kind: str) -> list[tuple[str, Content]]:
    """The images, vectors or texts of a file."""
    labelled = read_labelled(path, "test", kind)
    return list(zip(labelled.labels, labelled.data, strict=True))


def _class_of(path: str, learned: set[str]) -> str:
    """The class that a path such as "cat/1.png" or "Greek/alpha/1.png" tells.

    Args:
        learned: names of classes; unknown ones are called after the first folder.
    """
    folders = path.split("/")[:-1]
    whole = ["/".join(folders[: depth + 1]) for depth in range(len(folders))]
    return next((name for name in whole if name in learned), whole[0])


def _share(values: NDArray[np.bool_]) -> float | None:
    return float(values.mean()) if len(values) else None

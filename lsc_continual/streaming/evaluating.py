"""Closed-set and open-set figures of a trained model on labelled images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from lsc_continual.errors import LSCError, inert
from lsc_continual.inputs.trees import image_paths
from lsc_continual.novelty import novelty_metrics
from lsc_continual.streaming.classifier import BATCH_SIZE, StreamClassifier
from lsc_continual.streaming.inputs import Input
from lsc_continual.streaming.prediction import Prediction
from lsc_continual.streaming.progress import StreamProgress


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
    accuracy: float | None
    """Share of known images whose class is named rightly, whether or not it is called known."""
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


def evaluate_folder(
    classifier: StreamClassifier,
    folder: Path,
    console: Console,
    batch_size: int = BATCH_SIZE,
    workers: int | None = None,
) -> Figures:
    """Figures on FOLDER/CLASS/…; classes that own no target of the model are unknown.

    Raises:
        LSCError: no class folders with images, or none of the images can be read.
    """
    if not folder.is_dir():
        raise LSCError(f"{folder} is not a folder: pass one with a folder of images for each class")
    names = classifier.spec.class_names
    learned = {names[int(str(label))] for label in classifier.model.head.targets.labels}
    inputs = [
        Input(_class_of(inert(path), learned), folder / path)
        for path in image_paths(folder)
        if "/" in path
    ]
    if not inputs:
        raise LSCError(f"{folder} has no folders with images: give each class one, named after it")
    classes = {name for name, _ in inputs}

    answers: list[Prediction] = []
    batches = classifier.stream_inputs([inputs], batch_size=batch_size, workers=workers)
    with StreamProgress(console) as progress:
        for _, predictions in batches:
            progress.add(predictions)
            answers += [answer for answer in predictions if answer.error is None]
    if not answers:
        raise LSCError(f"none of the {progress.failed:,} images in {folder} can be read")

    known = np.array([answer.id in learned for answer in answers])
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
        accuracy=_share(correct[known]),
        fpr=None if detector is None else detector.fpr,
        false_alarms=None if detector is None else _share(alarms[known]),
        detected=None if detector is None else _share(alarms[~known]),
        auroc=quality.get("auroc"),
        fpr95=quality.get("fpr95"),
        fpr95_known_positive=quality.get("fpr95_known_positive"),
        oscr=quality.get("oscr"),
    )


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

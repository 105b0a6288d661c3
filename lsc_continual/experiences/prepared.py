"""A benchmark that is ready to be learned from, and what is known about it beforehand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from avalanche.benchmarks.utils import AvalancheDataset

from lsc_continual.experiences.classes import arriving_classes
from lsc_continual.experiences.located import integers
from lsc_continual.inputs.base import Content, Images
from lsc_continual.inputs.repeats import Repeats
from lsc_continual.inputs.trees import OF_FOLDERS, LeftOut


class PreparedBenchmark(NamedTuple):
    """Experiences, and what is known about them before training."""

    benchmark: Any
    """Avalanche's, with `train_stream` and `test_stream`."""
    input_shape: tuple[int, int, int]
    class_names: list[str]
    """The name of each class label."""
    class_order: list[str] | None
    """Their names in the order in which they arrive; None where some arrive more than once."""
    fingerprint: str
    """A digest of the data, by which a resumed run tells whether they have changed."""
    contents: Mapping[str, Content] = {}
    """Class by class, by which it can be said what has changed."""
    trained: Images | None = None
    """All images that are trained or calibrated on; None for a benchmark of the user's own."""
    in_memory: bool = False
    """Whether the images are, rather than in files."""
    skipped: tuple[str, ...] = ()
    """Files that could not be read."""
    held_out: Sequence[AvalancheDataset] = ()
    """For each experience, images of its classes that are not trained on; empty for none."""
    split: dict[str, list[str]] | None = None
    """What training and test data consist of, by path or row, of the user's own data."""
    inverted: bool = False
    """Whether the images are the negatives of their files."""
    left_out: LeftOut | None = None
    """What else was found, by class and reason."""
    repeats: Repeats = Repeats()
    """Images that are there again where they should not be."""

    @property
    def experiences(self) -> list[Any]:
        """The training stream."""
        return list(self.benchmark.train_stream)

    def names_of(self, labels: Sequence[int]) -> list[str]:
        """The names of class labels."""
        return [self.class_names[label] for label in labels]

    def images(self) -> dict[str, dict[str, Any]]:
        """By class: how many images were found, are used, and are left out for which reason."""
        parts = {
            "training": [one.dataset for one in self.benchmark.train_stream],
            "test": [one.dataset for one in self.benchmark.test_stream],
            "held_out": self.held_out,
        }
        counts = {part: self._counts(datasets) for part, datasets in parts.items()}
        described = {}
        left_out = self.left_out or {}
        labels = {name: label for label, name in enumerate(self.class_names)}
        for name in dict.fromkeys([*labels, *left_out]):
            label = labels.get(name)
            used = {part: 0 if label is None else n[label] for part, n in counts.items()}
            reasons = left_out.get(name, {})
            found = sum(used.values()) + _files(reasons)
            described[name] = {"found": found, **used, "left_out": reasons}
        return described

    def _counts(self, datasets: Sequence[Any]) -> list[int]:
        """How many samples of each class the data sets have together."""
        labels = [integers(dataset.targets).long() for dataset in datasets]
        together = torch.cat([torch.empty(0).long(), *labels])
        counts: list[int] = together.bincount(minlength=len(self.class_names)).tolist()
        return counts

    def summary(self) -> str:
        """One line on what was found, used and left out."""
        images = self.images()
        found = sum(entry["found"] for entry in images.values())
        reasons: Counter[str] = Counter()
        for entry in images.values():
            reasons.update(entry["left_out"])
        left_out = _files(reasons)
        line = f"{found:,} found, {found - left_out:,} used"
        if not reasons:
            return f"{line}, none left out"
        said = ", ".join(f"{count:,} × {reason}" for reason, count in reasons.most_common())
        classes = set(self.class_names)
        empty = [name for name in images if name not in classes]
        of = f" (of them no classes: {', '.join(empty[:5])}{', …' if len(empty) > 5 else ''})"
        return f"{line}, {left_out:,} left out: {said}{of if empty else ''}"

    def describe(self) -> dict[str, Any]:
        """Classes, experiences, images of each class and split, in JSON types."""
        pairs = zip(self.benchmark.train_stream, self.benchmark.test_stream, strict=True)
        description: dict[str, Any] = {
            "class_names": self.class_names,
            "experiences": [
                {
                    "classes": (labels := arriving_classes(train)),
                    "class_names": self.names_of(labels),
                    "training_images": len(train.dataset),
                    "test_images": len(test.dataset),
                }
                for train, test in pairs
            ],
        }
        for entry, images in zip(description["experiences"], self.held_out):
            entry["held_out_images"] = len(images)
        description["images"] = self.images()
        description["contents"] = {name: list(of) for name, of in self.contents.items()}
        if str(self.repeats):
            description["repeated_images"] = self.repeats._asdict()
        if self.split is not None:
            description["split"] = self.split
        if self.skipped:
            description["unreadable_files"] = list(self.skipped)
        return description


def _files(reasons: Mapping[str, int]) -> int:
    """How many files are left out, without the folders."""
    return sum(count for reason, count in reasons.items() if reason not in OF_FOLDERS)

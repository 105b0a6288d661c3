"""A benchmark that is ready to be learned from, and what is known about it beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from avalanche.benchmarks.utils import AvalancheDataset

from lsc_continual.experiences.classes import arriving_classes


class PreparedBenchmark(NamedTuple):
    """Experiences, and what is known about them before training."""

    benchmark: Any
    """Avalanche's, with `train_stream` and `test_stream`."""
    input_shape: tuple[int, int, int]
    class_names: list[str]
    """The name of each class label."""
    class_order: list[int] | None
    """The order in which classes arrive; None where some arrive more than once."""
    fingerprint: str
    """A digest of the data, by which a resumed run tells whether they have changed."""
    in_memory: bool = False
    """Whether the images are, rather than in files."""
    skipped: tuple[str, ...] = ()
    """Files that could not be read."""
    held_out: Sequence[AvalancheDataset] = ()
    """For each experience, images of its classes that are not trained on; empty for none."""
    split: dict[str, list[str]] | None = None
    """Where this package drew the line between training and test data."""
    inverted: bool = False
    """Whether the images are the negatives of their files."""

    @property
    def experiences(self) -> list[Any]:
        """The training stream."""
        return list(self.benchmark.train_stream)

    def names_of(self, labels: Sequence[int]) -> list[str]:
        """The names of class labels."""
        return [self.class_names[label] for label in labels]

    def describe(self) -> dict[str, Any]:
        """Classes, experiences and split, in JSON types."""
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
        if self.split is not None:
            description["split"] = self.split
        if self.skipped:
            description["unreadable_files"] = list(self.skipped)
        return description

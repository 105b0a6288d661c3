"""The stream that a configuration stands for, from packaged scenarios or the user's own code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from avalanche.benchmarks.utils import AvalancheDataset, as_classification_dataset
from omegaconf import DictConfig

from lsc_continual.errors import LSCError
from lsc_continual.experiences.classes import arriving_classes
from lsc_continual.inputs import Images, StoredImages
from lsc_continual.inputs.selection import hold_out
from lsc_continual.scenarios import (
    Source,
    class_order,
    experience_sizes,
    load_images,
    make_stream,
)
from lsc_continual.scenarios.others import load_other
from lsc_continual.scenarios.python import load_benchmark, validation
from lsc_continual.strategies.evaluation import FLAGGED


class Stream(NamedTuple):
    """Experiences, and what is known about them before training."""

    benchmark: Any
    """Of Avalanche, with `train_stream` and `test_stream`."""
    input_shape: tuple[int, int, int]
    class_names: list[str]
    class_order: list[int] | None
    """The order in which classes arrive; None where some arrive more than once."""
    fingerprint: str
    """Of the data."""
    in_memory: bool = False
    """Whether the images are, rather than in files."""
    skipped: tuple[str, ...] = ()
    """Files that could not be read."""
    held_out: Sequence[AvalancheDataset] = ()
    """Of each experience: images of its classes that are not trained on; empty for none."""
    split: dict[str, list[str]] | None = None
    """Where this package drew the line between training and test data."""
    inverted: bool = False
    """Whether the images are the negatives of their files."""

    def describe(self) -> dict[str, Any]:
        """Classes, experiences and split, in JSON types."""
        pairs = zip(self.benchmark.train_stream, self.benchmark.test_stream, strict=True)
        description: dict[str, Any] = {
            "class_names": self.class_names,
            "experiences": [
                {
                    "classes": arriving_classes(train),
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


def open_stream(config: DictConfig) -> Stream:
    """Load the data of `scenario.name` and cut them into experiences.

    Raises:
        LSCError: something the user can mend.
    """
    if config.scenario.name == "python":
        return _from_python(config)
    if config.benchmark is not None:
        raise LSCError("benchmark= is for scenario=python: set both or neither")
    data = load_images(config.scenario.name, source_of(config))
    data = data.limited(config.data.train_per_class)
    classes, scenario = len(data.class_names), config.scenario
    sizes = experience_sizes(
        classes, scenario.experiences, scenario.increment, scenario.base_classes
    )
    order = class_order(classes, scenario.class_order, config.seed)
    fingerprint = data.fingerprint()
    data, rest = hold_out(data, config.novelty.holdout, config.seed)
    benchmark = make_stream(data, order, sizes)
    return Stream(
        benchmark=benchmark,
        input_shape=data.input_shape,
        class_names=data.class_names,
        class_order=order,
        fingerprint=fingerprint,
        in_memory=isinstance(data.train, StoredImages),
        skipped=data.skipped,
        held_out=_by_experience(rest, benchmark) if len(rest) else (),
        split=data.split,
        inverted=data.inverted,
    )


def _from_python(config: DictConfig) -> Stream:
    if config.benchmark is None:
        raise LSCError(
            "scenario=python needs a function that returns a benchmark: add "
            "benchmark=module:function"
        )
    scenario, data = config.scenario, config.data
    unused = {
        "scenario.experiences": scenario.experiences,
        "scenario.increment": scenario.increment,
        "scenario.base_classes": scenario.base_classes,
        "scenario.class_order": scenario.class_order,
        "data.classes": data.classes,
        "data.train_per_class": data.train_per_class,
    }
    for key, value in unused.items():
        if value:
            raise LSCError(f"{key} does not apply to scenario=python: the benchmark decides")
    benchmark = load_benchmark(config.benchmark)
    arriving = [arriving_classes(experience) for experience in benchmark.train_stream]
    labels = [label for classes in arriving for label in classes]
    digest = hashlib.sha256()
    for _, stream in sorted(benchmark.streams.items()):
        for experience in stream:
            targets = [int(label) for label in experience.dataset.targets]
            digest.update(json.dumps(targets).encode())
    benchmark, rest = validation(benchmark, config.novelty.holdout, config.seed)
    channels, height, width = benchmark.train_stream[0].dataset[0][0].shape
    return Stream(
        benchmark=benchmark,
        input_shape=(channels, height, width),
        class_names=[str(label) for label in range(max(labels) + 1)],
        class_order=None,
        fingerprint=digest.hexdigest()[:16],
        held_out=rest,
    )


def _by_experience(images: Images, benchmark: Any) -> list[AvalancheDataset]:
    """Those of each experience's classes, as views of one data set."""
    whole, labels = as_classification_dataset(images), torch.tensor(images.targets)
    arriving = (arriving_classes(experience) for experience in benchmark.train_stream)
    rows = (torch.isin(labels, torch.tensor(classes)).nonzero()[:, 0] for classes in arriving)
    return [whole.subset(part.tolist()) for part in rows]


def load_others(
    config: DictConfig, shape: tuple[int, int, int], inverted: bool = False
) -> dict[str, AvalancheDataset]:
    """The data sets of `novelty.others`, by name (for a path, its last part).

    Args:
        shape: channels, height and width that the network takes.
        inverted: whether it takes the negatives of image files.

    Raises:
        LSCError: there is no such data set, it holds no images, or two have one name.
    """
    others: dict[str, AvalancheDataset] = {}
    for given in config.novelty.others:
        path = Path(given)
        name = path.stem if path.suffix == ".npz" else path.name
        if name in others or name in FLAGGED:
            raise LSCError(
                f"novelty.others names {given!r}, and {name!r} is taken: rename the file or folder"
            )
        images = load_other(given, source_of(config), shape, inverted)
        others[name] = as_classification_dataset(images)
    return others


def source_of(config: DictConfig) -> Source:
    """Where the configuration says that the images are."""
    data = config.data
    return Source(
        root=Path(data.root),
        download=data.download,
        resolution=data.resolution,
        classes=None if data.classes is None else tuple(data.classes),
        test_fraction=data.test_fraction,
        on_error=data.on_error,
        memory=data.memory,
        seed=config.seed,
    )

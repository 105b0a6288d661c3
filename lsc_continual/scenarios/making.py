"""Scenarios by name: their images, and their benchmarks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from avalanche.benchmarks.scenarios.deprecated.new_classes import NCScenario

from lsc_continual.errors import LSCError
from lsc_continual.inputs import ImageData
from lsc_continual.inputs.selection import keep_classes
from lsc_continual.inputs.source import Source
from lsc_continual.scenarios.class_incremental import (
    class_incremental,
    class_order,
    experience_sizes,
)
from lsc_continual.scenarios.names import SCENARIOS


def load_images(name: str, source: Source | None = None) -> ImageData:
    """The images of a scenario, checked.

    Args:
        name: one of `lsc-cl ls scenarios`.
        source: where they come from.

    Raises:
        LSCError: unknown name, missing or damaged files, labels that do not fit together.
    """
    source = source or Source()
    if name == "python":
        raise LSCError("scenario 'python' is a benchmark of your own: call your function instead")
    data = SCENARIOS.make(name, source, of=ImageData)
    return keep_classes(data, source.classes).check()


def make_benchmark(
    name: str,
    *,
    experiences: int | None = None,
    increment: int | None = None,
    base_classes: int = 0,
    order: Sequence[int] | None = None,
    seed: int = 0,
    root: str | Path = "data",
    download: bool = True,
) -> NCScenario:
    """A scenario as an Avalanche benchmark, for use with any strategy.

    Set one of `experiences` and `increment`, or neither; the rest is as in `experience_sizes`,
    `class_order` and `load_images`.

    >>> benchmark = make_benchmark("split-digits", experiences=5)
    >>> [len(e.classes_in_this_experience) for e in benchmark.train_stream]
    [2, 2, 2, 2, 2]
    """
    data = load_images(name, Source(root=Path(root), download=download))
    classes = len(data.class_names)
    sizes = experience_sizes(classes, experiences, increment, base_classes)
    return class_incremental(data, class_order(classes, order, seed), sizes)

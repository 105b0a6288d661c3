"""Scenarios by name: their images, and Avalanche benchmarks in which their classes arrive."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from avalanche.benchmarks import benchmark_from_datasets, nc_benchmark
from avalanche.benchmarks.utils import _make_taskaware_classification_dataset

from lsc_continual.errors import LSCError
from lsc_continual.inputs import ImageData
from lsc_continual.inputs.selection import keep_classes
from lsc_continual.inputs.source import Source
from lsc_continual.scenarios.names import SCENARIOS

_EXPERIENCES = 5  # where nobody says how many
_NAMED = 5  # classes that a sentence names


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
    left_out = set(data.left_out or ()) - set(data.class_names)
    wanted = source.classes and [name for name in source.classes if name not in left_out]
    if source.recorded is not None:
        wanted = list(source.recorded.class_names)
        source.recorded.require(data.class_names, source.root)
    return keep_classes(data, wanted).check()


def experience_sizes(
    classes: int, experiences: int | None = None, increment: int | None = None, base: int = 0
) -> list[int]:
    """How many classes arrive in each experience.

    Args:
        classes: all of them.
        experiences: number of experiences; sizes differ by at most one. Without `increment`, by
            default five, or as many as there can be.
        increment: classes an experience instead; the last one takes the remainder.
        base: classes of the first experience (0: as many as in the others).

    >>> experience_sizes(100, increment=5, base=50)
    [50, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5]
    >>> experience_sizes(10, experiences=3)
    [4, 3, 3]
    >>> experience_sizes(3)
    [1, 1, 1]
    """
    if experiences is not None and increment is not None:
        raise LSCError("set one of scenario.experiences and scenario.increment, not both")
    if not 0 <= base <= classes:
        raise LSCError(
            f"scenario.base_classes={base} does not fit a scenario of {classes} classes: use 0 to "
            f"{classes}"
        )
    rest, sizes = classes - base, [base] if base else []
    if increment is not None:
        if not 1 <= increment <= classes:
            raise LSCError(f"scenario.increment={increment} is not between 1 and {classes}")
        full, remainder = divmod(rest, increment)
        return sizes + [increment] * full + ([remainder] if remainder else [])
    if experiences is None:
        experiences = min(_EXPERIENCES, len(sizes) + rest)
    count = experiences - len(sizes)
    if count < (rest > 0) or count > rest:
        raise LSCError(
            f"{rest} classes cannot fill {count} experiences: use scenario.experiences from "
            f"{len(sizes) + (rest > 0)} to {len(sizes) + rest}"
        )
    return sizes + [rest // count + (i < rest % count) for i in range(count)]


def class_order(names: Sequence[str], given: Sequence[str | int] | None, seed: int) -> list[int]:
    """The labels of classes in the order in which they arrive.

    Args:
        names: of the classes, by label.
        given: these names in the order of arrival, or, where no class is called so, their numbers
            from 0; by default shuffled by the seed.

    >>> class_order(["cat", "dog", "eel"], ["eel", "cat", "dog"], seed=0)
    [2, 0, 1]
    """
    count = len(names)
    if given is None:
        return torch.randperm(count, generator=torch.Generator().manual_seed(seed)).tolist()
    wanted = [str(name) for name in given]
    labels = {name: label for label, name in enumerate(names)}
    if not labels.keys() >= set(wanted):
        labels = {str(label): label for label in range(count)} | labels
    order = [labels[name] for name in wanted if name in labels]
    often = Counter(order)
    faults = {
        "there is no": [name for name in wanted if name not in labels],
        "twice": [names[label] for label, times in often.items() if times > 1],
        "missing": [name for label, name in enumerate(names) if label not in often],
    }
    said = [f"{what} {_few(which)}" for what, which in faults.items() if which]
    if said:
        numbered = labels.keys() > set(names)
        note = " (what is no name was taken for a number)" if numbered else ""
        raise LSCError(f"scenario.class_order names each class once: {'; '.join(said)}{note}")
    return order


def with_tested(order: Sequence[int], sizes: Sequence[int], tested: set[int]) -> list[int]:
    """The order, changed so that each experience has a class with test images, as far as there are.

    The last class of an experience that has none changes places with one of an experience that has
    several.

    >>> with_tested([0, 1, 2, 3, 4, 5], [2, 2, 2], tested={2, 3, 4})
    [0, 3, 2, 1, 4, 5]
    """
    changed, ends = list(order), list(accumulate(sizes))
    ranges = [range(end - size, end) for end, size in zip(ends, sizes, strict=True)]
    for places in ranges:
        if any(changed[place] in tested for place in places):
            continue
        spare = ([place for place in other if changed[place] in tested] for other in ranges)
        place = next((several[-1] for several in spare if len(several) > 1), None)
        if place is not None:
            last = places[-1]
            changed[last], changed[place] = changed[place], changed[last]
    return changed


def _few(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:_NAMED])) + (", …" if len(names) > _NAMED else "")


def class_incremental(data: ImageData, order: Sequence[int], sizes: Sequence[int]) -> Any:
    """An Avalanche benchmark: train and test streams with `sizes[i]` new classes in experience i.

    Labels stay those of the data. There are no task labels (every sample has task 0).
    """
    if set(data.train.targets) - set(data.test.targets):  # which Avalanche's own does not take
        return _of_parts(data, order, sizes)
    return nc_benchmark(
        data.train,
        data.test,
        n_experiences=len(sizes),
        task_labels=False,
        fixed_class_order=list(order),
        per_exp_classes=dict(enumerate(sizes)),
    )


def _of_parts(data: ImageData, order: Sequence[int], sizes: Sequence[int]) -> Any:
    """The same, though some classes have no test images."""
    streams: dict[str, list[Any]] = {"train": [], "test": []}
    arrived = 0
    for size in sizes:
        classes = torch.tensor(order[arrived : arrived + size])
        arrived += size
        for name, images in (("train", data.train), ("test", data.test)):
            rows = torch.isin(torch.tensor(images.targets), classes).nonzero()[:, 0]
            part = _make_taskaware_classification_dataset(images.subset(rows), task_labels=0)
            streams[name].append(part)
    benchmark = benchmark_from_datasets(**streams)
    for stream in (benchmark.train_stream, benchmark.test_stream):
        for experience in stream:  # some of Avalanche's strategies ask for it
            experience.classes_in_this_experience = sorted(set(experience.dataset.targets))
    return benchmark


def make_benchmark(
    name: str,
    *,
    experiences: int | None = None,
    increment: int | None = None,
    base_classes: int = 0,
    order: Sequence[str | int] | None = None,
    seed: int = 0,
    root: str | Path = "data",
    download: bool = True,
) -> Any:
    """A scenario as an Avalanche benchmark, for use with any strategy.

    Set one of `experiences` and `increment`, or neither; the rest is as in `experience_sizes`,
    `class_order` and `load_images`.

    >>> benchmark = make_benchmark("split-digits", experiences=5)
    >>> [len(e.classes_in_this_experience) for e in benchmark.train_stream]
    [2, 2, 2, 2, 2]
    """
    data = load_images(name, Source(root=Path(root), download=download))
    sizes = experience_sizes(len(data.class_names), experiences, increment, base_classes)
    return class_incremental(data, class_order(data.class_names, order, seed), sizes)

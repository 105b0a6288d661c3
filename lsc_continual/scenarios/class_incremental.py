"""From labelled images to an Avalanche benchmark of arriving classes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from avalanche.benchmarks import nc_benchmark
from avalanche.benchmarks.scenarios.deprecated.new_classes import NCScenario

from lsc_continual.errors import LSCError
from lsc_continual.inputs import ImageData

_EXPERIENCES = 5  # where nobody says how many


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


def class_order(classes: int, given: Sequence[int] | None, seed: int) -> list[int]:
    """The order in which classes arrive: as given, or a shuffle by the seed."""
    if given is None:
        return torch.randperm(classes, generator=torch.Generator().manual_seed(seed)).tolist()
    order = list(given)
    if sorted(order) != list(range(classes)):
        raise LSCError(
            f"scenario.class_order has to name each class from 0 to {classes - 1} once, got {order}"
        )
    return order


def class_incremental(data: ImageData, order: Sequence[int], sizes: Sequence[int]) -> NCScenario:
    """An Avalanche benchmark: train and test streams with `sizes[i]` new classes in experience i.

    Labels stay those of the data. There are no task labels (every sample has task 0).
    """
    return nc_benchmark(
        data.train,
        data.test,
        n_experiences=len(sizes),
        task_labels=False,
        fixed_class_order=list(order),
        per_exp_classes=dict(enumerate(sizes)),
    )

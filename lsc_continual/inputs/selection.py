"""Some of the classes, and some of each class's images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lsc_continual.errors import LSCError, unknown_name
from lsc_continual.inputs import ImageData, Images
from lsc_continual.inputs.base import place_in_class
from lsc_continual.inputs.trees import LeftOut


def select_classes(names: Sequence[str], wanted: Sequence[str] | None) -> list[str]:
    """The wanted class names, in their order; all with None.

    Raises:
        LSCError: an unknown name, one that comes twice, or none.
    """
    if wanted is None:
        return list(names)
    if not wanted:
        raise LSCError("data.classes is empty: name the classes to keep, or set it to null")
    known = set(names)
    for name in wanted:
        if name not in known:
            raise unknown_name("class", name, names)
    if len(set(wanted)) < len(wanted):
        raise LSCError("data.classes names a class twice: name each once")
    return list(wanted)


def keep_classes(data: ImageData, wanted: Sequence[str] | None) -> ImageData:
    """The images of the wanted classes, which are labelled 0, 1, … in that order."""
    names = select_classes(data.class_names, wanted)
    if names == data.class_names:
        return data
    labels = {data.class_names.index(name): label for label, name in enumerate(names)}

    def part(images: Images) -> Images:
        rows = [row for row, label in enumerate(images.targets) if label in labels]
        kept = images.subset(torch.tensor(rows, dtype=torch.long))
        kept.targets = [labels[label] for label in kept.targets]
        return kept

    return data._replace(train=part(data.train), test=part(data.test), class_names=names)


def hold_out(data: ImageData, fraction: float, seed: int) -> tuple[ImageData, Images]:
    """Data without some training images of each class, and these; the only image of a class stays.

    Args:
        fraction: share of each class.
    """
    out = share_of_each(torch.tensor(data.train.targets), fraction, seed)
    kept, taken = (part.nonzero()[:, 0] for part in (~out, out))
    return data._replace(train=data.train.subset(kept)), data.train.subset(taken)


def share_of_each(labels: Tensor, fraction: float, seed: int) -> Tensor:
    """A random share of every class, one at least and never all: LongTensor[n] -> BoolTensor[n]."""
    if not fraction or not len(labels):
        return torch.zeros(len(labels), dtype=torch.bool)
    draws = torch.rand(len(labels), generator=torch.Generator().manual_seed(seed))
    order = draws.argsort()
    _, labels, counts = labels.unique(return_inverse=True, return_counts=True)
    wanted = (fraction * counts).round().long().clamp_min(1).minimum(counts - 1)
    taken = torch.zeros(len(labels), dtype=torch.bool)
    taken[order] = place_in_class(labels[order]) < wanted[labels[order]]
    return taken


def split_classes(counts: Mapping[str, int], keep_single: bool) -> tuple[list[str], LeftOut]:
    """The classes that can be split into training and test images, and those left out.

    Args:
        counts: images by class.
        keep_single: whether a class with a single image is trained on without a test image.

    Raises:
        LSCError: there would be no class, or no test image.
    """
    single = [name for name, count in counts.items() if count == 1]
    if len(single) == len(counts):
        raise LSCError(
            "every class has a single image, and training and testing need one each: add some"
        )
    if keep_single:
        return list(counts), {}
    kept = [name for name in counts if name not in set(single)]
    return kept, {name: {"the only image of its class": 1} for name in single}


def without_unreadable(data: ImageData, *, tested: bool) -> ImageData:
    """Data without the classes of which nothing to train on could be read.

    Args:
        data: in memory, with what was left out; what stays in files is not read yet.
        tested: whether something to test on is needed, too.
    """
    if not data.skipped:
        return data
    parts = {"training": set(data.train.targets)}
    if tested and len(data.test):
        parts["test"] = set(data.test.targets)
    kept, left_out = [], {}
    for label, name in enumerate(data.class_names):
        lacking = [part for part, present in parts.items() if label not in present]
        if lacking:
            rest = sum(images.targets.count(label) for images in (data.train, data.test))
            reason = f"no {lacking[0]} image of its class can be read"
            left_out[name] = {reason: rest} if rest else {}
        else:
            kept.append(name)
    return keep_classes(data.without(left_out), kept) if left_out else data


def held_out(count: int, fraction: float, seed: int) -> NDArray[np.bool_]:
    """Which of a class's `count` images are for testing: `fraction` of them, at least one.

    A single image is for training. This depends on nothing else, so further classes leave a class's
    split as it is. The generator is numpy's frozen one, which gives the same numbers in every
    version.
    """
    wanted = min(max(round(fraction * count), 1), count - 1)
    mask: NDArray[np.bool_] = np.random.RandomState(seed).permutation(count) < wanted
    return mask


def held_out_of_each(
    labels: NDArray[Any], classes: int, fraction: float, seed: int
) -> NDArray[np.bool_]:
    """`held_out` of the rows of each class: labels [N] -> bool [N]."""
    out = np.zeros(len(labels), dtype=bool)
    for label in range(classes):
        rows = np.flatnonzero(labels == label)
        out[rows] = held_out(len(rows), fraction, seed)
    return out

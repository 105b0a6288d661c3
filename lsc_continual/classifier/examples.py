"""From what people give to what an encoder says of it."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lsc_continual.errors import LSCError, inert
from lsc_continual.inputs.pixels import pixel_digests
from lsc_continual.inputs.preparation import Content, Preparation
from lsc_continual.inputs.stored import as_unit_range
from lsc_continual.learners.sketch import mixed

_BATCH = 64
_LONGEST = 1e9  # length of an embedding; beyond, sums of squares lose what is small

Data = Tensor | NDArray[Any] | Sequence[Any]
"""Inputs of a model's kind: vectors [count, width], images [count, …], paths of images, or
texts."""


class Embedded(NamedTuple):
    """Examples that could be read."""

    names: list[str]
    embeddings: Tensor
    """FloatTensor[count, width]: what the encoder says."""
    digests: NDArray[np.uint64]
    """Of content and name."""
    skipped: list[str]
    """What was wrong with the others."""


@torch.no_grad()
def embedded(
    encoder: nn.Module,
    prepare: Preparation,
    data: Data,
    names: Sequence[str],
    *,
    skip: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Embedded:
    """What an encoder says of examples.

    Args:
        encoder: in evaluation mode.
        prepare: an input's content -> an image of the encoder's.
        names: the class of each example.
        skip: whether those that cannot be read are left out.
        progress: is told how many are done.

    Raises:
        LSCError: some example, without `skip`, or all of them cannot be read, or an embedding is
            not finite.
    """
    kept: list[str] = []
    skipped: list[str] = []
    embeddings: list[Tensor] = []
    digests: list[NDArray[np.uint64]] = []

    def leave_out(number: int, why: str) -> None:
        if not skip:
            raise LSCError(f"example {number}: {why}")
        skipped.append(f"example {number}: {why}")

    for start in range(0, len(data), _BATCH):
        images, numbers = [], []
        for number, given in enumerate(data[start : start + _BATCH], start):
            item = prepared(prepare, prepare.content(given))
            if isinstance(item, Tensor):
                images.append(item)
                numbers.append(number)
            else:
                leave_out(number, str(item))
        for batch in stacked(images):
            found = encoder(as_unit_range(batch)).flatten(1).float()
            fine = found.norm(dim=1) < _LONGEST
            for number, is_fine in zip(numbers, fine.tolist(), strict=True):
                if is_fine:
                    kept.append(names[number])
                else:
                    leave_out(number, f"its numbers are none or beyond {_LONGEST:g}: scale them")
            digests.append(pixel_digests(batch[fine]))
            embeddings.append(found[fine])
        if progress is not None:
            progress(min(start + _BATCH, len(data)))
    if not kept:
        raise LSCError(f"none of the {len(names):,} examples can be read ({skipped[0]})")
    of_names = {name: _digest(name) for name in dict.fromkeys(kept)}
    named = np.array([of_names[name] for name in kept], np.uint64)
    return Embedded(kept, torch.cat(embeddings), mixed(np.concatenate(digests) ^ named), skipped)


class Readable(NamedTuple):
    """Examples that could be read."""

    images: Tensor
    """[count, *shape], uint8 or floats."""
    names: list[str]
    skipped: list[str]
    """What was wrong with the others."""


def readable(
    prepare: Preparation, data: Data, names: Sequence[str], *, skip: bool = False
) -> Readable:
    """All examples as a network takes them; arguments and errors as of `embedded`."""
    items = [prepared(prepare, prepare.content(given)) for given in data]
    images = [item for item in items if isinstance(item, Tensor)]
    faults = [f"example {i}: {item}" for i, item in enumerate(items) if isinstance(item, LSCError)]
    if faults and not (skip and images):
        raise LSCError(faults[0])
    kept = [name for name, item in zip(names, items, strict=True) if isinstance(item, Tensor)]
    (batch,) = stacked(images, len(images))
    return Readable(batch, kept, faults)


def prepared(prepare: Preparation, content: Content) -> Tensor | LSCError:
    """An input as a network takes it, or what is wrong with it."""
    try:
        return prepare(content)
    except LSCError as error:
        return LSCError(str(error))  # that one's frames hold what was read


def stacked(images: Sequence[Tensor], size: int = _BATCH) -> Iterator[Tensor]:
    """Batches of images of one type."""
    if len({image.dtype for image in images}) > 1:
        images = [as_unit_range(image) for image in images]
    for start in range(0, len(images), size):
        yield torch.stack(list(images[start : start + size]))


def checked_names(data: Data, labels: Iterable[str]) -> list[str]:
    """A class name for each example, in one form.

    Raises:
        LSCError: there are more or fewer, or none, or they are no text.
    """
    names = [normal_name(label) for label in labels]
    if len(names) != len(data):
        raise LSCError(
            f"there are {len(data):,} examples and {len(names):,} labels: give one for each"
        )
    if not names:
        raise LSCError("there are no examples: give one or more")
    return names


def normal_name(name: object) -> str:
    """A name in one form, whatever keyboard it came from.

    Raises:
        LSCError: it is no text, or empty.
    """
    if isinstance(name, np.generic | Tensor):
        name = name.item()
    if not isinstance(name, str):
        raise LSCError(f"classes are called by text, not by {name!r}: give names")
    normal = inert(unicodedata.normalize("NFC", name).strip())
    if not normal:
        raise LSCError("a class has no name: give it one")
    return normal


def _digest(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest())

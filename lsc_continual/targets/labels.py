"""The labels of classes in order of arrival: label → ordinal and ordinal → label."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from numbers import Number
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lsc_continual.errors import LSCError
from lsc_continual.targets.table import (
    Integers,
    Interval,
    all_of,
    intervals,
    joined,
    numbered,
    of_intervals,
)

AnyLabels = Iterable[Hashable] | Tensor | NDArray[Any]
"""Labels one by one; a tensor or an array of labels means the numbers in it."""

_SAVED = 2**16  # intervals of integers that are saved as lists; more of them as tensors
_INTEGERS = {torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64}
_SCALARS = (np.generic, Tensor)
_NONE = Interval()
_CHUNK = 2**16  # integers turned into Python objects at a time
_JSON_SCALARS = (str, int, float, bool, type(None))


def plain(labels: AnyLabels) -> Tensor | list[Hashable]:
    """Labels as LongTensor[count] where all are integers of 64 bits, else as a list.

    Raises:
        LSCError: they are no labels one by one, or some cannot be a key.
    """
    if isinstance(labels, str | bytes) or not isinstance(labels, Iterable):
        raise LSCError(f"labels come one by one, as a list or a tensor, and not as {labels!r}")
    if isinstance(labels, Tensor):
        labels = labels.detach().cpu().numpy()
    elif isinstance(labels, range) and _fits(labels.start, labels.stop, labels.step):
        labels = np.arange(labels.start, labels.stop, labels.step)
    if isinstance(labels, np.ndarray):
        if labels.dtype.kind in "iu" and labels.dtype != np.uint64:
            return torch.from_numpy(labels.reshape(-1).astype(np.int64))
        labels = labels.reshape(-1).tolist()
    listed = list(labels)
    if unhashable := [label for label in listed if not isinstance(label, Hashable)]:
        raise LSCError(f"{unhashable[0]!r} cannot be a label: use text or numbers")
    if not set(map(type, listed)) <= {int, str}:
        listed = [scalar(label) for label in listed]
    if set(map(type, listed)) <= {int}:
        with suppress(OverflowError):
            return torch.from_numpy(np.array(listed, dtype=np.int64))
    return listed


def scalar(label: Any) -> Hashable:
    """The number in a tensor of one or a numpy scalar, which may hash by identity."""
    return label.item() if isinstance(label, _SCALARS) else label


def _whole(label: Hashable) -> int | None:
    """The integer of 64 bits that a label equals as a key (True is 1, 1.0 is 1), if any."""
    if not isinstance(label, Number):
        return None
    try:
        whole = int(label)  # type: ignore[call-overload]
    except (TypeError, ValueError, OverflowError):  # complex, not a number, infinite
        return None
    return whole if whole == label and _fits(whole) else None


def _fits(*integers: int) -> bool:
    return min(integers) >= -(2**63) and max(integers) < 2**63


class Labels(Sequence[Hashable]):
    """Different labels in order of arrival, any hashables. Append-only.

    Consecutive integers such as `range(10**7)` take a few bytes together, other integers 16 bytes
    each. A label of another kind, what comes with it and what comes after it cost what a list and
    a dictionary do. Labels are different as keys of a dictionary are: True and 1.0 are the label 1.

    >>> labels = Labels.of(range(10_000_000))
    >>> labels.extend(Labels.of([3, "cat", 7, 3]).without(labels))
    >>> len(labels), labels[-2:], labels.ordinal("cat")
    (10000001, [9999999, 'cat'], 10000000)
    """

    def __init__(self, integers: Integers = _NONE) -> None:
        self._integers = integers
        self._others: list[Hashable] = []  # labels behind the integers
        self._ordinals: dict[Hashable, int] = {}  # of the others

    @classmethod
    def of(cls, labels: AnyLabels) -> Labels:
        """Each label once, in the order given. No loop in Python where all are integers."""
        if isinstance(labels, Labels):
            return labels
        if isinstance(labels, range) and labels.step == 1 and _fits(labels.start, labels.stop):
            return cls(Interval(labels.start, len(labels)))
        values = plain(labels)
        if not isinstance(values, Tensor):
            values = plain(dict.fromkeys(values))  # 1 and True are 1
        if isinstance(values, Tensor):
            return cls(numbered(values))
        mixed = cls()
        mixed._append(values)
        return mixed

    def __len__(self) -> int:
        return len(self._integers) + len(self._others)

    @overload
    def __getitem__(self, index: int) -> Hashable: ...
    @overload
    def __getitem__(self, index: slice) -> list[Hashable]: ...
    def __getitem__(self, index: int | slice) -> Hashable | list[Hashable]:
        ordinals = range(len(self))[index]
        if isinstance(ordinals, range):
            return [self[ordinal] for ordinal in ordinals]
        place = ordinals - len(self._integers)
        if place >= 0:
            return self._others[place]
        return int(self._integers.integer(torch.tensor(ordinals)))

    def __iter__(self) -> Iterator[Hashable]:
        for ordinals in torch.arange(len(self._integers)).split(_CHUNK):
            yield from self._integers.integer(ordinals).tolist()
        yield from self._others

    def __contains__(self, label: object) -> bool:
        return isinstance(label, Hashable) and self.ordinal(label) >= 0

    def __eq__(self, other: object) -> bool:
        """Whether a list or another map holds equal labels in the same order."""
        if not isinstance(other, list | Labels):
            return NotImplemented
        return len(self) == len(other) and all(a is b or a == b for a, b in zip(self, other))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(list(self))

    @property
    def are_integers(self) -> bool:
        """Whether all of them are."""
        return not self._others

    @property
    def extremes(self) -> tuple[int, int]:
        """The least and the greatest of at least one label; LSCError if not all are integers."""
        return self._only_integers().extremes

    def ordinal(self, label: Hashable) -> int:
        """Ordinal of a label, −1 for one that is not there."""
        label = scalar(label)
        ordinal = self._ordinals.get(label, -1)
        if ordinal >= 0 or (whole := _whole(label)) is None:
            return ordinal
        return int(self._integers.number(torch.tensor(whole)))

    def ordinals(self, labels: Tensor | AnyLabels) -> Tensor:
        """See `Targets.ordinals`. No loop in Python where all labels are integers."""
        if isinstance(labels, Tensor):
            if labels.dtype not in _INTEGERS:
                raise LSCError(f"labels in a tensor are integers, not {labels.dtype}")
            return self._only_integers().on(labels.device).number(labels.long())
        values = plain(labels)
        if isinstance(values, Tensor):
            found = self._integers.number(values)
            if self._others:
                others = [self._ordinals.get(label, -1) for label in values.tolist()]
                found = torch.maximum(found, torch.tensor(others, dtype=torch.int64))
            return found
        return torch.tensor([self.ordinal(label) for label in values], dtype=torch.int64)

    def at(self, ordinals: Tensor) -> Tensor:
        """See `Targets.labels_of`."""
        return self._only_integers().on(ordinals.device).integer(ordinals)

    def _only_integers(self) -> Integers:
        if self._others:
            raise LSCError(
                "a tensor of labels needs classes named by integers: pass a list of labels, or "
                "name the classes by integers"
            )
        return self._integers

    def without(self, known: Labels) -> Labels:
        """Those labels that are not in `known`, in their order."""
        if not len(self) or not len(known):
            return self
        if self._others or known._others:
            found = known.ordinals(list(self)).tolist()
            return Labels.of([label for label, ordinal in zip(self, found) if ordinal < 0])
        (least, greatest), (lowest, highest) = self.extremes, known.extremes
        if greatest < lowest or highest < least:
            return self
        values = all_of(self._integers)
        return Labels(numbered(values[known._integers.number(values) < 0]))

    def extend(self, new: Labels) -> None:
        """Append labels, none of which is here yet."""
        if self._others:
            self._append(new)
        else:
            self._integers = joined(self._integers, new._integers)
            self._append(new._others)

    def _append(self, labels: Iterable[Hashable]) -> None:
        for label in labels:
            self._ordinals[label] = len(self)
            self._others.append(label)

    def state(self) -> list[Hashable] | dict[str, Any]:
        """What `restored` needs: JSON types, and tensors where those would be long lists.

        Raises:
            LSCError: a label is not a string, number, boolean or None.
        """
        for label in self._others:
            if not isinstance(label, _JSON_SCALARS):
                raise LSCError(f"class {label!r} cannot be saved: name classes by text or numbers")
        if self._others or not len(self):
            return list(self)
        starts, lengths = intervals(self._integers)
        if len(starts) > _SAVED:
            return {"starts": starts, "lengths": lengths}
        return {"starts": starts.tolist(), "lengths": lengths.tolist()}

    @classmethod
    def restored(
        cls, state: Sequence[Hashable] | Mapping[str, Any], count: int | None = None
    ) -> Labels:
        """The inverse of `state`; LSCError if it is damaged.

        Args:
            count: how many there have to be, before memory is taken for them.
        """
        if not isinstance(state, Mapping):
            labels = cls.of(state)
            if len(labels) != len(state):
                raise LSCError("a saved target map names a class twice: it is damaged")
            return labels
        starts, lengths = (torch.as_tensor(state[name]).long() for name in ("starts", "lengths"))
        if count is not None and (lengths < 0).any() | (lengths.double().sum() != count):
            raise LSCError(f"a saved target map has other than {count:,} labels: it is damaged")
        return cls(of_intervals(starts, lengths))


def called(labels: Iterable[Any], names: Sequence[str]) -> list[str]:
    """What labels are called: by names, if there are any, of which they are the numbers."""
    return [str(names[label]) if names else str(label) for label in labels]

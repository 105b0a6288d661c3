"""The labels of classes in order of arrival: label → ordinal and ordinal → label."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from numbers import Number
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lsc_continual.errors import LSCError
from lsc_continual.targets.runs import HIGHEST, LOWEST, Runs

AnyLabels = Iterable[Hashable] | Tensor | NDArray[Any]
"""Labels one by one; a tensor or an array of labels means the numbers in it."""

_SAVED = 2**16  # numbers that are saved as a list; more of them as a tensor
_INTEGERS = {torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64}
_NONE = Runs.of_range(0, 0)
_CHUNK = 2**16  # integers turned into Python objects at a time
_JSON_SCALARS = (str, int, float, bool, type(None))


def plain(labels: AnyLabels) -> Tensor | list[Hashable]:
    """Labels as LongTensor[count] where all are integers that `Runs` can hold, else as a list."""
    if isinstance(labels, Tensor):
        labels = labels.detach().cpu().numpy() if labels.dtype in _INTEGERS else labels.tolist()
    if isinstance(labels, np.ndarray) and labels.dtype.kind not in "iu":
        labels = labels.tolist()
    try:
        if isinstance(labels, np.ndarray):
            values = labels.reshape(-1)
        elif isinstance(labels, range):
            values = np.arange(labels.start, labels.stop, labels.step, dtype=np.int64)
        else:
            labels = [label.item() if isinstance(label, np.generic) else label for label in labels]
            if not all(type(label) is int for label in labels):
                return labels
            values = np.array(labels, dtype=np.int64)
    except OverflowError:
        return list(labels)
    if len(values) and not _fits(values.min(), values.max()):
        return list(values.tolist())
    return torch.from_numpy(values.astype(np.int64))


def _whole(label: object) -> int | None:
    """The integer that a label equals as a key (True is 1, 1.0 is 1), if `Runs` can hold it."""
    if not isinstance(label, Number):
        return None
    try:
        whole = int(label)  # type: ignore[call-overload]
    except (TypeError, ValueError, OverflowError):  # complex, not a number, infinite
        return None
    return whole if whole == label and _fits(whole) else None


def _fits(*integers: int) -> bool:
    return min(integers) >= LOWEST and max(integers) <= HIGHEST


class Labels(Sequence[Hashable]):
    """Different labels in order of arrival, any hashables. Append-only.

    Integers are kept as runs of consecutive ones: those of `range(10**7)` together take a few
    bytes, scattered ones 24 bytes each. Everything else is kept in a list and a dictionary.
    Labels are different as keys of a dictionary are: True and 1.0 are the label 1.

    >>> labels = Labels.of(range(10_000_000))
    >>> labels.extend(Labels.of([3, "cat", 7, 3]).without(labels))
    >>> len(labels), labels[-2:], labels.ordinal("cat")
    (10000001, [9999999, 'cat'], 10000000)
    """

    def __init__(self, integers: Runs = _NONE) -> None:
        self._integers = integers
        self._others: list[Hashable] = []
        self._places: list[int] = []  # ordinal of each of the others, ascending
        self._ordinals: dict[Hashable, int] = {}  # of the others
        self._alike = _NONE  # integers that some of the others equal

    @classmethod
    def of(cls, labels: AnyLabels) -> Labels:
        """Each label once, in the order given. No loop in Python where all are integers."""
        if isinstance(labels, Labels):
            return labels
        if isinstance(labels, range) and labels.step == 1 and _fits(labels.start, labels.stop):
            return cls(Runs.of_range(labels.start, labels.stop))
        values = plain(labels)
        if isinstance(values, Tensor):
            return cls(Runs.of(values))
        different = cls()
        integers: list[int] = []
        alike: list[int] = []
        for place, label in enumerate(dict.fromkeys(values)):
            whole = _whole(label)
            if type(label) is int and whole is not None:
                integers.append(whole)
                continue
            different._others.append(label)
            different._places.append(place)
            different._ordinals[label] = place
            if whole is not None:
                alike.append(whole)
        different._integers = Runs.of(torch.tensor(integers, dtype=torch.int64))
        different._alike = Runs.of(torch.tensor(alike, dtype=torch.int64))
        return different

    def __len__(self) -> int:
        return len(self._integers) + len(self._others)

    @overload
    def __getitem__(self, index: int) -> Hashable: ...
    @overload
    def __getitem__(self, index: slice) -> list[Hashable]: ...
    def __getitem__(self, index: int | slice) -> Hashable | list[Hashable]:
        ordinals = range(len(self))[index]
        if isinstance(ordinals, int):
            return self._label(ordinals)
        if self._others:
            return [self._label(ordinal) for ordinal in ordinals]
        places = torch.arange(len(ordinals)) * ordinals.step + ordinals.start
        return list(self._integers.values(places).tolist())

    def _label(self, ordinal: int) -> Hashable:
        before = bisect_left(self._places, ordinal)
        if before < len(self._places) and self._places[before] == ordinal:
            return self._others[before]
        return self._integers.value(ordinal - before)

    def __iter__(self) -> Iterator[Hashable]:
        begin = 0
        for before, (ordinal, label) in enumerate(zip(self._places, self._others)):
            yield from self._integers_between(begin, ordinal - before)
            yield label
            begin = ordinal - before
        yield from self._integers_between(begin, len(self._integers))

    def _integers_between(self, begin: int, end: int) -> Iterator[int]:
        for start in range(begin, end, _CHUNK):
            yield from self._integers.values(torch.arange(start, min(end, start + _CHUNK))).tolist()

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
    def extremes(self) -> tuple[int, int]:
        """The least and the greatest of at least one label.

        Raises:
            LSCError: some label is not an integer.
        """
        return self._only_integers().extremes

    def ordinal(self, label: Hashable) -> int:
        """Ordinal of a label, −1 for one that is not there."""
        ordinal = self._ordinals.get(label)
        if ordinal is not None:
            return ordinal
        whole = _whole(label)
        place = -1 if whole is None else self._integers.place(whole)
        if place < 0 or not self._others:
            return place
        # Before the other label number i arrived, _places[i] − i integers had.
        numbers = range(len(self._places))
        return place + bisect_right(numbers, place, key=lambda i: self._places[i] - i)

    def ordinals(self, labels: Tensor | AnyLabels) -> Tensor:
        """Ordinal of each label, −1 for a label that is not there.

        An integer tensor LongTensor[...] is looked up on its device, any other sequence of
        integers at once where all labels here are integers, else one by one: LongTensor[count].

        Raises:
            LSCError: a tensor, and not of integers or some label here is not an integer.
        """
        if isinstance(labels, Tensor):
            if labels.dtype not in _INTEGERS:
                raise LSCError(f"labels in a tensor are integers, not {labels.dtype}")
            return self._only_integers().places(labels.long())
        values = plain(labels)
        if isinstance(values, Tensor) and not self._others:
            return self._integers.places(values)
        return torch.tensor([self.ordinal(label) for label in values], dtype=torch.int64)

    def at(self, ordinals: Tensor) -> Tensor:
        """Integer labels of ordinals, which must be there, on their device.

        LongTensor[...] -> LongTensor[...].

        Raises:
            LSCError: some label is not an integer.
        """
        return self._only_integers().values(ordinals)

    def _only_integers(self) -> Runs:
        if self._others:
            raise LSCError(
                "a tensor of labels needs classes named by integers: pass a list of labels, or "
                "name the classes by integers"
            )
        return self._integers

    def without(self, known: Labels) -> Labels:
        """Those labels that are not in `known`, in their order."""
        if self._others:
            new = [label for label in self if known.ordinal(label) < 0]
            return self if len(new) == len(self) else Labels.of(new)
        return Labels(self._integers.without(known._integers).without(known._alike))

    def extend(self, new: Labels) -> None:
        """Append labels, none of which is here yet."""
        count = len(self)
        for place, label in zip(new._places, new._others):
            self._ordinals[label] = count + place
            self._places.append(count + place)
            self._others.append(label)
        self._integers = self._integers.extended(new._integers)
        self._alike = self._alike.extended(new._alike)

    def state(self) -> list[Hashable] | dict[str, Any]:
        """What `restored` needs: JSON types, and tensors for more than 65,536 runs of integers.

        Raises:
            LSCError: a label is not a string, number, boolean or None.
        """
        for label in self._others:
            if not isinstance(label, _JSON_SCALARS):
                raise LSCError(f"class {label!r} cannot be saved: name classes by text or numbers")
        starts, lengths = self._integers.starts, self._integers.lengths
        if self._others or (2 * len(starts) >= len(self) and len(self) <= _SAVED):
            return list(self)
        if len(starts) > _SAVED:
            return {"starts": starts, "lengths": lengths}
        return {"starts": starts.tolist(), "lengths": lengths.tolist()}

    @classmethod
    def restored(cls, state: Sequence[Hashable] | Mapping[str, Any]) -> Labels:
        """The inverse of `state`.

        Raises:
            LSCError: it is damaged.
        """
        if not isinstance(state, Mapping):
            labels = cls.of(state)
            if len(labels) != len(state):
                raise LSCError("a saved target map names a class twice: it is damaged")
            return labels
        parts = (torch.as_tensor(state[name], dtype=torch.int64) for name in ("starts", "lengths"))
        return cls(Runs.restored(*parts))

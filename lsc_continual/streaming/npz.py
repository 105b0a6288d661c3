"""Images of an .npz file, read row by row: the file may be larger than memory."""

from __future__ import annotations

import zipfile
from collections.abc import Collection, Iterator
from contextlib import suppress
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsc_continual.errors import LSCError, first_line
from lsc_continual.inputs.npz import DAMAGE, headers, read_arrays, read_header
from lsc_continual.streaming.inputs import Input, Stop, never

NAMES = ("x", "x_test", "x_train")  # the first that is there counts, or the only array
_ROWS, _BYTES = 64, 2**22  # read at a time, at most
_WHOLE = 2**28  # bytes of an array that is read as a whole
_NAMED = 10_000  # images that a damaged file has said of each that it cannot be read

Rows = NDArray[Any]


class NpzImages:
    """The images of an .npz file, without loading them.

    Args:
        path: of the file; `x`, `x_test` or `x_train` in it, or its only array, holds the images.

    Raises:
        LSCError: no such file, another format, or no such array.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        arrays = headers(path)
        self._name = self._choose(arrays)
        self.shape, self._by_columns, self._dtype = arrays[self._name]
        if self._by_columns and arrays[self._name].bytes > _WHOLE:
            raise LSCError(
                f"{self._name} in {path} is in Fortran's order, in which {len(self):,} images are "
                "not in one piece: write numpy.ascontiguousarray of it"
            )
        if self.shape and not self.shape[0]:
            raise LSCError(f"{self._name} in {path} holds no images: pass another")
        if len(self.shape) < 2:
            raise LSCError(
                f"{self._name} in {path} has shape {self.shape}, which is not that of images: "
                "call the array with the images x"
            )

    def __len__(self) -> int:
        return self.shape[0]

    def inputs(self, prefix: str | None = None, stop: Stop = never) -> Iterator[list[Input]]:
        """The images, called by their index, or "prefix[index]".

        Rows that cannot be read any more are named too, each with the reason.
        """

        def called(row: int) -> int | str:
            return row if prefix is None else f"{prefix}[{row}]"

        done = 0
        try:
            whole = self._holds_whole_numbers(stop)
            for rows in self._rows():
                if stop():
                    return
                yield [
                    Input(called(index), _as_bytes(row) if whole else row)
                    for index, row in enumerate(rows, done)
                ]
                done += len(rows)
        except DAMAGE as error:
            why = f"{self.path} is damaged from here on ({first_line(error)})"
            damage, end = LSCError(why), min(len(self), done + _NAMED)
            for start in range(done, end, _ROWS):
                if stop():
                    return
                yield [
                    Input(called(index), damage) for index in range(start, min(start + _ROWS, end))
                ]
            if end < len(self):
                rest = LSCError(f"{why}, and so are the {len(self) - end - 1:,} images after this")
                yield [Input(called(end), rest)]

    def _choose(self, arrays: Collection[str]) -> str:
        for name in NAMES:
            if name in arrays:
                return name
        if len(arrays) == 1:
            return next(iter(arrays))
        raise LSCError(
            f"{self.path} has no array 'x' but {', '.join(arrays) or 'none at all'}: call the "
            "array with the images x"
        )

    def _rows(self) -> Iterator[Rows]:
        """Some rows at a time."""
        if self._by_columns:  # images are not in one piece then
            x = read_arrays(self.path, [self._name])[self._name]
            yield from (x[start : start + _ROWS] for start in range(0, len(x), _ROWS))
            return
        size = prod(self.shape[1:]) * self._dtype.itemsize
        count = max(1, min(_ROWS, _BYTES // max(1, size)))
        with zipfile.ZipFile(self.path) as archive, archive.open(f"{self._name}.npy") as file:
            read_header(file)
            for start in range(0, len(self), count):
                rows = min(count, len(self) - start)
                data = file.read(rows * size)
                yield np.frombuffer(data, self._dtype, rows * size // self._dtype.itemsize).reshape(
                    rows, *self.shape[1:]
                )

    def _holds_whole_numbers(self, stop: Stop) -> bool:
        """Whether floats mean 0 … 255, which no single image may tell: all whole, some above 1."""
        if self._dtype.kind != "f" or len(self.shape) == 2:
            return False
        above = False
        with suppress(*DAMAGE):  # of which `inputs` speaks
            for rows in self._rows():
                if stop():
                    break
                finite = rows[np.isfinite(rows)]
                if (finite != np.rint(finite)).any():
                    return False
                above = above or bool((finite > 1).any())
        return above


def _as_bytes(image: Rows) -> Rows:
    """Whole numbers 0 … 255 as uint8; others are left for later to complain about."""
    inside = np.isfinite(image).all() and image.min(initial=0) >= 0 and image.max(initial=0) <= 255
    return image.astype(np.uint8) if inside else image

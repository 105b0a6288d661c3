"""Images of an .npz file, read row by row: the file may be larger than memory."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from lsc_continual.errors import LSCError, first_line
from lsc_continual.streaming.inputs import Input, Stop, never

_NAMES = ("x", "x_test", "x_train")  # the first that is there counts, or the only array
_ROWS, _BYTES = 64, 2**22  # read at a time, at most
_DAMAGE = (OSError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError, ValueError)

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
        try:
            with zipfile.ZipFile(path) as archive:
                self._member = self._choose(archive.namelist())
                with archive.open(self._member) as file:
                    self.shape, self._by_columns, self._dtype = _header(file)
        except LSCError:
            raise
        except _DAMAGE as error:
            reason = (isinstance(error, OSError) and error.strerror) or first_line(error)
            raise LSCError(
                f"{path} cannot be read as an .npz file ({reason}): write it with numpy.savez"
            ) from error
        if self._dtype.hasobject:
            raise LSCError(
                f"{path} holds Python objects, which are not read for safety: convert them to "
                "numbers"
            )
        if len(self.shape) < 2:
            raise LSCError(
                f"{self._member} in {path} has shape {self.shape}, which is not that of images: "
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
            whole = self._holds_whole_numbers()
            for rows in self._rows():
                if stop():
                    return
                yield [
                    Input(called(index), _as_bytes(row) if whole else row)
                    for index, row in enumerate(rows, done)
                ]
                done += len(rows)
        except _DAMAGE as error:
            damage = LSCError(f"{self.path} is damaged from here on ({first_line(error)})")
            for start in range(done, len(self), _ROWS):
                stop_at = min(start + _ROWS, len(self))
                yield [Input(called(index), damage) for index in range(start, stop_at)]

    def _choose(self, names: Sequence[str]) -> str:
        arrays = [name.removesuffix(".npy") for name in names if name.endswith(".npy")]
        for name in _NAMES:
            if name in arrays:
                return f"{name}.npy"
        if len(arrays) == 1:
            return f"{arrays[0]}.npy"
        raise LSCError(
            f"{self.path} has no array 'x' but {', '.join(arrays) or 'none at all'}: call the "
            "array with the images x"
        )

    def _rows(self) -> Iterator[Rows]:
        """Some rows at a time."""
        if self._by_columns:  # images are not in one piece then
            with np.load(self.path, allow_pickle=False) as arrays:
                x = arrays[self._member.removesuffix(".npy")]
            yield from (x[start : start + _ROWS] for start in range(0, len(x), _ROWS))
            return
        size = prod(self.shape[1:]) * self._dtype.itemsize
        count = max(1, min(_ROWS, _BYTES // max(1, size)))
        with zipfile.ZipFile(self.path) as archive, archive.open(self._member) as file:
            _header(file)
            for start in range(0, len(self), count):
                rows = min(count, len(self) - start)
                data = file.read(rows * size)
                yield np.frombuffer(data, self._dtype, rows * size // self._dtype.itemsize).reshape(
                    rows, *self.shape[1:]
                )

    def _holds_whole_numbers(self) -> bool:
        """Whether floats mean 0 … 255, which no single image may tell: all whole, some above 1."""
        if self._dtype.kind != "f" or len(self.shape) == 2:
            return False
        above = False
        for rows in self._rows():
            finite = rows[np.isfinite(rows)]
            if (finite != np.rint(finite)).any():
                return False
            above = above or bool((finite > 1).any())
        return above


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether columns come first (Fortran's order), and type of the numbers that follow."""
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(file)
    raise ValueError(f"its arrays have format {version}")


def _as_bytes(image: Rows) -> Rows:
    """Whole numbers 0 … 255 as uint8; others are left for later to complain about."""
    inside = np.isfinite(image).all() and image.min(initial=0) >= 0 and image.max(initial=0) <= 255
    return image.astype(np.uint8) if inside else image

"""The arrays of an .npz file as their headers describe them, before any of them is read."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Collection
from math import prod
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsc_continual.errors import LSCError, first_line
from lsc_continual.storage.reading import open_regular

DAMAGE = (OSError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError, ValueError)
"""What zip, zlib and numpy raise on damaged files."""

_SMALL = 2**28  # bytes that an array may take however small its file is
RATIO = 100  # how many times larger than its file a larger array may be
_LARGEST_ROW = 2**28  # bytes


def find_file(root: Path, others: Collection[str] = ()) -> Path:
    """The .npz file that `data.root` names: itself, or the only one in the folder.

    Args:
        others: endings of files that it may be as well.

    Raises:
        LSCError: there is none, or several.
    """
    files = [root]
    if root.is_dir():
        files = sorted(root.glob("*.npz")) or sorted(
            path
            for path in root.iterdir()
            if path.suffix.lower() in others and not path.name.endswith(".labels.npy")
        )
    if len(files) == 1 and files[0].is_file():
        return files[0]
    kinds = ", ".join((".npz", *others))
    found = f"{len(files)} files" if root.is_dir() else "no file"
    raise LSCError(f"data.root={root} names {found}: pass the path of one ({kinds})")


class Header(NamedTuple):
    """What an array says of itself."""

    shape: tuple[int, ...]
    by_columns: bool
    """Fortran's order: its rows are not in one piece."""
    dtype: np.dtype[Any]

    @property
    def row_bytes(self) -> int:
        """The size of one of its rows."""
        return prod(self.shape[1:]) * self.dtype.itemsize

    @property
    def bytes(self) -> int:
        """The size of all of it."""
        return prod(self.shape) * self.dtype.itemsize


def headers(path: Path) -> dict[str, Header]:
    """The arrays of an .npz file by name.

    Raises:
        LSCError: no such file, another format, Python objects, or arrays that are larger than such
            a file can hold.
    """
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            found = {}
            for member in archive.infolist():
                name = member.filename
                if not name.endswith(".npy"):
                    continue
                if name.removesuffix(".npy") in found:
                    raise LSCError(f"{path} holds {name!r} twice: write it with numpy.savez")
                with archive.open(name) as content:
                    header = read_header(content)
                    _check(path, member, header, content.tell())
                found[name.removesuffix(".npy")] = header
            return found
    except LSCError:
        raise
    except DAMAGE as error:
        reason = (isinstance(error, OSError) and error.strerror) or first_line(error)
        raise LSCError(
            f"{path} cannot be read as an .npz file ({reason}): write it with numpy.savez"
        ) from error


def _check(path: Path, member: zipfile.ZipInfo, header: Header, begin: int) -> None:
    name = member.filename.removesuffix(".npy")
    if header.dtype.hasobject:
        raise LSCError(
            f"{path} holds Python objects, which are not read for safety: convert the arrays to "
            "numbers or text of a fixed width"
        )
    if min(header.shape, default=0) < 0 or header.bytes != member.file_size - begin:
        raise LSCError(
            f"{name} in {path} says that it has the shape {header.shape}, which is not what the "
            "file holds: write it again with numpy.savez"
        )
    if header.shape and header.shape[0] and not header.row_bytes:
        raise LSCError(f"{name} in {path} has the shape {header.shape}, whose rows hold nothing")
    most = max(_SMALL, RATIO * min(member.compress_size, path.stat().st_size))
    if header.bytes > most or header.row_bytes > _LARGEST_ROW:
        raise LSCError(
            f"{name} in {path} takes {header.bytes / 2**30:.1f} GiB out of "
            f"{path.stat().st_size / 2**20:.1f} MiB, in rows of {header.row_bytes:,} bytes, which "
            "is not read for safety: write it with numpy.savez, uncompressed"
        )


def read_header(file: IO[bytes]) -> Header:
    """The header at the beginning of an array; the file stands behind it then."""
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return Header(*np.lib.format.read_array_header_1_0(file))
    if version == (2, 0):
        return Header(*np.lib.format.read_array_header_2_0(file))
    raise ValueError(f"its arrays have format {version}")


def read_arrays(path: Path, names: Collection[str]) -> dict[str, NDArray[Any]]:
    """Those of the named arrays that are there, whole.

    Raises:
        LSCError: as in `headers`.
    """
    wanted = [name for name in headers(path) if name in names]
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in wanted}
    except DAMAGE as error:
        raise LSCError(
            f"{path} is damaged ({first_line(error)}): write it again with numpy.savez"
        ) from error

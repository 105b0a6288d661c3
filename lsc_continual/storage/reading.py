"""Reading files of unknown origin: regular ones only, and no more of them than is sensible."""

from __future__ import annotations

import os
import stat
from errno import EFBIG, EINVAL
from pathlib import Path
from typing import BinaryIO


def open_regular(path: str | Path, folder: int | None = None) -> BinaryIO:
    """A file, open for reading. Pipes would be waited for, and devices may never end.

    Args:
        folder: a descriptor of the folder that `path` is relative to.

    Raises:
        OSError: there is none, it may not be read, or it is no regular file.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(EINVAL, "not a regular file", str(path))
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_text(path: Path, at_most: int) -> str:
    """A text in UTF-8, such as settings.

    Args:
        at_most: bytes that it may have.

    Raises:
        OSError: as in `open_regular`, or it is larger.
        UnicodeDecodeError: it is not UTF-8.
    """
    with open_regular(path) as file:
        content = file.read(at_most + 1)
    if len(content) > at_most:
        raise OSError(EFBIG, f"more than {at_most:,} bytes", str(path))
    return content.decode()

"""One process at a time at work on a folder that is replaced as a whole."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lsc_continual.errors import LSCError


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from changing a folder, by a hidden file beside it.

    The lock ends with its process, however that ends.

    Raises:
        LSCError: another process is at work on it, or nothing can be written there.
    """
    path = folder.parent / f".{folder.name}.lock"
    while True:
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise LSCError(f"{folder} cannot be written ({error.strerror})") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise LSCError(f"another process is at work on {folder}: wait for it") from None
        except OSError:  # a file system without locks
            break
        if _is_at(handle, path):
            break
        os.close(handle)  # the one before took the file away
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()
        os.close(handle)


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False

"""Folders that are whole or not there: written atomically, with a checksum of every file."""

from __future__ import annotations

import ctypes
import glob
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Mapping
from mmap import ACCESS_COPY, mmap
from pathlib import Path
from typing import Any

from lsc_continual.errors import LSCError
from lsc_continual.storage.json_text import json_text
from lsc_continual.storage.reading import open_regular

SEAL = "SHA256SUMS"
"""In the format of `sha256sum`, which can check it."""


_HERE, _EXCHANGE = -100, 2  # of Linux: paths as they are, two names for each other
_REPLACED_WITHIN, _PAUSE = 5.0, 0.005  # seconds
_LONGEST_SEAL, _READ = 2**20, 2**20  # bytes
_LEFT_BEHIND = re.compile(r"\..+-[a-z0-9_]{8}(-old)?")


class DamagedError(LSCError):
    """A folder that is not as it was written."""


def write_file(path: Path, content: bytes) -> None:
    """Write a file so that, whatever happens, the old or the new content is there, never a part."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any, default: Callable[[Any], Any] | None = None) -> None:
    """Write JSON that people can read, as `write_file` does.

    Args:
        default: what stands for a part of no JSON type, as in `json.dumps`.
    """
    write_file(path, f"{json_text(value, indent=1, default=default)}\n".encode())


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Put a folder with these files, and their checksums, in the place of `folder`."""
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    replaced = temporary.with_name(f"{temporary.name}-old")
    try:
        os.chmod(temporary, 0o755)
        for name, content in {**files, SEAL: _seal(files)}.items():
            write_file(temporary / name, content)
        _sync(temporary)
        if not (folder.exists() and _exchanged(temporary, folder)):
            if folder.exists():
                os.replace(folder, replaced)
            os.replace(temporary, folder)
        _sync(folder.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(replaced, ignore_errors=True)


def not_sealed(folder: Path) -> str | None:
    """The name of something in a folder that `write_folder` did not write there; None for none."""
    if not folder.exists():
        return None
    if not folder.is_dir():
        return folder.name
    seal = folder / SEAL
    text = seal.read_bytes()[:_LONGEST_SEAL] if seal.is_file() else b""
    own = {line.partition("  ")[2] for line in text.decode(errors="replace").splitlines()} | {SEAL}
    return next((path.name for path in sorted(folder.iterdir()) if path.name not in own), None)


def _exchanged(one: Path, other: Path) -> bool:
    """Have two folders change places at once; False where the system cannot."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    return bool(rename(_HERE, bytes(one), _HERE, bytes(other), _EXCHANGE) == 0)


def read_folder(folder: Path, mapped: Collection[str] = ()) -> dict[str, Any]:
    """The files of a folder that `write_folder` wrote: bytes by name.

    They are of one moment: where the folder is replaced meanwhile, the new one is read.

    Args:
        mapped: names of files that are not read but mapped into memory, `mmap` by name: the system
            can have that memory back, and they stay as they are when the folder is replaced.

    Raises:
        DamagedError: it is missing, incomplete, or not what was written.
    """
    end = time.monotonic() + _REPLACED_WITHIN
    while True:
        opened = None
        try:
            opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            return _read(folder, opened, mapped)
        except (OSError, DamagedError) as error:
            found = opened is not None or isinstance(error, FileNotFoundError)
            if found and _is_replaced(folder, opened) and time.monotonic() < end:
                time.sleep(_PAUSE)
                continue
            if isinstance(error, OSError):
                raise DamagedError(f"{folder} cannot be read ({error.strerror})") from error
            raise
        finally:
            if opened is not None:
                os.close(opened)


def _is_replaced(folder: Path, opened: int | None) -> bool:
    """Whether `write_folder` put another folder in the place of the opened one, or is about to."""
    try:
        now = os.stat(folder)
        return opened is None or not os.path.samestat(now, os.fstat(opened))
    except FileNotFoundError:
        return any(folder.parent.glob(f".{glob.escape(folder.name)}-*"))


def _read(folder: Path, opened: int, mapped: Collection[str]) -> dict[str, Any]:
    names = set(os.listdir(opened))
    if SEAL not in names:
        raise DamagedError(f"{folder} is not complete: {SEAL} is missing")
    with open_regular(SEAL, opened) as file:
        seal = file.read(_LONGEST_SEAL)
    names.remove(SEAL)
    if names != {line.partition("  ")[2] for line in seal.decode(errors="replace").splitlines()}:
        raise DamagedError(f"{folder} is damaged: its files are not those that {SEAL} names")
    if seal != _sealed({name: _digest(name, opened) for name in names}):
        raise DamagedError(f"{folder} is damaged: its files do not match {SEAL}")
    return {name: _content(name, opened, name in mapped) for name in names}


def _digest(name: str, folder: int) -> str:
    """That of a file's content, which is not in memory meanwhile."""
    digest = hashlib.sha256()
    with open_regular(name, folder) as file:
        while some := file.read(_READ):
            digest.update(some)
    return digest.hexdigest()


def _content(name: str, folder: int, mapped: bool) -> bytes | mmap:
    with open_regular(name, folder) as file:
        if mapped and os.fstat(file.fileno()).st_size:  # nothing cannot be mapped
            return mmap(file.fileno(), 0, access=ACCESS_COPY)
        return file.read()


def sweep(folder: Path, name: str | None = None) -> None:
    """Remove what processes that were killed while they wrote into `folder` left behind.

    Args:
        name: of the file or folder that they wrote; by default any.
    """
    for path in folder.iterdir():
        if _LEFT_BEHIND.fullmatch(path.name) and path.name.startswith(f".{name or ''}"):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _seal(files: Mapping[str, bytes]) -> bytes:
    return _sealed({name: hashlib.sha256(content).hexdigest() for name, content in files.items()})


def _sealed(digests: Mapping[str, str]) -> bytes:
    return "".join(f"{digests[name]}  {name}\n" for name in sorted(digests)).encode()


def _sync(path: Path) -> None:
    """Have a folder's entries reach the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

"""The run folder: what a run leaves on disk."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from errno import EDQUOT, EFBIG, ENOSPC
from pathlib import Path
from typing import IO, Any
from weakref import WeakSet

from lsc_continual.errors import LSCError
from lsc_continual.runs.metrics import RunMetrics
from lsc_continual.storage.folders import sweep, write_file, write_folder, write_json

CONFIG, STREAM, METRICS = "config.yaml", "stream.json", "metrics.json"
REPORT = "report.html"
_LOCK = ".lock"
_OWN = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_LOCKS: WeakSet[IO[bytes]] = WeakSet()


def _let_go() -> None:
    """A lock ends with its process, though processes that read files for it live a little on."""
    for lock in list(_LOCKS):
        lock.close()


os.register_at_fork(after_in_child=_let_go)


class RunFolder:
    """`config.yaml`, `metrics.json`, `model/`, `checkpoints/`, `report.html`, and event files.

    A context manager: other processes are kept out until it is left.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: IO[bytes] | None = None

    @classmethod
    def create(cls, path: str | None, name: str) -> RunFolder:
        """A new run folder.

        Args:
            path: an empty or absent folder; with None, `runs/NAME`, or `runs/NAME-2`, … if that
                is taken.
            name: of the run.

        Raises:
            LSCError: the folder holds something already, or cannot be written.
        """
        folder = cls(Path(path) if path else _free(Path("runs") / name))
        try:
            if folder.path.is_dir() and not folder._is_blank():
                hint = (
                    f", or go on with it: lsc-cl resume {folder.path}" if folder.holds_run else ""
                )
                raise LSCError(
                    f"{folder.path} is not empty: choose another run.dir, so that nothing is "
                    f"lost{hint}"
                )
            folder.checkpoints.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LSCError(
                f"the run folder {folder.path} cannot be written ({error.strerror}): choose "
                "another run.dir"
            ) from error
        folder._claim()
        return folder

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """The folder of a run that is to go on.

        Raises:
            LSCError: no run is there, or another process is at work in it.
        """
        folder = cls(Path(path))
        if not folder.holds_run:
            if (folder.path / CONFIG).exists():
                raise LSCError(f"{folder.path / CONFIG} is no file: put the run's own back")
            raise LSCError(
                f"{path} is no run folder ({CONFIG} is missing): pass one that `lsc-cl run` left, "
                "such as runs/split-digits-lsc-seed0"
            )
        folder._claim()
        with folder.writing("checkpoints"):
            sweep(folder.path)
            sweep(folder.checkpoints)
        return folder

    def _is_blank(self) -> bool:
        """Whether nothing is in it, or what a process left that was killed as it began."""
        found = {path.relative_to(self.path).as_posix() for path in self.path.rglob("*")}
        return found <= {"checkpoints", f"checkpoints/{_LOCK}"}

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *error: object) -> None:
        if self._lock is not None:
            self._lock.close()

    @property
    def holds_run(self) -> bool:
        return (self.path / CONFIG).is_file()

    @property
    def finished(self) -> bool:
        """Whether all is written; the report comes last."""
        return self.holds_run and (self.path / REPORT).is_file()

    def metrics(self) -> RunMetrics:
        """What was measured.

        Raises:
            LSCError: it cannot be read.
        """
        return RunMetrics.read(self.path / METRICS)

    @property
    def has_checkpoint(self) -> bool:
        """Whether there is something to go on from."""
        return any(self.checkpoints.glob("step-*"))

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    def _claim(self) -> None:
        """Keep other processes out."""
        if self.checkpoints.is_symlink():
            raise LSCError(
                f"{self.checkpoints} is a link, and what it leads to would be changed: put the "
                "folder itself there"
            )
        path = self.checkpoints / _LOCK
        with self.writing(f"checkpoints/{_LOCK}"):
            self.checkpoints.mkdir(exist_ok=True)
            handle = os.open(path, _OWN, 0o644)
            self._lock = os.fdopen(handle, "wb")
            _LOCKS.add(self._lock)
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise LSCError(f"{path} is no file: remove it")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LSCError(
                f"another process is at work in {self.path}: wait for it or stop it first"
            ) from error
        except OSError:  # a file system without locks
            return

    def write(self, name: str, text: str) -> None:
        self.write_bytes(name, text.encode())

    def write_bytes(self, name: str, content: bytes) -> None:
        with self.writing(name):
            write_file(self.path / name, content)

    def write_json(self, name: str, content: Any) -> None:
        with self.writing(name):
            write_json(self.path / name, content)

    def write_model(self, files: Mapping[str, bytes]) -> None:
        with self.writing("model"):
            write_folder(self.path / "model", files)

    def discard(self) -> None:
        """Remove the folder, when there is nothing in it worth keeping."""
        shutil.rmtree(self.path)

    @contextmanager
    def writing(self, name: str) -> Iterator[None]:
        """Say what the user can do where a file or folder cannot be written inside.

        Raises:
            LSCError: it cannot.
        """
        try:
            yield
        except OSError as error:  # a full disk, for example
            then = "run it again"
            if self.has_checkpoint:
                then = f"`lsc-cl resume {self.path}`; what was written before is kept"
            full = error.errno in (ENOSPC, EDQUOT, EFBIG)
            first = "make room" if full else "see what is in its place"
            raise LSCError(
                f"{self.path / name} cannot be written ({error.strerror}): {first}, then {then}"
            ) from error


def _free(path: Path) -> Path:
    candidate, number = path, 2
    while candidate.exists():
        candidate, number = path.with_name(f"{path.name}-{number}"), number + 1
    return candidate

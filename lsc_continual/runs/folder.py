"""The run folder: what a run leaves on disk."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lsc_continual.errors import LSCError


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that, whatever happens, the old or the new content is there, never a part."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_folder_atomically(folder: Path, fill: Callable[[Path], None]) -> None:
    """Let `fill` write into a temporary folder, then put it in the place of `folder`."""
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    replaced = temporary.with_name(f"{temporary.name}-old")
    try:
        os.chmod(temporary, 0o755)
        fill(temporary)
        for path in [*temporary.iterdir(), temporary]:
            _sync(path)
        if folder.exists():
            os.replace(folder, replaced)
        os.replace(temporary, folder)
        _sync(folder.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(replaced, ignore_errors=True)


def _sync(path: Path) -> None:
    """Have a file or folder reach the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class RunFolder:
    """`config.yaml`, `metrics.json`, `model/`, `checkpoints/`, TensorBoard events, `report.html`.

    Args:
        path: an empty or absent folder; with None, `runs/NAME`, or `runs/NAME-2`, … if that is
            taken.
        name: of the run.

    Raises:
        LSCError: the folder holds something already, or cannot be written.
    """

    def __init__(self, path: str | None, name: str) -> None:
        self.path = Path(path) if path else self._free(Path("runs") / name)
        try:
            if self.path.is_dir() and any(self.path.iterdir()):
                raise LSCError(
                    f"{self.path} is not empty: choose another run.dir, so that nothing is lost"
                )
            self.checkpoints.mkdir(parents=True)
        except OSError as error:
            raise LSCError(
                f"the run folder {self.path} cannot be written ({error.strerror}): choose "
                "another run.dir"
            ) from error

    @staticmethod
    def _free(path: Path) -> Path:
        candidate, number = path, 2
        while candidate.exists():
            candidate, number = path.with_name(f"{path.name}-{number}"), number + 1
        return candidate

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    def write(self, name: str, text: str) -> None:
        with self._writing(name):
            write_atomically(self.path / name, text)

    def write_metrics(self, metrics: dict[str, Any]) -> None:
        self.write("metrics.json", json.dumps(metrics, indent=1, ensure_ascii=False) + "\n")

    def keep_checkpoint(self, name: str, fill: Callable[[Path], None]) -> None:
        """Write a checkpoint, then drop the earlier ones."""
        with self._writing(f"checkpoints/{name}"):
            write_folder_atomically(self.checkpoints / name, fill)
            for other in self.checkpoints.iterdir():
                if other.name != name:
                    shutil.rmtree(other)

    def write_model(self, fill: Callable[[Path], None]) -> None:
        with self._writing("model"):
            write_folder_atomically(self.path / "model", fill)

    def discard(self) -> None:
        """Remove the folder, when there is nothing in it worth keeping."""
        shutil.rmtree(self.path)

    @contextmanager
    def _writing(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:  # a full disk, for example
            raise LSCError(
                f"{self.path / name} cannot be written ({error.strerror}): make room or choose "
                "another run.dir; what was written before is kept"
            ) from error

"""Answers as JSON lines, in a file that can be gone on with."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import isfinite
from pathlib import Path
from typing import IO, Any

from lsc_continual.classifier.prediction import Prediction
from lsc_continual.errors import LSCError
from lsc_continual.storage.json_text import json_text
from lsc_continual.storage.reading import open_regular
from lsc_continual.streaming.inputs import Input, Stop, never

_LONGEST = 2**22  # bytes of a line of an output that is gone on with


def json_line(prediction: Prediction) -> bytes:
    """One line of UTF-8; real numbers with six significant digits."""
    record: dict[str, Any] = {"id": prediction.id}
    if prediction.error is not None:
        record["error"] = prediction.error
    else:
        record |= {
            "label": prediction.label,
            "known": prediction.known,
            "novelty": _short(prediction.novelty),
            "p_value": _short(prediction.p_value),
            "address": prediction.address,
            "gap": _short(prediction.gap),
            "alternatives": [
                {"label": label, "score": _short(score)} for label, score in prediction.alternatives
            ],
        }
    return f"{json_text(record)}\n".encode()


def _short(value: float | None) -> float | None:
    """Without digits that mean nothing; JSON has no infinities."""
    return None if value is None or not isfinite(value) else float(f"{value:.6g}")


class Answered:
    """The complete lines of an output file.

    Args:
        path: of the file; the torn line at its end, if there is one, is cut off.

    Raises:
        LSCError: it is no output of this command, or cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        """Complete lines."""
        self.failed = 0
        """How many of them say an error."""
        self.first: Any = None
        """`id` of the first line."""
        self.last: Any = None
        """`id` of the last line."""
        size, last = 0, b""
        try:
            with open_regular(path) as file:
                while line := file.readline(_LONGEST):
                    if not line.endswith(b"\n"):
                        if len(line) == _LONGEST:
                            raise self._something_else()
                        break
                    if not self.count:
                        self.first = self._id(line)
                    self.count, size = self.count + 1, size + len(line)
                    self.failed += b'"error"' in line and "error" in self._record(line)
                    last = line
            os.truncate(path, size)
        except OSError as error:
            raise LSCError(f"{path} cannot be read ({error.strerror}): choose another") from error
        if self.count:
            self.last = self._id(last)

    def ids(self) -> Iterator[Any]:
        """`id` of each line."""
        with open_regular(self.path) as file:
            for line in file:
                yield self._id(line)

    def skip(self, source: Iterator[list[Input]], stop: Stop = never) -> Iterator[list[Input]]:
        """The inputs that are not answered yet.

        Args:
            stop: whether the source ended because it was told to.

        Raises:
            LSCError: the file answers for other inputs.
        """
        left = self.count
        for some in source:
            if left and left == self.count and some and not _same(some[0].id, self.first):
                raise self._foreign(
                    f"it begins with {self.first!r}, the source with {some[0].id!r}"
                )
            if 0 < left <= len(some) and not _same(some[left - 1].id, self.last):
                raise self._foreign(
                    f"its line {self.count:,} is {self.last!r}, and that input is "
                    f"{some[left - 1].id!r} now"
                )
            rest = some[left:]
            left = max(0, left - len(some))
            if rest:
                yield rest
        if left and not stop():
            raise self._foreign("it has more lines than there are inputs")

    def _foreign(self, why: str) -> LSCError:
        return LSCError(
            f"{self.path} does not belong to these inputs ({why}): choose another --output"
        )

    def _id(self, line: bytes) -> Any:
        return self._record(line)["id"]

    def _record(self, line: bytes) -> dict[str, Any]:
        """A line's content."""
        try:
            record = json.loads(line)
            json_text(record["id"])
        except (ValueError, KeyError, TypeError, RecursionError):
            raise self._something_else() from None
        if not isinstance(record, dict):
            raise self._something_else()
        return record

    def _something_else(self) -> LSCError:
        return LSCError(f"{self.path} holds something else than answers: choose another --output")


def _same(one: Any, other: Any) -> bool:
    return json_text(one) == json_text(other)


class LineFile:
    """A file that lines are added to.

    Args:
        path: of the file.
        resume: append to it; else it must not exist or be empty.

    Raises:
        LSCError: it exists, or cannot be written.
    """

    def __init__(self, path: Path, resume: bool) -> None:
        self.path = path
        with self._writing():
            if path.is_fifo() or path.is_dir() or path.is_socket():
                raise LSCError(f"--output {path} is no file: name one, or use standard output")
            if not resume and path.exists() and path.stat().st_size:
                raise LSCError(
                    f"{path} exists: add --resume to go on with it, or choose another --output"
                )
            self._file: IO[bytes] = path.open("ab", buffering=0)

    def write(self, lines: bytes) -> None:
        """Hand lines over to the operating system."""
        with self._writing():
            self._file.write(lines)

    def __enter__(self) -> LineFile:
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(OSError), self._file:  # not all that can be written to can be synced
            os.fsync(self._file.fileno())

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise LSCError(
                f"{self.path} cannot be written ({error.strerror}): make room or choose another "
                "--output; with --resume, what is there is kept"
            ) from error

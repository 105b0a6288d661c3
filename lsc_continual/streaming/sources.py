"""Where inputs come from: folders, files, .npz files, standard input."""

from __future__ import annotations

import stat
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from lsc_continual.errors import LSCError, first_line, inert
from lsc_continual.inputs.labelled import as_rows, read_npy
from lsc_continual.inputs.npz import DAMAGE, read_arrays
from lsc_continual.inputs.tables import TABLES, read_table
from lsc_continual.inputs.trees import image_paths, look_through
from lsc_continual.storage.json_text import without_surrogates
from lsc_continual.streaming.checks import check_sources
from lsc_continual.streaming.inputs import Input, Stop, never
from lsc_continual.streaming.lines import read_inputs
from lsc_continual.streaming.npz import NAMES, NpzImages

_SOME = 64  # inputs handed over at a time
_STANDARD_INPUT = 0
_PAUSE = 0.1  # seconds between two looks at `stop`
_CHECKED = 1000  # answered files that a look compares with what they were
_NAMED = 3  # files that a warning names

_EMPTY = 10.0  # seconds after which an empty file is taken for what it is
_NO_FILE = (-1, 0)

_State = tuple[int, int] | None


def open_sources(
    sources: Sequence[str],
    *,
    watch: bool = False,
    answered: Iterable[str] = (),
    stop: Stop = never,
    numbers: int = 2**20,
    kind: str = "images",
) -> Iterator[list[Input]]:
    """The inputs of several sources, one source after another, some inputs at a time.

    Args:
        sources: each a folder, an image file, an .npz file, a table (.csv, .jsonl, .parquet), or
            "-" for lines on standard input.
            Inputs are called by their path as given, relative to a folder, or by their index; of
            several sources, a folder's or a file's name comes before that.
        watch: go on with files that appear in the folder, the only source, until `stop()`.
        answered: with `watch`, those to pass over.
        numbers: that an image on standard input may have.
        kind: what the model takes, "images", "vectors" or "texts".

    Raises:
        LSCError: an .npz file that cannot be read, or nothing to watch.
    """
    check_sources(sources, watch)
    if watch:
        return watched(Path(sources[0]), answered, stop=stop)
    several = len(sources) > 1
    opened = [_open(source, several, stop, numbers, kind) for source in sources]
    return chain.from_iterable(opened)


def _open(source: str, several: bool, stop: Stop, numbers: int, kind: str) -> Iterator[list[Input]]:
    path = Path(source)
    if source == "-":
        return read_inputs(_STANDARD_INPUT, stop, numbers, texts=kind == "texts")
    if path.is_dir():
        (contents,) = look_through(path, [""])
        if not contents.images:
            reasons = ", ".join(f"{n} × {why}" for why, n in contents.left_out().items())
            raise LSCError(f"{source} holds no images ({reasons or 'it is empty'}): pass another")
        return _folder(path, contents.images, several, stop)
    if path.suffix.lower() == ".npz" and kind == "texts":
        return _listed(_texts(path), source if several else None, stop)
    if path.suffix.lower() == ".npz":
        return NpzImages(path).inputs(source if several else None, stop)
    if path.suffix.lower() == ".npy" and path.is_file():
        return _listed(_rows_of(path), source if several else None, stop)
    if path.suffix.lower() in TABLES:
        return _table(path, kind, source if several else None, stop)
    return iter([[Input(source, path)]])


def _texts(path: Path) -> list[str]:
    """The texts in an .npz file."""
    arrays = read_arrays(path, NAMES)
    x = next((arrays[name] for name in NAMES if name in arrays), None)
    if x is None or x.ndim != 1 or x.dtype.kind not in "US":
        raise LSCError(f"{path} holds no texts: call the array of them x")
    return [str(text) for text in as_rows(x, str(path))]


def _rows_of(path: Path) -> Sequence[Any]:
    """The rows of an .npy file."""
    try:
        return list(as_rows(read_npy(path), str(path)))
    except DAMAGE as error:
        raise LSCError(f"{path} cannot be read: {first_line(error)}") from error


def _listed(rows: Sequence[Any], prefix: str | None, stop: Stop) -> Iterator[list[Input]]:
    """Rows in memory, called by their index."""
    for start in range(0, len(rows), _SOME):
        if stop():
            return
        some = enumerate(rows[start : start + _SOME], start)
        yield [Input(i if prefix is None else f"{prefix}[{i}]", row) for i, row in some]


def _table(path: Path, kind: str, prefix: str | None, stop: Stop) -> Iterator[list[Input]]:
    """The rows of a table, called by their "id" or their number, from 1."""
    some: list[Input] = []
    for row in read_table(path, kind, labelled=False):
        name = row.fields.get("id", row.number)
        name = name if isinstance(name, str | int | float) else row.number
        try:
            content = row.content(path)
        except LSCError as error:
            content = LSCError(str(error))
        some.append(Input(name if prefix is None else f"{prefix}[{name}]", content))
        if len(some) == _SOME:
            if stop():
                return
            yield some
            some = []
    yield some


def _folder(root: Path, names: Sequence[str], several: bool, stop: Stop) -> Iterator[list[Input]]:
    for start in range(0, len(names), _SOME):
        if stop():
            return
        some = names[start : start + _SOME]
        yield [Input(str(root / name) if several else name, root / name) for name in some]


def watched(
    root: Path, answered: Iterable[str] = (), every: float = 0.5, stop: Stop = never
) -> Iterator[list[Input]]:
    """Image files below `root`, those that are there and those to come, called by relative path.

    A file counts as complete when it is not empty and neither its size nor its time has changed
    between two looks. Each name is answered once, as it would be after an interruption; of a file
    that takes the place of another there is a warning.

    Args:
        answered: relative paths to pass over, as they are written in answers.
        every: seconds between two looks.
    """
    done = set(answered)
    before: dict[str, _State] = {}
    taken: dict[str, _State] | None = None  # files that are done and still there
    turn = 0
    while not stop():
        names = {path: without_surrogates(path) for path in image_paths(root)}
        now = {path: _state(root / path) for path, name in names.items() if name not in done}
        complete = [path for path, state in now.items() if state and state == before.get(path)]
        if complete:
            yield [Input(path, root / path) for path in complete]
        old = [path for path, name in names.items() if name in done]
        some = old[turn : turn + _CHECKED]
        turn = turn + len(some) if len(some) == _CHECKED else 0
        states = dict.fromkeys(old) | (taken or {}) | {path: _state(root / path) for path in some}
        if taken is not None:
            _warn_of_replaced(
                [p for p in old if p not in taken or taken[p] not in (None, states[p])]
            )
        done.update(names[path] for path in complete)
        taken = {path: states[path] for path in old} | {path: now[path] for path in complete}
        before = now
        end = time.monotonic() + every
        while time.monotonic() < end and not stop():
            time.sleep(min(_PAUSE, every))


def _warn_of_replaced(paths: Sequence[str]) -> None:
    if paths:
        named = ", ".join(map(inert, paths[:_NAMED])) + (", …" if len(paths) > _NAMED else "")
        files = "1 file has" if len(paths) == 1 else f"{len(paths):,} files have"
        warnings.warn(
            f"{files} changed since the answer ({named}): each name is answered once, so that "
            "what is new needs a new name",
            stacklevel=1,
        )


def _state(path: Path) -> _State:
    """Size and time of a file that has content; what never will counts as complete at once.

    None for one that is gone again, or empty and not for long: it may be about to be written.
    """
    try:
        status = path.stat()
    except OSError:
        return _NO_FILE if path.is_symlink() else None
    if not stat.S_ISREG(status.st_mode):
        return _NO_FILE
    if not status.st_size and time.time() - status.st_mtime < _EMPTY:
        return None
    return status.st_size, status.st_mtime_ns

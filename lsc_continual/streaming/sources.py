"""Where inputs come from: folders, files, .npz files, standard input."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from lsc_continual.errors import LSCError
from lsc_continual.inputs.trees import image_paths, look_through
from lsc_continual.streaming.checks import check_sources
from lsc_continual.streaming.inputs import Input, Stop, never
from lsc_continual.streaming.lines import read_inputs
from lsc_continual.streaming.npz import NpzImages

_SOME = 64  # inputs handed over at a time
_STANDARD_INPUT = 0
_PAUSE = 0.1  # seconds between two looks at `stop`


def open_sources(
    sources: Sequence[str],
    *,
    watch: bool = False,
    answered: Iterable[str] = (),
    stop: Stop = never,
) -> Iterator[list[Input]]:
    """The inputs of several sources, one source after another, some inputs at a time.

    Args:
        sources: each a folder, an image file, an .npz file, or "-" for lines on standard input.
            Inputs are called by their path as given, relative to a folder, or by their index; of
            several sources, a folder's or a file's name comes before that.
        watch: go on with files that appear in the folder, the only source, until `stop()`.
        answered: with `watch`, those to pass over.

    Raises:
        LSCError: an .npz file that cannot be read, or nothing to watch.
    """
    check_sources(sources, watch)
    if watch:
        return watched(Path(sources[0]), answered, stop=stop)
    several = len(sources) > 1
    return chain.from_iterable([_open(source, several, stop) for source in sources])


def _open(source: str, several: bool, stop: Stop) -> Iterator[list[Input]]:
    path = Path(source)
    if source == "-":
        return read_inputs(_STANDARD_INPUT, stop)
    if path.is_dir():
        (contents,) = look_through(path, [""])
        if not contents.images:
            reasons = ", ".join(f"{n} × {why}" for why, n in contents.left_out().items())
            raise LSCError(f"{source} holds no images ({reasons or 'it is empty'}): pass another")
        return _folder(path, contents.images, several, stop)
    if path.suffix.lower() == ".npz":
        return NpzImages(path).inputs(source if several else None, stop)
    return iter([[Input(source, path)]])


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
    between two looks. What is changed later is not looked at again.

    Args:
        answered: relative paths to pass over.
        every: seconds between two looks.
    """
    done = set(answered)
    before: dict[str, tuple[int, int] | None] = {}
    while not stop():
        present = image_paths(root)
        done.intersection_update(present)  # so that it does not grow beyond the folder
        now = {name: _state(root / name) for name in present if name not in done}
        complete = [name for name, state in now.items() if state and state == before.get(name)]
        if complete:
            yield [Input(name, root / name) for name in complete]
        done.update(complete)
        before = now
        end = time.monotonic() + every
        while time.monotonic() < end and not stop():
            time.sleep(min(_PAUSE, every))


def _state(path: Path) -> tuple[int, int] | None:
    """Size and time of a file that has content."""
    try:
        status = path.stat()
    except OSError:  # gone again
        return None
    return (status.st_size, status.st_mtime_ns) if status.st_size else None

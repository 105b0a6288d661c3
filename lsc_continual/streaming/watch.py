"""A folder in which images appear."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from lsc_continual.inputs.trees import image_paths
from lsc_continual.streaming.inputs import Input, Stop, never

_PAUSE = 0.1  # seconds between two looks at `stop`

_State = tuple[int, int]


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
    growing: dict[str, _State] = {}
    while not stop():
        present = image_paths(root)
        done.intersection_update(present)  # so that it does not grow beyond the folder
        states = {name: _state(root / name) for name in present if name not in done}
        complete = [
            n for n, state in states.items() if state is not None and growing.get(n) == state
        ]
        if complete:
            yield [Input(name, root / name) for name in complete]
            done.update(complete)
        growing = {n: s for n, s in states.items() if s is not None and n not in done}
        end = time.monotonic() + every
        while time.monotonic() < end and not stop():
            time.sleep(min(_PAUSE, every))


def _state(path: Path) -> _State | None:
    """Size and time of a file that has content."""
    try:
        status = path.stat()
    except OSError:  # gone again
        return None
    return (status.st_size, status.st_mtime_ns) if status.st_size else None

"""The folders that runs write to: is there room, and may one write?"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lsc_continual.doctor.finding import Finding, State, judged, shown, size

_ROOM = 2**30  # bytes; a checkpoint of a large network and its replay images takes some 100 MB


def look_at_folders(runs: Path, root: Path) -> Iterator[Finding]:
    """Where run folders are made, and the folder of the data."""
    yield _look(runs, "runs", "broken", "choose another folder for runs by run.dir=")
    # Only downloads write here.
    yield _look(root, "data root", "note", "nothing can be downloaded there: data.root= names it")


def _look(folder: Path, name: str, refused: State, cure: str) -> Finding:
    place = nearest(folder)
    there = shown(folder) if folder.is_dir() else f"{shown(folder)} (will be made)"
    if not place.is_dir():
        if name == "data root" and folder == place:  # an .npz file is a root as well
            return Finding(name, "ok", f"{shown(place)} is a file")
        return Finding(name, refused, f"{shown(place)} is a file, not a folder", cure)
    reason = why_not_writable(place)
    if reason:
        return Finding(name, refused, f"{there} is not writable ({reason})", cure)
    free = shutil.disk_usage(place).free
    found = f"{there} is writable, {size(free)} free"
    return judged(name, free >= _ROOM, found, "little room is left on this disk: free some")


def nearest(path: Path) -> Path:
    """The path itself or the first folder above it that exists."""
    path = path.absolute()
    return next((place for place in (path, *path.parents) if place.exists()), path)


def why_not_writable(folder: Path) -> str | None:
    """The reason in words, or None. Asking for permissions would not know of quotas or mounts."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(4096))
    except OSError as error:
        return error.strerror or str(error)
    return None

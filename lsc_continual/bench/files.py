"""Where figures are written, and whether they can be."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from lsc_continual.errors import LSCError, first_line
from lsc_continual.storage.folders import write_file


def write_json(path: Path, figures: Any) -> None:
    """Write figures; an earlier file is replaced as a whole, or not at all.

    What is of no JSON type, such as a path, is written as text.

    Raises:
        LSCError: it cannot be written.
    """
    text = json.dumps(figures, indent=1, ensure_ascii=False, default=str) + "\n"
    try:
        write_file(path, text.encode())
    except OSError as error:
        raise LSCError(f"{path} cannot be written ({error.strerror})") from error


def check_writable(option: str, path: Path, folder: bool = False) -> None:
    """See whether there can be a file, or a folder of files, before anything is measured.

    Args:
        option: of the command line, that named the path.
        folder: the path is one, and is made where it is missing.

    Raises:
        LSCError: there cannot.
    """
    if path.is_dir() and not folder:
        raise LSCError(f"{option} {path} is a folder: name a file in it")
    where = path if folder else path.parent
    try:
        if folder:
            where.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=where):
            pass
    except OSError as error:
        raise LSCError(
            f"{option} {path} cannot be written ({first_line(error)}): choose another place"
        ) from error

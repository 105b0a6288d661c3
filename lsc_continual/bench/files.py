"""Where figures are written, and whether they can be."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from lsc_continual.errors import LSCError, first_line
from lsc_continual.storage.folders import write_file


def write_json(path: Path, figures: Any) -> None:
    """Write what has JSON types; an earlier file is replaced as a whole, or not at all.

    Raises:
        LSCError: it cannot be written.
    """
    text = json.dumps(figures, indent=1, ensure_ascii=False) + "\n"
    try:
        write_file(path, text.encode())
    except OSError as error:
        raise LSCError(f"{path} cannot be written ({error.strerror})") from error


def check_writable(path: Path) -> None:
    """Before anything is measured.

    Raises:
        LSCError: no file can be written there.
    """
    if path.is_dir():
        raise LSCError(f"--json {path} is a folder: name a file in it")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise LSCError(
            f"--json {path} cannot be written ({error.strerror}): choose another file"
        ) from error


def make_folder(path: Path, option: str = "--plots") -> None:
    """Make a folder, if it is missing, and see whether files can be written there.

    Raises:
        LSCError: they cannot; the sentence names the option.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise LSCError(
            f"{option} {path} cannot be written ({first_line(error)}): choose another folder"
        ) from error

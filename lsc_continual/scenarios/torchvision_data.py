"""Data sets that torchvision holds in memory, which it downloads and verifies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lsc_continual.errors import LSCError, first_line
from lsc_continual.inputs.source import Source


def open_parts(dataset: type[Any], folder: Path, source: Source) -> list[Any]:
    """The training and the test part.

    Args:
        dataset: a torchvision class that takes `root`, `train` and `download`.
        folder: where it keeps its files.

    Raises:
        LSCError: missing or damaged files, or no network to download them.
    """
    name = dataset.__name__
    try:
        return [dataset(source.root, train=t, download=source.download) for t in (True, False)]
    except OSError as error:  # the network's errors among them
        raise _missing(name, folder, error) from error
    except (RuntimeError, ValueError, EOFError, AssertionError) as error:
        if "not found" in str(error) or "Error downloading" in str(error):
            raise _missing(name, folder, error) from error
        raise LSCError(
            f"the files of {name} in {folder} are damaged ({first_line(error)}): delete the folder "
            "and run again with data.download=true"
        ) from error


def _missing(name: str, folder: Path, error: Exception) -> LSCError:
    there = folder.is_dir() and any(folder.iterdir())
    state = "damaged or incomplete" if there else "not"
    return LSCError(
        f"{name} is {state} in {folder} and was not downloaded ({first_line(error).rstrip('.')}): "
        "put its files there, or pass data.root= (and data.download=true with a network)"
    )

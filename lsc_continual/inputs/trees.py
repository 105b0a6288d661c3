"""Image files in class folders."""

from __future__ import annotations

import os
from pathlib import Path

from lsc_continual.errors import LSCError

ClassFiles = dict[str, list[str]]
"""Class name -> its image files, relative to the folder of the data. Labels count the classes."""

# Not all that Pillow registers: it also claims names such as .h5 and .mpg, which it cannot read.
EXTENSIONS = frozenset(
    {".apng", ".avif", ".bmp", ".dib", ".gif", ".ico", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg"}
    | {".jpg", ".pbm", ".pcx", ".pgm", ".png", ".pnm", ".ppm", ".qoi", ".ras", ".sgi", ".tga"}
    | {".tif", ".tiff", ".webp"}
)


def image_paths(root: Path, folder: str = "") -> list[str]:
    """Image files in `folder` and below it, relative to `root`, sorted; no hidden ones.

    Raises:
        LSCError: a name that is not UTF-8, or a folder that may not be read.
    """
    paths = found_images(root, folder)
    for path in paths:
        try:
            path.encode()
        except UnicodeEncodeError as error:
            raise LSCError(
                f"the file name {os.fsencode(path)!r} in {root} is not UTF-8: rename the file"
            ) from error
    return paths


def found_images(root: Path, folder: str = "") -> list[str]:
    """As `image_paths`, whatever bytes the names consist of.

    Raises:
        LSCError: a folder that may not be read.
    """
    paths = []
    for place, folders, files in os.walk(root / folder, onerror=_refuse, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        relative = Path(place).relative_to(root)
        paths += [(relative / name).as_posix() for name in files if _is_image(name)]
    return sorted(paths)


def _is_image(name: str) -> bool:
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in EXTENSIONS


def subfolders(folder: Path) -> list[str]:
    """Names of the folders in `folder`, sorted; no hidden ones, none where it is missing."""
    _, folders, _ = next(os.walk(folder, onerror=_refuse), ("", [], []))
    return sorted(name for name in folders if not name.startswith("."))


def _refuse(error: OSError) -> None:
    """What `os.walk` would pass over in silence; a missing folder is just empty."""
    if not isinstance(error, FileNotFoundError):
        raise LSCError(
            f"the folder {error.filename} cannot be listed ({error.strerror}): make it readable"
        ) from error


def class_files(root: Path, folder: str = "") -> ClassFiles:
    """The class folders in `folder`, as far as they hold images at any depth.

    Raises:
        LSCError: there are none.
    """
    top = root / folder
    files = {
        name: image_paths(root, f"{folder}/{name}" if folder else name) for name in subfolders(top)
    }
    files = {name: paths for name, paths in files.items() if paths}
    if not files:
        raise LSCError(
            f"no class folders with images are in {top}: give each class a folder named after it, "
            "such as cat/1.png, and pass the folder around them by data.root="
        )
    return files

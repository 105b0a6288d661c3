"""Image files in class folders: what is there, and what of it is left out."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from lsc_continual.errors import LSCError, inert

ClassFiles = dict[str, list[str]]
"""Class name -> its image files, relative to the folder of the data. Labels count the classes."""

LeftOut = dict[str, dict[str, int]]
"""Class name -> reason -> how many files, or folders, are left out."""

# Not all that Pillow registers: it also claims names such as .h5 and .mpg, which it cannot read,
# starts programs for .eps, and decodes .ico before it says how large they are.
EXTENSIONS = frozenset(
    {".apng", ".avif", ".bmp", ".dib", ".gif", ".heic", ".heif", ".j2k", ".jfif", ".jp2"}
    | {".jpe", ".jpeg", ".jpg", ".pbm", ".pcx", ".pgm", ".png", ".pnm", ".ppm", ".qoi", ".ras"}
    | {".sgi", ".tga", ".tif", ".tiff", ".webp"}
)


EMPTY_FOLDER = "a folder without images"
LINKED_FOLDER = "a link to a folder that is read in another place"
OF_FOLDERS = (EMPTY_FOLDER, LINKED_FOLDER)
"""Reasons that count folders, and no files."""


@dataclass
class Contents:
    """What is in a folder and below it; nothing hidden."""

    images: list[str] = field(default_factory=list)
    """Image files, relative to the folder of the data, sorted. Names are as the system has them:
    bytes that are not UTF-8 are surrogates."""
    others: Counter[str] = field(default_factory=Counter)
    """How many other files there are, by their extension."""
    repeated: int = 0
    """Links to folders that are read in another place."""
    again: int = 0
    """Links, hard or not, to image files of this folder that are read in another place."""
    seen: set[int] = field(default_factory=set)
    """The files that its images are, by device and inode."""

    def left_out(self) -> dict[str, int]:
        """How many are left out for which reason."""
        reasons = {f"no image ({suffix})": n for suffix, n in sorted(self.others.items())}
        if self.again:
            reasons["a link to an image of the same class"] = self.again
        if self.repeated:
            reasons[LINKED_FOLDER] = self.repeated
        return reasons

    def add(self, path: str, identity: int) -> None:
        """Take in an image file, unless it is here already."""
        if identity in self.seen:
            self.again += 1
            return
        self.seen.add(identity)
        self.images.append(path)


def look_through(root: Path, folders: Sequence[str], *, files_once: bool = False) -> list[Contents]:
    """The contents of each of the folders, which are relative to `root`.

    Every directory is looked into once, whatever links lead to it: where it really is, if that is
    below one of the folders. A missing folder is empty.

    Args:
        files_once: whether links to an image of the same folder are left out, too.

    Raises:
        LSCError: a folder that may not be read.
    """
    found, seen = [Contents() for _ in folders], set[tuple[int, int]]()
    for around in {root / above for folder in folders for above in Path(folder).parents}:
        _known(str(around), seen)  # a link to a folder around them leads nowhere else
    links = [(contents, root / folder) for contents, folder in zip(found, folders, strict=True)]
    links.sort(key=lambda pair: pair[1].is_symlink())
    linked: list[tuple[Contents, Path, str]] = []
    while links:  # at first the folders themselves, then links in them, then links in those, …
        further: list[tuple[Contents, Path]] = []
        for contents, top in links:
            for place, inner, files in _walk(top):
                device = _known(place, seen)
                if device is None:
                    inner.clear()
                    contents.repeated += place == str(top)
                    continue
                inside = Path(place)
                further += [(contents, inside / e.name) for e in inner if e.is_symlink()]
                relative = inside.relative_to(root)
                for entry in files:
                    path = (relative / entry.name).as_posix()
                    if not _is_image(entry.name):
                        contents.others[_extension(entry.name)] += 1
                    elif not files_once:
                        contents.images.append(path)
                    elif entry.is_symlink():
                        linked.append((contents, inside / entry.name, path))
                    else:
                        contents.add(path, device << 64 | entry.inode())
        links = further
    for contents, link, path in linked:  # after what is really there
        contents.add(path, _identity(link))
    for contents in found:
        contents.images.sort()
        contents.seen.clear()
    return found


Entries = list[os.DirEntry[str]]


def _walk(top: Path) -> Iterator[tuple[str, Entries, Entries]]:
    """Folders below and including one, with the folders and files in each; nothing hidden.

    Links to folders are named and not followed.
    """
    waiting = [str(top)]
    while waiting:
        place = waiting.pop()
        try:
            with os.scandir(place) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            _refuse(error)
            continue
        shown = [entry for entry in entries if not entry.name.startswith(".")]
        folders = [entry for entry in shown if _is_folder(entry)]
        names = {entry.name for entry in folders}
        yield place, folders, [entry for entry in shown if entry.name not in names]
        waiting += [entry.path for entry in reversed(folders) if not entry.is_symlink()]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, for example
        return False


def _identity(path: Path) -> int:
    """What file a path leads to; of one that leads nowhere, something of its own."""
    try:
        status = os.stat(path)
    except OSError:
        return -hash(str(path)) - 1
    return status.st_dev << 64 | status.st_ino


def _known(place: str, seen: set[tuple[int, int]]) -> int | None:
    """The device of a directory that was not seen before, and is from now on; else None."""
    try:
        status = os.stat(place)
    except FileNotFoundError:  # gone again
        return None
    key = (status.st_dev, status.st_ino)
    if key in seen:
        return None
    seen.add(key)
    return status.st_dev


def image_paths(root: Path, folder: str = "") -> list[str]:
    """Image files in `folder` and below it, relative to `root`, sorted; no hidden ones.

    Raises:
        LSCError: a folder that may not be read.
    """
    return look_through(root, [folder])[0].images


def _extension(name: str) -> str:
    return inert(os.path.splitext(name)[1].lower())[:20] or "no extension"


def _is_image(name: str) -> bool:
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in EXTENSIONS


def subfolders(folder: Path) -> list[str]:
    """Names of the folders in `folder`, sorted; no hidden ones, none where it is missing."""
    _, folders, _ = next(os.walk(folder, onerror=_refuse), ("", [], []))
    return sorted(name for name in folders if not name.startswith("."))


def _files(folder: Path) -> list[str]:
    """Names of the files in `folder`, none where it is missing."""
    return next(os.walk(folder, onerror=_refuse), ("", [], []))[2]


def _refuse(error: OSError) -> None:
    """What `os.walk` would pass over in silence; a missing folder is just empty."""
    if not isinstance(error, FileNotFoundError):
        raise LSCError(
            f"the folder {error.filename} cannot be listed ({error.strerror}): make it readable"
        ) from error


def require_folder(root: Path) -> None:
    """Make sure that `data.root` is a folder.

    Raises:
        LSCError: it is none.
    """
    if not root.is_dir():
        raise LSCError(
            f"data.root={root} is not a folder: pass one that holds a folder of images for each "
            "class (unpack archives first)"
        )


class ClassFolders(NamedTuple):
    """The class folders of the parts of a data set."""

    parts: list[ClassFiles]
    """Of each part the classes with images."""
    left_out: LeftOut


def class_folders(root: Path, *parts: str) -> ClassFolders:
    """The class folders in each of the folders `parts`, as far as they hold images at any depth.

    Args:
        parts: relative to `root`; by default `root` itself.

    Raises:
        LSCError: there are none in one of the parts.
    """
    parts = parts or ("",)
    places = [
        (number, name, f"{part}/{name}" if part else name)
        for number, part in enumerate(parts)
        for name in subfolders(root / part)
    ]
    files: list[ClassFiles] = [{} for _ in parts]
    left_out: LeftOut = {}
    contents = look_through(root, [path for _, _, path in places], files_once=True)
    for (number, name, _), found in zip(places, contents, strict=True):
        if found.images:
            files[number][inert(name)] = found.images
        reasons = found.left_out()
        if not found.images and not found.repeated:
            reasons[EMPTY_FOLDER] = 1
        for reason, count in reasons.items():
            of_class = left_out.setdefault(inert(name), {})
            of_class[reason] = of_class.get(reason, 0) + count
    for part in parts:
        if loose := sum(map(_is_image, _files(root / part))):
            left_out.setdefault(part or ".", {})["not in a folder of a class"] = loose
    for part, classes in zip(parts, files, strict=True):
        if not classes:
            raise LSCError(
                f"no class folders with images are in {root / part}: give each class a folder "
                "named after it, such as cat/1.png, and pass the folder around them by data.root="
                + _instead(left_out)
            )
    return ClassFolders(files, left_out)


def _instead(left_out: LeftOut) -> str:
    """What was found in the place of images."""
    reasons = [reason for of_class in left_out.values() for reason in of_class]
    return f" (what is there: {', '.join(sorted(set(reasons)))})" if reasons else ""

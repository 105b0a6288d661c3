"""Data sets that come as one archive with lists of their images: found, or downloaded."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from torchvision.datasets.utils import download_url, extract_archive

from lsc_continual.errors import LSCError, first_line
from lsc_continual.inputs.source import Source


@dataclass(frozen=True)
class Archive:
    """An archive as its makers publish it.

    Args:
        name: of the data set.
        url: of the archive.
        md5: of the archive.
        folder: what it unpacks to.
        marker: a file or folder in there that shows that it is the right one.
    """

    name: str
    url: str
    md5: str
    folder: str
    marker: str

    def obtain(self, source: Source) -> Path:
        """The unpacked folder: `source.root` or in it; downloaded if it is missing.

        Raises:
            LSCError: it is not there, and is not to be or cannot be downloaded.
        """
        place = source.root / self.folder
        for folder in (place, source.root):
            if (folder / self.marker).exists():
                return folder
        if place.exists():
            raise LSCError(f"{self.name} in {place} has no {self.marker}: {self._cure(source)}")
        if not source.download:
            raise self._missing(source, "data.download=false")
        try:
            download_url(self.url, source.root, md5=self.md5)
            self._unpack(source.root / Path(self.url).name, place)
        except Exception as error:  # of network, disk, zip and tar
            raise self._missing(source, first_line(error).rstrip(".")) from error
        return place

    def _unpack(self, archive: Path, place: Path) -> None:
        """Beside its place first: an interrupted unpacking must not look like a complete one."""
        with TemporaryDirectory(
            dir=place.parent, prefix=f".{place.name}-", ignore_cleanup_errors=True
        ) as temporary:
            extract_archive(archive, temporary)
            os.replace(Path(temporary, place.name), place)

    def _missing(self, source: Source, reason: str) -> LSCError:
        place = source.root / self.folder
        return LSCError(
            f"{self.name} is not in {place} and was not downloaded ({reason}): {self._cure(source)}"
        )

    def _cure(self, source: Source) -> str:
        return (
            f"unpack {self.url} in {source.root}, so that it holds {self.folder}/{self.marker}, or "
            "pass data.root= (and data.download=true with a network)"
        )


def read_lines(path: Path) -> list[str]:
    """The lines of a text file, without empty ones.

    Raises:
        LSCError: it is missing or not text.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or first_line(error)
        raise LSCError(f"{path} cannot be read ({reason}): unpack the data again") from error
    return [line for line in lines if line.strip()]


def read_pairs(path: Path, separator: str | None = None) -> dict[str, str]:
    """Key and value from lines such as "1 001.Black_footed_Albatross".

    Args:
        separator: between the two; by default white space.

    Raises:
        LSCError: the file is missing, or a line has no value.
    """
    pairs = {}
    for line in read_lines(path):
        key, *rest = line.split(separator, 1)
        if not rest:
            raise LSCError(
                f"{path} is damaged, it has the line {line[:40]!r}: unpack the data again"
            )
        pairs[key] = rest[0].strip()
    return pairs

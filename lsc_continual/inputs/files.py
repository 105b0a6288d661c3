"""Images in files, decoded when they are needed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from hashlib import blake2b, sha256
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lsc_continual.inputs.base import Images
from lsc_continual.inputs.decoding import Cut, Decoding
from lsc_continual.inputs.stored import as_unit_range
from lsc_continual.storage.reading import open_regular

_SAMPLED = 1024  # files whose content enters the fingerprint
_SAMPLED_BYTES = 65_536
_BEGINNING = 16_384  # bytes of a file by which it is known again


class ImageFiles(Images):
    """Image files, each brought to one size.

    Args:
        root: the folder that `paths` are relative to.
        paths: of the files.
        labels: LongTensor[count].
        resolution: height and width of what comes out.
        channels: 1 (grey) or 3 (colour).
        decoding: how the files become pixels.
    """

    def __init__(
        self,
        root: Path,
        paths: Sequence[str],
        labels: Tensor,
        resolution: int,
        channels: int = 3,
        decoding: Decoding | None = None,
    ) -> None:
        super().__init__(labels)
        self.root = root
        # One array: a list of a million strings would be copied into every worker process, page by
        # page, as reference counts change.
        self.paths = np.array([os.fsencode(path) for path in paths], dtype=np.bytes_)
        self.resolution = resolution
        self.channels = channels
        self.decoding = decoding or Decoding()

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.channels, self.resolution, self.resolution

    def path(self, index: int) -> Path:
        relative: bytes = self.paths[index]
        return self.root / os.fsdecode(relative)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return as_unit_range(self.pixels(index)), self.targets[index]

    def pixels(self, index: int, crop_scale: float | None = None) -> Tensor:
        """Image i as uint8 [channels, resolution, resolution].

        Args:
            crop_scale: cut out a random part of at least this share of the area, as usual in
                training; by default the middle, as usual in testing.

        Raises:
            UnreadableImageError: the file is missing, damaged or not an image.
        """
        from torchvision.transforms import v2  # late: it takes a second to import

        side = self.resolution
        if crop_scale is None:
            return Cut()(self.decoding.read(self.path(index), self.channels, side), side)
        crop = v2.RandomResizedCrop(side, scale=(crop_scale, 1.0), antialias=True)
        cut: Tensor = crop(self.decoding.read(self.path(index), self.channels))
        return cut

    def subset(self, rows: Tensor) -> ImageFiles:
        paths = [os.fsdecode(self.paths[row]) for row in rows.tolist()]
        labels = torch.tensor(self.targets)[rows]
        settings = self.resolution, self.channels, self.decoding
        return ImageFiles(self.root, paths, labels, *settings)

    def fingerprint(self) -> str:
        """Of all names and labels, and of size and content of some files spread over them.

        Asking a million files for their size takes minutes on some file systems.
        """
        digest = sha256(repr(self.shape).encode())
        digest.update(torch.tensor(self.targets).numpy().tobytes())
        digest.update(b"\n".join(self.paths.tolist()))
        for content in self._some().values():
            digest.update(content)
        return digest.hexdigest()[:16]

    @cached_property
    def digests(self) -> NDArray[np.uint64]:
        """Of each name, and of size and content of the same files as in the fingerprint."""
        some = self._some()
        parts = (path + some.get(index, b"") for index, path in enumerate(self.paths.tolist()))
        return np.array([path_digest(part) for part in parts], np.uint64)

    def _some(self) -> dict[int, bytes]:
        """Size and beginning of some files that are spread over all, by their places."""
        found = {}
        for index in np.linspace(0, len(self) - 1, min(_SAMPLED, len(self)), dtype=int).tolist():
            try:
                with open_regular(self.path(index)) as file:
                    size = os.fstat(file.fileno()).st_size
                    found[index] = str(size).encode() + file.read(_SAMPLED_BYTES)
            except OSError:
                found[index] = b"cannot be read"
        return found


def path_digest(path: bytes) -> int:
    """A number of 64 bits, the same for the same path."""
    return int.from_bytes(blake2b(path, digest_size=8).digest())


def file_digest(path: Path) -> int:
    """A number of 64 bits, the same for files of the same size and beginning.

    One that cannot be read has one of its own, hardly that of another.
    """
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            return path_digest(str(size).encode() + file.read(_BEGINNING))
    except OSError:
        return path_digest(b"cannot be read: " + os.fsencode(path))

"""Unknown inputs, put aside for somebody to look at."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsc_continual.errors import LSCError, inert
from lsc_continual.inputs.preparation import Content, Preparation
from lsc_continual.inputs.stored import as_unit_range
from lsc_continual.storage.folders import write_file

_LONGEST = 200  # bytes of a name that are kept; behind a number it must not have more than 255


def _short(name: str) -> str:
    """The end of a file's name, without what does something on a terminal."""
    return inert(name).encode()[-_LONGEST:].decode(errors="ignore")


class UnknownFolder:
    """A folder with a copy of each unknown input, named after its line in the output.

    Files keep their name behind the number; other inputs become .png files, .npy files where they
    have other than 1 or 3 channels, and .txt files where they are texts.

    Raises:
        LSCError: the folder cannot be written.
    """

    def __init__(self, folder: Path, prepare: Preparation) -> None:
        self.folder = folder
        self._prepare = prepare
        if folder.exists() and not folder.is_dir():
            raise LSCError(f"--save-unknown {folder} is a file: name a folder")
        with self._writing():
            folder.mkdir(parents=True, exist_ok=True)

    def add(self, line: int, content: Content) -> None:
        """Keep an input.

        Args:
            line: of the output that answers for it, from 1.
        """
        stem = f"{line:08d}"
        with self._writing():
            if isinstance(content, Path) and content.exists():  # somebody may have removed it
                shutil.copyfile(content, self.folder / f"{stem}-{_short(content.name)}")
            elif isinstance(content, str):
                write_file(self.folder / f"{stem}.txt", content.encode("utf-8", "replace"))
            elif isinstance(content, np.ndarray):
                extension, data = self._encoded(content)
                write_file(self.folder / f"{stem}{extension}", data)

    def _encoded(self, content: NDArray[Any]) -> tuple[str, bytes]:
        """File name extension and bytes of an image in memory."""
        from torchvision.transforms.v2.functional import to_pil_image  # late: it takes a second

        image, file = self._prepare(content), io.BytesIO()
        if len(image) not in (1, 3):
            np.save(file, image.numpy(), allow_pickle=False)
            return ".npy", file.getvalue()
        pixels = (as_unit_range(image) * 255).round().clamp(0, 255).byte()
        to_pil_image(pixels).save(file, "PNG")
        return ".png", file.getvalue()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise LSCError(
                f"{error.filename or self.folder} cannot be copied to {self.folder} "
                f"({error.strerror}): make room, or choose another --save-unknown"
            ) from error

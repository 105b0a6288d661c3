"""How an input becomes an image of the model's: an image, a table's row, a file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lsc_continual.errors import LSCError, first_line
from lsc_continual.inputs.decoding import Cut, Decoding
from lsc_continual.inputs.pixels import pixel_values
from lsc_continual.inputs.texts import text_bytes

Content = Path | str | NDArray[Any] | LSCError
"""An image file, a text, an image or a vector, or what was wrong with it."""

_LARGEST = 2**28  # bytes that one image may take while it is scaled


@dataclass(frozen=True)
class Preparation:
    """Brings an input into the form that the model was tested on.

    Image files are read, scaled and cut as test images are; arrays have to fit as they are, and
    rows of tables (images of 1×1) mean what they are.
    """

    shape: tuple[int, int, int]
    """Channels, height, width."""
    inverted: bool = False
    """Whether the model was trained on the negatives of files."""
    decoding: Decoding = field(default_factory=Decoding)
    """How files become pixels."""
    cut: Cut = field(default_factory=Cut)
    """How they are brought to a square."""
    texts: bool = False
    """Whether the model takes texts."""

    def content(self, given: Any) -> Content:
        """What people give, which may be a path as text."""
        if isinstance(given, Path | LSCError):
            return given
        if isinstance(given, str):
            return given if self.texts else Path(given)
        return given.detach().cpu().numpy() if isinstance(given, Tensor) else np.asarray(given)

    def __call__(self, content: Content) -> Tensor:
        """An image of `shape`, uint8 in 0 … 255 or float32 in 0 … 1; of a text, its bytes.

        Raises:
            LSCError: what is wrong with the input.
        """
        try:
            if isinstance(content, LSCError):
                raise content
            as_bytes = isinstance(content, np.ndarray) and content.dtype == np.uint8
            if self.texts != (isinstance(content, str) or (as_bytes and self.texts)):
                kind = "a text" if isinstance(content, str) else "no text"
                takes = "texts" if self.texts else "none"
                raise LSCError(f"it is {kind}, and the model takes {takes}")
            if isinstance(content, str):
                return self._text(content)
            return self._file(content) if isinstance(content, Path) else self._array(content)
        except LSCError:
            raise
        except Exception as error:  # whatever it is, other inputs are not to suffer
            raise LSCError(f"it cannot be prepared ({first_line(error)})") from error

    def _text(self, text: str) -> Tensor:
        return torch.from_numpy(text_bytes(text, self.shape[0]))[:, None, None]

    def _file(self, path: Path) -> Tensor:
        channels, height, width = self.shape
        if channels not in (1, 3):
            raise LSCError(f"the model takes {channels} channels, and image files have 1 or 3")
        if height == width:
            image = self.decoding.read(path, channels, self.cut.least(height))
            if image.nbytes * (height / max(1, min(image.shape[-2:]))) ** 2 > _LARGEST:
                across, down = image.shape[-1], image.shape[-2]
                raise LSCError(f"{path} is too long and narrow, {across}×{down}")
            image = self.cut(image, height)
        else:
            image = self.decoding.read(path, channels)
            if image.shape != self.shape:
                raise self._misfit(f"{path}", image.shape)
        return 255 - image if self.inverted else image

    def _array(self, x: NDArray[Any]) -> Tensor:
        channels, height, width = self.shape
        table = height == width == 1
        if table and x.shape == (channels,):
            x = x[:, None, None]
        elif x.shape == (height, width) and channels == 1:
            x = x[None]
        elif x.shape != self.shape:
            if x.shape != (height, width, channels):
                raise self._misfit("the vector" if table else "the image", x.shape)
            x = x.transpose(2, 0, 1)
        values = pixel_values(x, "the vector" if table else "the image", table)
        return torch.from_numpy(np.require(values, requirements=["C", "W"]))

    def _misfit(self, what: str, shape: tuple[int, ...]) -> LSCError:
        if self.shape[1:] == (1, 1) and len(shape) == 1:
            return LSCError(f"{what} has {shape[0]} numbers, and the model takes {self.shape[0]}")
        have, want = "×".join(map(str, shape)), "×".join(map(str, self.shape))
        return LSCError(f"{what} has shape {have or '()'}, and the model takes {want}")

"""Texts as rows of numbers: their bytes, so that all that holds images and vectors holds them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lsc_continual.errors import LSCError

BYTES = 2048
"""Of a text in a table of them, unless some are longer."""
MOST_BYTES = 8192
"""Of a text in a table that is held in memory as a whole."""


def text_bytes(text: str, longest: int) -> NDArray[np.uint8]:
    """A text in UTF-8, filled up with zeros: uint8 [longest]; what is longer is cut.

    Raises:
        LSCError: there is nothing in it.
    """
    data = text.replace("\0", " ").encode("utf-8", "replace")[:longest]
    if not data.strip():
        raise LSCError("the text is empty")
    row = np.zeros(longest, np.uint8)
    row[: len(data)] = np.frombuffer(data, np.uint8)
    return row


def text_rows(texts: Sequence[str]) -> NDArray[np.uint8]:
    """Texts one below the other: uint8 [count, bytes], at least `BYTES` and enough for all.

    Beyond `MOST_BYTES`, more than most encoders read, they are cut, which a warning says.

    Raises:
        LSCError: one of them is empty.
    """
    lengths = [len(text.encode("utf-8", "replace")) for text in texts]
    width = BYTES
    while width < min(max(lengths, default=0), MOST_BYTES):
        width *= 2
    if cut := sum(length > width for length in lengths):
        warnings.warn(f"{cut:,} texts are cut after {width:,} bytes", stacklevel=1)
    rows = np.empty((len(texts), width), np.uint8)
    for number, text in enumerate(texts):
        try:
            rows[number] = text_bytes(text, width)
        except LSCError as error:
            raise LSCError(f"row {number}: {error}") from error
    return rows


def texts_of(x: Tensor) -> list[str]:
    """The inverse, of a batch [batch, longest, 1, 1], also once it is in [0, 1]."""
    flat = x.flatten(1)
    if flat.is_floating_point():
        flat = (flat * 255).round()
    rows = flat.to(torch.uint8).cpu().numpy()
    return [bytes(row).rstrip(b"\0").decode("utf-8", "ignore") for row in rows]

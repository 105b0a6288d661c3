"""Texts as rows of numbers: their bytes, so that all that holds images and vectors holds them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lsc_continual.errors import LSCError


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


def texts_of(x: Tensor) -> list[str]:
    """The inverse, of a batch [batch, longest, 1, 1], also once it is in [0, 1]."""
    flat = x.flatten(1)
    if flat.is_floating_point():
        flat = (flat * 255).round()
    rows = flat.to(torch.uint8).cpu().numpy()
    return [bytes(row).rstrip(b"\0").decode("utf-8", "ignore") for row in rows]

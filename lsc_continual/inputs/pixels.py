"""Arrays in the shapes and types that people keep images in → tensors in ours."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lsc_continual.errors import LSCError
from lsc_continual.inputs.texts import text_rows

_WHOLE = 1e-3  # how near to a 255th a float is one
_CHUNK = 2**24  # bytes that digests are taken of at a time


def as_images(x: NDArray[Any], what: str) -> Tensor:
    """Tensor[N, C, H, W], uint8 or float32, for `StoredImages`.

    Args:
        x: [N, H, W], [N, H, W, C], [N, C, H, W], or a table [N, C], whose rows become 1×1 images.
            Integers mean 0 … 255, floats 0 … 1 (a table's mean what they are). Texts [N] become
            rows of their bytes.
        what: what the array is called in errors.

    Raises:
        LSCError: another shape, type or range, with what to do about it.
    """
    if x.ndim == 1 and x.dtype.kind == "U":
        x = text_rows(x.tolist())
    table = x.ndim == 2
    if table:
        x = x[:, :, None, None]
    elif x.ndim == 3:
        x = x[:, None]
    elif x.ndim == 4:
        x = _channels_first(x, what)
    else:
        raise LSCError(
            f"{what} has {x.ndim} dimensions: use [N, H, W], [N, H, W, C], [N, C, H, W] or a table "
            "[N, features]"
        )
    return torch.from_numpy(np.ascontiguousarray(pixel_values(x, what, table)))


def _channels_first(x: NDArray[Any], what: str) -> NDArray[Any]:
    a, b, c = x.shape[1:]
    first, last = a in (1, 3), c in (1, 3)
    if first == last:  # then the side that differs from two equal ones
        first, last = b == c != a, a == b != c
    if first == last:
        raise LSCError(
            f"{what} has shape {x.shape}, in which the channels cannot be told: bring it to "
            "[N, C, H, W] with C = 1 or 3, or to square images"
        )
    return x if first else x.transpose(0, 3, 1, 2)


def pixel_values(x: NDArray[Any], what: str, table: bool = False) -> NDArray[Any]:
    """The same array as uint8 in 0 … 255 or float32 in 0 … 1.

    Args:
        x: of any shape; integers mean 0 … 255, floats 0 … 1, or 0 … 255 if all are whole.
        what: what the array is called in errors.
        table: the numbers mean what they are.

    Raises:
        LSCError: another type or range.
    """
    if x.dtype == np.uint8:
        return x
    if x.dtype == np.bool_:
        return x.astype(np.uint8) * np.uint8(255)
    if x.dtype.kind not in "iuf":
        raise LSCError(f"{what} has the type {x.dtype}: use uint8 or floats")
    if not np.isfinite(x).all():
        raise LSCError(f"{what} holds values that are not finite: repair them")
    low, high = (x.min(), x.max()) if x.size else (0, 0)
    floats = x.dtype.kind == "f"
    if table or (floats and low >= 0 and high <= 1):
        return x.astype(np.float32)
    if low >= 0 and high <= 255 and (not floats or (x == np.rint(x)).all()):
        return x.astype(np.uint8)
    raise LSCError(
        f"{what} holds values from {low:g} to {high:g}: scale them to 0 … 1, or to whole numbers "
        "0 … 255"
    )


def pixel_digests(images: Tensor) -> NDArray[np.uint64]:
    """A number for each image: the same for the same pixels, and for others hardly ever.

    The mixed words of 64 bits, times odd numbers drawn once, added up modulo 2⁶⁴. Floats that are
    255ths have the digest of these as uint8.

    Args:
        images: [N, C, H, W], uint8 or floats.
    """
    if images.is_floating_point() and images.shape[-2:] != (1, 1):
        steps = images.clamp(0, 1) * 255
        as_bytes = ((steps - steps.round()).abs() < _WHOLE).flatten(1).all(1)
        as_bytes &= ((images >= 0) & (images <= 1)).flatten(1).all(1)
        if as_bytes.any():
            found = np.empty(len(images), np.uint64)
            found[as_bytes.numpy()] = pixel_digests(steps[as_bytes].round().byte())
            if not as_bytes.all():
                found[~as_bytes.numpy()] = _digests(images[~as_bytes])
            return found
    return _digests(images)


def _digests(images: Tensor) -> NDArray[np.uint64]:
    rows = images.contiguous().flatten(1).numpy()
    words = -(-rows.shape[1] * rows.itemsize // 8)
    factors = np.random.RandomState(0).randint(2**63, size=words, dtype=np.uint64) * 2 + 1
    step = max(1, _CHUNK // (8 * words))
    found = np.empty(len(rows), np.uint64)
    for start in range(0, len(rows), step):
        some = rows[start : start + step]
        padded = np.zeros((len(some), 8 * words), np.uint8)
        padded[:, : some[0].nbytes] = some.view(np.uint8)
        mixed = padded.view(np.uint64) * factors
        mixed ^= mixed >> np.uint64(29)
        found[start : start + step] = (mixed * factors).sum(1, dtype=np.uint64)
    return found

"""Which embeddings kernels for GPUs take; these are written in Triton."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from lsc_continual.kernels.compiler import is_concrete, wanted

_DTYPES = (torch.float32, torch.float16, torch.bfloat16)
_MOST_COORDINATES = 2**14  # that the registers of one program hold
_PER_WARP = 1024  # coordinates; up to here, no warp has to wait for another


def usable(z: Tensor) -> bool:
    """Whether kernels can work on embeddings: on a GPU, in 16 or 32 bits, not too wide."""
    fits = z.is_cuda and z.dtype in _DTYPES and z.shape[-1] <= _MOST_COORDINATES
    return fits and wanted() and is_concrete(z) and available()


@cache
def available() -> bool:
    """Whether Triton can be imported; modules that use it are imported only then."""
    try:
        import triton  # noqa: F401
    except Exception:  # not installed, or not for this machine
        return False
    return True


def warps(block: int) -> int:
    """How many a program has that holds rows of `block` coordinates."""
    return max(1, block // _PER_WARP)

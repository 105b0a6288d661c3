"""Kernels for GPUs, written in Triton: what they take, and a trial before they are relied on."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from lsc_continual.kernels.compiler import can_import, is_concrete, wanted

_DTYPES = (torch.float32, torch.float16, torch.bfloat16)
_MOST_COORDINATES = 2**14  # that the registers of one program hold
_PER_WARP = 1024  # coordinates; up to here, no warp has to wait for another

Kernel = Callable[..., tuple[Tensor, ...]]
"""FloatTensor[batch, dim] and whatever else it needs -> tensors of integers and of floats."""

_refused: set[tuple[str, torch.device]] = set()  # tasks, and where their kernels have failed


def usable(z: Tensor) -> bool:
    """Whether kernels can work on embeddings: on a GPU, in 16 or 32 bits, not too wide."""
    fits = z.is_cuda and z.dtype in _DTYPES and z.shape[-1] <= _MOST_COORDINATES
    return fits and wanted() and is_concrete(z) and available()


def available() -> bool:
    """Whether Triton can be imported; modules that use it are imported only then."""
    return can_import("triton")


def warps(block: int) -> int:
    """How many a program has that holds rows of `block` coordinates."""
    return max(1, block // _PER_WARP)


@dataclass
class CheckedKernel:
    """A kernel, until it fails: then its twin in plain torch.

    Kernels for GPUs depend on a driver, a C compiler and a version of Triton that no test of this
    package can foresee. So the first embeddings on each device, of each number format, make the
    two compute a small fixed batch. If answers differ, or anything is raised, one warning says so,
    and plain torch does whatever there is of this task on that device, for all systems.
    """

    task: str
    """What is done, in the words of the warning: "decodes"."""
    kernel: Kernel
    plain: Kernel
    """The same in plain torch, of embeddings in float32."""
    sample: Callable[[], tuple[Any, ...]]
    """Makes what the two are tried on, arguments for them on the CPU."""
    tolerance: float
    """By which floats may differ."""
    _passed: set[tuple[torch.device, torch.dtype]] = field(default_factory=set, init=False)

    def __call__(self, z: Tensor, *others: Any) -> tuple[Tensor, ...]:
        """What the kernel gives."""
        kind, here = (z.device, z.dtype), (self.task, z.device)
        if here not in _refused and kind not in self._passed:
            trouble = self._trouble(*kind)
            if trouble:
                _refused.add(here)
                said = f"plain torch {self.task} on {z.device}, as the kernel for it failed"
                warnings.warn(f"{said}: {trouble}", stacklevel=3)
            self._passed.add(kind)
        if here in _refused:
            return self.plain(z.float(), *others)
        return self.kernel(z, *others)

    @torch.inference_mode(False)  # plain torch may take gradients
    @torch.no_grad()
    def _trouble(self, device: torch.device, dtype: torch.dtype) -> str:
        """What is wrong with the kernel; empty if nothing."""
        z, *others = self.sample()
        try:
            z = z.to(device, dtype)
            found = self.kernel(z, *others)
            expected = self.plain(z.float(), *others)
            same = all(map(self._agree, found, expected))
        except Exception as error:
            return str(error).strip().partition("\n")[0] or type(error).__name__
        return "" if same else "its answers differ"

    def _agree(self, found: Tensor, expected: Tensor) -> bool:
        if not expected.is_floating_point():
            return torch.equal(found, expected)
        return torch.allclose(found, expected.to(found), atol=self.tolerance)

"""Compiled code that is tried out before it is relied on."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Kernel = Callable[..., tuple[Tensor, ...]]
"""FloatTensor[batch, dim] and whatever else it needs -> tensors of integers and of floats."""

_refused: set[tuple[str, torch.device]] = set()  # tasks, and where their kernels have failed


class CheckedKernel:
    """A kernel, until it fails: then its twin in plain torch.

    Kernels for GPUs depend on a driver, a C compiler and a version of Triton that no test of this
    package can foresee. So the first embeddings on each device, of each number format, make the
    two compute a small fixed batch. If answers differ, or anything is raised, one warning says so,
    and plain torch does whatever there is of this task on that device, for all systems.

    Args:
        task: what is done, in the words of the warning: "decodes".
        kernel: the compiled code.
        plain: the same, of embeddings in float32.
        sample: makes what the two are tried on, arguments for them on the CPU.
        tolerance: by which floats may differ.
    """

    def __init__(
        self,
        task: str,
        kernel: Kernel,
        plain: Kernel,
        sample: Callable[[], tuple[Any, ...]],
        tolerance: float,
    ) -> None:
        self._task = task
        self._kernel = kernel
        self._plain = plain
        self._sample = sample
        self._tolerance = tolerance
        self._passed: set[tuple[torch.device, torch.dtype]] = set()

    def __call__(self, z: Tensor, *others: Any) -> tuple[Tensor, ...]:
        """What the kernel gives."""
        kind, here = (z.device, z.dtype), (self._task, z.device)
        if here not in _refused and kind not in self._passed:
            trouble = self._trouble(*kind)
            if trouble:
                _refused.add(here)
                said = f"plain torch {self._task} on {z.device}, as the kernel for it failed"
                warnings.warn(f"{said}: {trouble}", stacklevel=3)
            self._passed.add(kind)
        if here in _refused:
            return self._plain(z.float(), *others)
        return self._kernel(z, *others)

    @torch.inference_mode(False)  # plain torch may take gradients
    @torch.no_grad()
    def _trouble(self, device: torch.device, dtype: torch.dtype) -> str:
        """What is wrong with the kernel; empty if nothing."""
        z, *others = self._sample()
        try:
            z = z.to(device, dtype)
            found = self._kernel(z, *others)
            expected = self._plain(z.float(), *others)
            same = all(map(self._agree, found, expected))
        except Exception as error:
            return str(error).strip().partition("\n")[0] or type(error).__name__
        return "" if same else "its answers differ"

    def _agree(self, found: Tensor, expected: Tensor) -> bool:
        if not expected.is_floating_point():
            return torch.equal(found, expected)
        return torch.allclose(found, expected.to(found), atol=self._tolerance)

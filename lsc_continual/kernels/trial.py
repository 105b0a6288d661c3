"""Compiled code that is tried out before it is relied on."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

Parts = tuple[Tensor, Tensor, Tensor]
"""Address, score and gap, as in `systems.Decoded`."""

_refused: set[torch.device] = set()  # where compiled code has failed


class Trial:
    """A decoder, until it fails: then its twin in plain torch.

    Kernels for GPUs depend on a driver, a C compiler and a version of Triton that no test of this
    package can foresee. So the first embeddings on each device, of each number format, make the
    two decode a small fixed batch. If answers differ, or anything is raised, one warning says so,
    and plain torch decodes whatever comes on that device, for all systems.

    Args:
        decoder: FloatTensor[batch, dim] -> three of [batch].
        plain: the same, of embeddings in float32.
        dim: number of coordinates.
    """

    def __init__(
        self, decoder: Callable[[Tensor], Parts], plain: Callable[[Tensor], Parts], dim: int
    ) -> None:
        self._decoder = decoder
        self._plain = plain
        self._dim = dim
        self._passed: set[tuple[torch.device, torch.dtype]] = set()

    def __call__(self, z: Tensor) -> Parts:
        """FloatTensor[batch, dim] -> [batch] each."""
        kind = z.device, z.dtype
        if z.device not in _refused and kind not in self._passed:
            trouble = self._trouble(*kind)
            if trouble:
                _refused.add(z.device)
                said = f"plain torch decodes embeddings on {z.device}, as the kernel for it failed"
                warnings.warn(f"{said}: {trouble}", stacklevel=3)
            self._passed.add(kind)
        return self._plain(z.float()) if z.device in _refused else self._decoder(z)

    @torch.no_grad()
    def _trouble(self, device: torch.device, dtype: torch.dtype) -> str:
        """What is wrong with the decoder; empty if nothing."""
        normal = torch.randn(24, self._dim, generator=torch.Generator().manual_seed(0))
        z = torch.cat([normal, normal.round(), normal[:1] * 0])  # ties and both zeros, too
        try:
            z = z.to(device, dtype)
            address, *numbers = self._decoder(z)
            expected, *others = self._plain(z.float())
            close = [torch.allclose(*pair, atol=1e-3) for pair in zip(numbers, others)]
            same = torch.equal(address, expected) and all(close)
        except Exception as error:
            return str(error).strip().partition("\n")[0] or type(error).__name__
        return "" if same else "its answers differ"

"""The vertices of the hypercube."""

from __future__ import annotations

from math import sqrt

import torch
import torch.nn.functional as F
from torch import Tensor

from lsc_continual.systems.base import Decoded, VectorSystem, as_float


class Hypercube(VectorSystem):
    """{±1}^n/√n: the binary code that Latent Point Collapse converges to (arXiv 2310.08224).

    Bit i of the address says whether coordinate i is positive. log Z = Σ_i log 2cosh(s u_i/√n).
    """

    def size_at(self, dim: int) -> int:
        return 1 << dim

    @property
    def max_cosine(self) -> float:
        return 1 - 2 / self.dim

    def vectors(self, addresses: Tensor) -> Tensor:
        self._check_addresses(addresses)
        bits = (addresses.unsqueeze(-1) >> self._bit(addresses)) & 1
        return (2.0 * bits - 1.0) / sqrt(self.dim)

    def decode(self, z: Tensor) -> Decoded:
        self._check_dim(z)
        z = as_float(z)
        address = ((z > 0).long() << self._bit(z)).sum(-1)
        magnitude = z.abs() / sqrt(self.dim)
        norm = z.norm(dim=-1).clamp_min(torch.finfo(z.dtype).tiny)
        return Decoded(address, magnitude.sum(-1) / norm, 2 * magnitude.amin(-1) / norm)

    def _log_partition(self, x: Tensor) -> Tensor:
        t = (x / sqrt(self.dim)).abs()
        return (t + F.softplus(-2 * t)).sum(-1)  # log 2cosh(t) = |t| + log(1 + e^(−2|t|))

    def _bit(self, like: Tensor) -> Tensor:
        return torch.arange(self.dim, device=like.device)

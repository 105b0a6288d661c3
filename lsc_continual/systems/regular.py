"""The vertices of two regular polytopes: the hypercube, and the simplex.

The simplex is known in classification as the simplex equiangular tight frame.
"""

from __future__ import annotations

from math import sqrt

import torch
import torch.nn.functional as F
from torch import Tensor

from lsc_continual.systems.base import Decoded, VectorSystem, as_float, length_of, told


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
        self.require_batch(z)
        z = as_float(z)
        address = ((z > 0).long() << self._bit(z)).sum(-1)
        magnitude = z.abs() / sqrt(self.dim)
        norm = length_of(z)
        return told(Decoded(address, magnitude.sum(-1) / norm, 2 * magnitude.amin(-1) / norm))

    def _log_partition(self, x: Tensor) -> Tensor:
        t = (x / sqrt(self.dim)).abs()
        return (t + F.softplus(-2 * t)).sum(-1)  # log 2cosh(t) = |t| + log(1 + e^(−2|t|))

    def _bit(self, like: Tensor) -> Tensor:
        return torch.arange(self.dim, device=like.device)


class Simplex(VectorSystem):
    """K = n + 1 vectors with cosine −1/n between any two: the class encoding of neural collapse.

    With all coordinates equal to c/√n in the last vector (address n), the others are
    √(1 + 1/n) e_i + offset · 1, so that inner products cost O(n) for all K vectors together.
    """

    def __init__(self, name: str, dim: int) -> None:
        super().__init__(name, dim)
        self._spike = sqrt(1 + 1 / dim)
        self._offset = -(sqrt(dim + 1) - 1) / dim**1.5
        self._last = -1 / sqrt(dim)

    def size_at(self, dim: int) -> int:
        return dim + 1 if dim else 0

    @property
    def max_cosine(self) -> float:
        return -1 / self.dim

    def vectors(self, addresses: Tensor) -> Tensor:
        self._check_addresses(addresses)
        coordinate = torch.arange(self.dim, device=addresses.device)
        spike = self._spike * (addresses.unsqueeze(-1) == coordinate) + self._offset
        return torch.where((addresses == self.dim).unsqueeze(-1), self._last, spike)

    def _all_inner(self, x: Tensor) -> Tensor:
        total = x.sum(-1, keepdim=True)
        return torch.cat([self._spike * x + self._offset * total, self._last * total], -1)

    def decode(self, z: Tensor) -> Decoded:
        self.require_batch(z)
        z = as_float(z)
        scores = self._all_inner(z)
        address = scores.argmax(-1)  # the first of equals
        norm = length_of(z)
        best, second = scores.topk(2, dim=-1).values.unbind(-1)
        return told(Decoded(address, best / norm, (best - second) / norm))

    def _log_partition(self, x: Tensor) -> Tensor:
        return self._all_inner(x).logsumexp(-1)

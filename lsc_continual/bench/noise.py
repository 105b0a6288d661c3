"""Embeddings that decode to a vector which nobody owns, in a given share of cases."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lsc_continual.targets import Targets

_SAMPLE = 16_384  # embeddings that a share of misses is measured on
_LARGEST = 64.0  # times a target's norm, beyond which there is nothing but noise
_HALVINGS = 30


class Queries(NamedTuple):
    """Embeddings, target + σ · Gaussian noise, and how many of them miss."""

    z: Tensor
    """FloatTensor[count, dim]."""
    wanted: float
    """Share of misses that the noise was chosen for."""
    misses: float
    """Share whose nearest vector of the whole system is not owned."""


def miss_rate(targets: Targets, z: Tensor) -> float:
    """Share of embeddings whose nearest vector of the whole system nobody owns."""
    _, owner = targets.allocation.decode(z)
    return (owner < 0).double().mean().item()


def find_sigma(targets: Targets, misses: float, device: torch.device) -> float | None:
    """The σ of the noise that makes a share `misses` of the embeddings miss, by bisection.

    None where no noise does, because too few vectors are without owner.
    """
    if misses == 0:
        return 0.0
    clean, noise = _sample(targets, _SAMPLE, device, seed=0)

    def missed(sigma: float) -> float:
        return miss_rate(targets, clean + sigma * noise)

    low, high = 0.0, 1.0 / targets.system.dim
    while missed(high) < misses:
        low, high = high, 2 * high
        if high > _LARGEST:
            return None
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if missed(middle) >= misses else (middle, high)
    return high


def make_queries(
    targets: Targets, misses: float, count: int, device: torch.device
) -> Queries | None:
    """`count` embeddings of which about a share `misses` miss; None where no noise does that."""
    sigma = find_sigma(targets, misses, device)
    if sigma is None:
        return None
    clean, noise = _sample(targets, count, device, seed=1)
    z = clean + sigma * noise
    return Queries(z, misses, miss_rate(targets, z))


def _sample(targets: Targets, count: int, device: torch.device, seed: int) -> tuple[Tensor, Tensor]:
    """Targets of random classes, and Gaussian noise: FloatTensor[count, dim] each."""
    draw = torch.Generator().manual_seed(seed)
    ordinals = torch.randint(len(targets), (count,), generator=draw)
    noise = torch.randn(count, targets.system.dim, generator=draw)
    return targets.vectors(ordinals).to(device), noise.to(device)

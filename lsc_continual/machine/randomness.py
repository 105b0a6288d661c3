"""The random number generators of all libraries: seeded, kept and put back together."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch


def seed_everything(seed: int) -> None:
    """Seed Python, numpy and torch. On one machine, CPU runs are then reproducible to the bit."""
    random.seed(seed)
    np.random.seed(seed)  # Avalanche draws from the global generator
    torch.manual_seed(seed)


def random_state(device: torch.device) -> dict[str, Any]:
    """Where all generators stand, in JSON types."""
    name, keys, *numbers = np.random.get_state(legacy=True)
    return {
        "python": list(random.getstate()),
        "numpy": [name, np.asarray(keys).tolist(), *numbers],
        "torch": torch.get_rng_state().tolist(),
        "cuda": torch.cuda.get_rng_state(device).tolist() if device.type == "cuda" else None,
    }


def restore_random_state(state: dict[str, Any], device: torch.device) -> None:
    """The inverse of `random_state`; what only the other kind of device has is left alone."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    name, keys, *numbers = state["numpy"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), *numbers))
    torch.set_rng_state(torch.tensor(state["torch"], dtype=torch.uint8))
    if device.type == "cuda" and state["cuda"] is not None:
        torch.cuda.set_rng_state(torch.tensor(state["cuda"], dtype=torch.uint8), device)

"""Which device computes, in which precision, and how many processes read files."""

from __future__ import annotations

import os

import torch

from lsc_continual.errors import LSCError
from lsc_continual.machine import distributed


def pick_device(name: str, setting: str = "train.device=") -> torch.device:
    """The device of `train.device`; "auto" is this process's GPU if there is one.

    Args:
        setting: how the user chooses it, for errors.

    Raises:
        LSCError: no such device here.
    """
    if name == "auto":
        available = torch.cuda.is_available()
        return torch.device("cuda", distributed.local_rank()) if available else torch.device("cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise LSCError(f"{setting}{name} is not available here: use auto or cpu") from error
    if device.type not in ("cpu", "cuda"):
        raise LSCError(f"{setting}{name} cannot be used: use auto, cpu or cuda")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return device


def pick_precision(name: str, device: torch.device) -> str:
    """The precision of `train.precision`; "auto" is bf16 on GPUs that compute in it."""
    if name == "auto":
        return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported(False) else "fp32"
    return name


def pick_workers(number: int | None, device: torch.device) -> int:
    """The processes of `train.workers` that read files; by default most of the cores.

    On a CPU two fewer, because training needs cores too.
    """
    if number is not None:
        return number
    cores = len(os.sched_getaffinity(0)) // max(1, int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    return min(16, cores - 1) if device.type == "cuda" else max(0, cores - 2)

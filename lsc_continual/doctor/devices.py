"""What can compute: the processor, and GPUs or why there are none."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lsc_continual.doctor.finding import Finding, judged, size
from lsc_continual.errors import first_line
from lsc_continual.machine.environment import processor

_DRIVER = Path("/proc/driver/nvidia/version")
_OLDEST_BF16 = 8  # major compute capability: Ampere


def look_at_devices() -> Iterator[Finding]:
    """Processor, torch's build, and each GPU."""
    cores = len(os.sched_getaffinity(0))
    machine = os.cpu_count() or cores
    usable = f"{cores} cores" if cores == machine else f"{cores} of {machine} cores"
    yield Finding("cpu", "ok", f"{processor()}, {usable}")
    try:
        import torch
    except Exception as error:  # ImportError, or OSError for a shared library that is missing
        reason = f"cannot be loaded ({first_line(error)})"
        yield Finding("torch", "broken", reason, "pip install --force-reinstall torch")
        return
    threads = torch.get_num_threads()
    cure = f"more than the {cores} cores it may use: set OMP_NUM_THREADS={cores}"
    yield judged("threads", threads <= cores, f"torch computes with {threads}", cure)
    yield from look_at_gpus(torch)


def look_at_gpus(torch: Any) -> Iterator[Finding]:
    """GPUs that this torch can use, and if there are none, why."""
    build, driver = _build(torch), driver_version()
    if build is None:
        cure = "to use a GPU, install a build of torch for it: https://pytorch.org/get-started"
        if driver:
            cure = f"the GPU's driver {driver} is here: {cure}"
        yield Finding("gpu", "note", "none: torch is built for the CPU only", cure)
        return
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        reason = _why_not(torch)
        gpus = [] if reason else list(_gpus(torch))
    if reason:
        cure = "runs use the CPU; for a GPU, install its driver (in a container, pass the GPU on)"
        if driver and not os.environ.get("CUDA_VISIBLE_DEVICES", "all").strip():
            cure = "runs use the CPU; CUDA_VISIBLE_DEVICES is empty: unset it to use the GPU"
        elif driver:
            cure = f"runs use the CPU; the driver is {driver}, torch is built for {build}"
        yield Finding("gpu", "note", f"none for {build}: {reason}", cure)
        return
    yield Finding("driver", "ok", f"{driver or 'unknown'}, torch is built for {build}")
    yield from gpus
    for text in dict.fromkeys(first_line(warning.message) for warning in caught):  # type: ignore[arg-type]
        yield Finding("gpu", "note", text.strip(), "train.device=cpu avoids the GPU")


def driver_version() -> str | None:
    """NVIDIA's kernel driver, if it is loaded."""
    try:
        text = _DRIVER.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    found = re.search(r"\b\d+\.\d+(\.\d+)?\b", text)
    return found.group() if found else None


def _build(torch: Any) -> str | None:
    if torch.version.cuda:
        return f"CUDA {torch.version.cuda}"
    hip = getattr(torch.version, "hip", None)
    return f"ROCm {hip}" if hip else None


def _why_not(torch: Any) -> str | None:
    """The first sentence of torch's reason not to use GPUs; None if it can."""
    if torch.cuda.is_available():
        return None
    try:
        torch.cuda.init()
    except Exception as error:
        return re.split(r"\. |: ", first_line(error))[0].rstrip(".")
    return "no device is visible"


def _gpus(torch: Any) -> Iterator[Finding]:
    for index in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(index)
        bf16 = bool(getattr(torch.version, "hip", None)) or about.major >= _OLDEST_BF16
        yield Finding(
            f"cuda:{index}",
            "ok",
            f"{about.name}, {size(about.total_memory)}, {'bf16' if bf16 else 'no bf16'}",
            "" if bf16 else "runs use fp32; train.precision=fp16 is faster",
        )

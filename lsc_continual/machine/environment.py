"""What produced a result: versions and machine."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def describe_environment(device: torch.device) -> dict[str, Any]:
    """Versions, platform, processor, threads and device, in JSON types."""
    import torch

    return {
        "lsc_continual": version("lsc_continual"),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "avalanche": version("avalanche-lib"),
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "cpu_threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
    }


def processor() -> str:
    """The processor's name; `platform.processor()` is often empty on Linux."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()

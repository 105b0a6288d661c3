"""How much memory there is, and how much something takes."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

_CGROUP = Path("/sys/fs/cgroup")


def available_bytes(device: torch.device) -> int:
    """Bytes that can still be had: of the GPU, or of the machine or the container."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    machine = _read("/proc/meminfo", "MemAvailable")
    try:
        limit, used = ((_CGROUP / f"memory.{name}").read_text() for name in ("max", "current"))
        return min(machine, int(limit) - int(used))
    except (OSError, ValueError):  # no container, or one that is told "max"
        return machine


def held_bytes(thing: object) -> int:
    """Bytes of all tensors, arrays, containers and numbers that an object of ours holds."""
    seen: set[int] = set()
    total, left = 0, [thing]
    while left:
        one = left.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        total += sys.getsizeof(one)
        if isinstance(one, torch.Tensor):
            storage = one.untyped_storage()
            total += storage.nbytes() if storage.data_ptr() not in seen else 0
            seen.add(storage.data_ptr())
        elif isinstance(one, Mapping):
            left += [*one.keys(), *one.values()]
        elif isinstance(one, list | tuple | set | frozenset):
            left += one
        elif type(one).__module__.startswith("lsc_continual"):
            left.append(getattr(one, "__dict__", ()))
    return total


def peak_of_process(module: str, arguments: Sequence[object]) -> int | None:
    """What `python -m module` prints, a number of bytes, in a process of its own.

    Memory that this process has touched before would hide what is measured. None where that
    process came to grief, for example for want of memory.
    """
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,  # Ctrl-C is for this process, which then ends the other
    )
    return int(done.stdout) if done.returncode == 0 else None


def resident_bytes() -> int:
    """Of this process, now."""
    return _read("/proc/self/status", "VmRSS")


def peak_resident_bytes() -> int:
    """The most that this process has had, since its start or since the latest `Peak` was made."""
    return _read("/proc/self/status", "VmHWM")


def _read(file: str, field: str) -> int:
    found = re.search(rf"{field}:\s+(\d+)", Path(file).read_text("ascii", errors="replace"))
    return 1024 * int(found[1]) if found else 0


class Peak:
    """The largest resident memory since the start, beyond what there was then."""

    def __init__(self) -> None:
        Path("/proc/self/clear_refs").write_text("5")  # forgets the largest so far
        self._start = resident_bytes()

    def bytes(self) -> int:
        return max(0, peak_resident_bytes() - self._start)

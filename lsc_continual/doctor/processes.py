"""Threads, workers that read files, and several processes that train together."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from lsc_continual.doctor.finding import Finding, judged, size

_SHARED = Path("/dev/shm")
_ENOUGH_SHARED = 64 * 2**20  # bytes; some batches of photographs for a few workers
_TORCHRUN = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def look_at_processes() -> Iterator[Finding]:
    """Environment variables and shared memory."""
    yield _threads(os.environ.get("OMP_NUM_THREADS"))
    yield _waiting(os.environ.get("OMP_WAIT_POLICY"))
    yield _shared_memory(_SHARED)
    yield _torchrun()


def _threads(value: str | None) -> Finding:
    name = "OMP_NUM_THREADS"
    if value is None:
        return Finding(name, "ok", "not set: torch chooses")
    if not value.split(",")[0].strip().isdigit() or int(value.split(",")[0]) < 1:
        return Finding(name, "note", f"{value!r} is not a number", f"unset {name}")
    return Finding(name, "ok", value)


def _waiting(value: str | None) -> Finding:
    name = "OMP_WAIT_POLICY"
    if value is None:
        return Finding(name, "ok", "not set: runs use PASSIVE")
    cure = "waiting threads keep cores from other processes, and runs are slow: unset it"
    return judged(name, value.strip().upper() == "PASSIVE", value, cure)


def _shared_memory(folder: Path) -> Finding:
    """Workers hand their batches over in shared memory, which containers have little of."""
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        found, enough = "not usable", False
    else:
        free = shutil.disk_usage(folder).free
        found, enough = f"{size(free)} free", free >= _ENOUGH_SHARED
    cure = "for images in files: train.workers=0, or docker run --shm-size=1g"
    return judged(str(folder), enough, found, cure)


def _torchrun() -> Finding:
    if (count := os.environ.get("WORLD_SIZE")) is None:
        installed = shutil.which("torchrun") is not None
        found = f"not in use: one process; {'installed' if installed else 'not on the PATH'}"
        cure = "for several GPUs: python -m torch.distributed.run in its place"
        return judged("torchrun", installed, found, cure)
    found = f"process {os.environ.get('RANK', '?')} of {count}"
    lacking = [name for name in _TORCHRUN if name not in os.environ]
    if not lacking or count.strip() == "1":
        return Finding("torchrun", "ok", found)
    cure = "start with torchrun, or unset WORLD_SIZE for a single process"
    return Finding("torchrun", "broken", f"{found}, but {', '.join(lacking)} not set", cure)

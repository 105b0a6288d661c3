"""Threads, workers that read files, and several processes that train together."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from lsc_continual.doctor.finding import Finding, size

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
        return Finding("processes", name, "ok", "not set: torch chooses")
    if not value.split(",")[0].strip().isdigit() or int(value.split(",")[0]) < 1:
        return Finding("processes", name, "note", f"{value!r} is not a number", f"unset {name}")
    return Finding("processes", name, "ok", value)


def _waiting(value: str | None) -> Finding:
    name = "OMP_WAIT_POLICY"
    if value is None:
        return Finding("processes", name, "ok", "not set: runs use PASSIVE")
    if value.strip().upper() == "PASSIVE":
        return Finding("processes", name, "ok", value)
    cure = "waiting threads keep cores from other processes, and runs are slow: unset it"
    return Finding("processes", name, "note", value, cure)


def _shared_memory(folder: Path) -> Finding:
    """Workers hand their batches over in shared memory, which containers have little of."""
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        found, enough = "not usable", False
    else:
        free = shutil.disk_usage(folder).free
        found, enough = f"{size(free)} free", free >= _ENOUGH_SHARED
    cure = "for images in files: train.workers=0, or docker run --shm-size=1g"
    name = f"{folder}"
    return Finding("processes", name, "ok" if enough else "note", found, "" if enough else cure)


def _torchrun() -> Finding:
    there = [name for name in _TORCHRUN if name in os.environ]
    if "WORLD_SIZE" in there:
        lacking = [name for name in _TORCHRUN if name not in there]
        found = f"process {os.environ.get('RANK', '?')} of {os.environ['WORLD_SIZE']}"
        if not lacking or os.environ["WORLD_SIZE"].strip() == "1":
            return Finding("processes", "torchrun", "ok", found)
        cure = "start with torchrun, or unset WORLD_SIZE for a single process"
        found = f"{found}, but {', '.join(lacking)} not set"
        return Finding("processes", "torchrun", "broken", found, cure)
    if shutil.which("torchrun"):
        return Finding("processes", "torchrun", "ok", "not in use: one process; installed")
    found = "not in use: one process; not on the PATH"
    cure = "for several GPUs: python -m torch.distributed.run in its place"
    return Finding("processes", "torchrun", "note", found, cure)

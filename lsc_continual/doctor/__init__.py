"""Whether runs can work on this machine, and what would help: versions, devices, data, folders.

Nothing heavy is imported here, and torch only behind a guard, so that a broken installation can be
told from a sound one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from lsc_continual.doctor.data import find_data
from lsc_continual.doctor.devices import look_at_devices
from lsc_continual.doctor.finding import Finding, State, guarded
from lsc_continual.doctor.folders import look_at_folders
from lsc_continual.doctor.processes import look_at_processes

__all__ = ["Finding", "State", "examine"]


def examine(root: Path, runs: Path = Path("runs")) -> list[Finding]:
    """Look at everything that runs depend on.

    Args:
        root: folder of the data, as in `data.root`.
        runs: folder in which run folders are made.
    """
    looks: dict[str, Callable[[], Iterable[Finding]]] = {
        "versions": _check_versions,
        "devices": look_at_devices,
        "processes": look_at_processes,
        "folders": partial(look_at_folders, runs, root),
        "data": partial(find_data, root),
        "extras": _check_extras,
    }
    return [finding for group, look in looks.items() for finding in guarded(group, look)]


# Late, because the library that reads requirements may itself be missing.
def _check_versions() -> Iterator[Finding]:
    from lsc_continual.doctor.packages import check_versions

    yield from check_versions()


def _check_extras() -> Iterator[Finding]:
    from lsc_continual.doctor.packages import check_extras

    yield from check_extras()

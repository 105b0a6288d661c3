"""Whether runs can work on this machine, and what would help: versions, devices, data, folders.

Nothing heavy is imported here, and torch only behind a guard, so that a broken installation can be
told from a sound one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType

from lsc_continual.doctor.data import find_data
from lsc_continual.doctor.devices import look_at_devices
from lsc_continual.doctor.finding import Finding, State, guarded
from lsc_continual.doctor.folders import look_at_folders
from lsc_continual.doctor.processes import look_at_processes

__all__ = ["Finding", "State", "examine"]


def examine(root: Path) -> dict[str, list[Finding]]:
    """Look at everything that runs depend on; the findings by the heading under which they stand.

    Args:
        root: folder of the data, as in `data.root`.
    """
    looks: dict[str, Callable[[], Iterable[Finding]]] = {
        "versions": lambda: _packages().check_versions(),
        "devices": look_at_devices,
        "processes": look_at_processes,
        "folders": lambda: look_at_folders(Path("runs"), root),
        "data": lambda: find_data(root),
        "extras": lambda: _packages().check_extras(),
    }
    return {group: guarded(group, look) for group, look in looks.items()}


def _packages() -> ModuleType:
    """Imported late, because the library that reads requirements may itself be missing."""
    from lsc_continual.doctor import packages

    return packages

"""Which scenarios' data are here, by the names of their files: nothing is opened or decoded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lsc_continual.doctor.finding import Finding, shown
from lsc_continual.scenarios.names import SCENARIOS, Files


def find_data(root: Path) -> Iterator[Finding]:
    """Every scenario of the catalogue that reads files."""
    for name, scenario in SCENARIOS.items():
        if scenario.files is not None:
            yield find(name, scenario.files, root)


def find(name: str, files: Files, root: Path) -> Finding:
    """One scenario's data in `root`."""
    if not files.needs:
        return Finding("data", name, "note", "your own, not looked for", files.get)
    for place in files.places:
        folder = root / place
        lacking = [need for need in files.needs if not _matches(folder, need)]
        if not lacking:
            return Finding("data", name, "ok", f"in {shown(folder)}")
        if len(lacking) < len(files.needs):
            found = f"incomplete in {shown(folder)}: no {lacking[0]}"
            return Finding("data", name, "missing", found, _cure(files, root))
    found = f"not in {shown(root)}{'; a run downloads it' if files.downloaded else ''}"
    return Finding("data", name, "missing", found, _cure(files, root))


def _matches(folder: Path, pattern: str) -> bool:
    return any(True for _ in folder.glob(pattern))


def _cure(files: Files, root: Path) -> str:
    place = shown(root / files.places[0])
    return f"{'by hand' if files.downloaded else 'get it'}: {files.get} into {place}"

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
        return Finding(name, "note", "your own, not looked for", files.get)
    found = f"not in {shown(root)}{'; a run downloads it' if files.downloaded else ''}"
    for place in files.places:
        folder = root / place
        lacking = [need for need in files.needs if not any(folder.glob(need))]
        if not lacking:
            return Finding(name, "ok", f"in {shown(folder)}")
        if len(lacking) < len(files.needs):
            found = f"incomplete in {shown(folder)}: no {lacking[0]}"
            break
    place = shown(root / files.places[0])
    cure = f"{'by hand' if files.downloaded else 'get it'}: {files.get} into {place}"
    return Finding(name, "missing", found, cure)

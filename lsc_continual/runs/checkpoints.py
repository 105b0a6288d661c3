"""Checkpoints of a run: everything it takes to go on."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any

from lsc_continual.errors import LSCError, first_line
from lsc_continual.storage.folders import DamagedError, read_folder, write_folder
from lsc_continual.storage.packing import pack, unpack

_FORMAT = 3
_READABLE = (2, 3)
_STRUCTURE, _TENSORS = "state.json", "tensors.safetensors"


class Checkpoints:
    """The checkpoints in a folder, one subfolder each, named by training steps done.

    Args:
        path: the folder.
        keep: how many to keep.
    """

    def __init__(self, path: Path, keep: int = 2) -> None:
        self.path = path
        self.keep = keep

    def write(self, step: int, state: Any) -> Path:
        """Write a checkpoint, then drop the oldest beyond `keep`, and later ones.

        Later ones are damaged: a run goes on from the newest that is whole.

        Raises:
            OSError: it cannot be written, on a full disk for example; earlier ones are untouched.
        """
        structure, tensors = pack({"format": _FORMAT, "state": state})
        folder = self.path / f"step-{step:09d}"
        write_folder(folder, {_STRUCTURE: structure, _TENSORS: tensors})
        written = self._newest_first()
        place = written.index(folder)
        for dropped in written[:place] + written[place + self.keep :]:
            shutil.rmtree(dropped)
        return folder

    def latest(self) -> Any | None:
        """The state of the newest checkpoint that is whole; None where there is none at all.

        Raises:
            LSCError: all are damaged, or another version wrote the newest.
        """
        damaged: list[DamagedError] = []
        for folder in self._newest_first():
            try:
                state = _read(folder)
            except DamagedError as error:
                damaged.append(error)
                continue
            for trouble in damaged:
                warnings.warn(f"{trouble}; going on from {folder.name}", stacklevel=2)
            return state
        if damaged:
            raise LSCError(f"{damaged[0]}, and no earlier checkpoint is whole: start a new run")
        return None

    def _newest_first(self) -> list[Path]:
        return sorted(self.path.glob("step-*"), reverse=True)


def _read(folder: Path) -> Any:
    files = read_folder(folder)
    try:
        content = unpack(files[_STRUCTURE], files[_TENSORS])
        version, state = content["format"], content["state"]
    except Exception as error:  # a sealed folder of somebody else's
        raise DamagedError(f"{folder} is no checkpoint ({first_line(error)})") from error
    if version not in _READABLE:
        raise LSCError(
            f"{folder} has checkpoint format {version}, this version reads "
            f"{' and '.join(map(str, _READABLE))}: resume with the version that wrote it"
        )
    return state if version == _FORMAT else _from_format_2(state)


_HAS = {
    "buffer": "EmbeddingReplay",
    "images": "TrainingProgress",
    "store": "NoveltyCalibration",
    "learned": "OpenWorldEvaluation",
    "by_epoch": "CollapseMetrics",
    "epochs": "LatentPointCollapse",
}
"""What tells the states of plugins apart, which have had no names in format 2."""


def _from_format_2(state: Any) -> Any:
    """With the states of plugins by name instead of in a list."""
    plugins = {}
    for part in state["strategy"]["plugins"]:
        name = next((name for key, name in _HAS.items() if key in part), "CosineDecay")
        plugins[name] = part
    return {**state, "strategy": {**state["strategy"], "plugins": plugins}}

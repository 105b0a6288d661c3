"""Pieces of a long experiment that need not be measured again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lsc_continual.bench.files import write_json

HELP = "finished pieces are read from this JSON file, and written to it"


class Finished(dict[str, Any]):
    """Figures by the name of a piece, in a file if there is to be one."""

    def __init__(self, path: Path | None) -> None:
        super().__init__()
        self._path = path
        if path is not None and path.exists():
            self.update(json.loads(path.read_text(encoding="utf-8")))

    def __setitem__(self, name: str, figures: Any) -> None:
        super().__setitem__(name, figures)
        if self._path is not None:
            write_json(self._path, self)

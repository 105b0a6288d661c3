"""Sources of which nothing can come. Nothing heavy is imported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lsc_continual.errors import LSCError


def check_sources(sources: Sequence[str], watch: bool) -> None:
    """Refuse sources that exclude each other, and nothing to watch.

    Raises:
        LSCError: the sentence says which.
    """
    if watch and (len(sources) != 1 or not Path(sources[0]).is_dir()):
        raise LSCError("--watch needs a folder as the only source: pass one that exists")
    if sources.count("-") > 1:
        raise LSCError("standard input can be read once: pass - once")

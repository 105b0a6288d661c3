"""What a look at the machine finds."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lsc_continual.errors import first_line

State = Literal["ok", "note", "missing", "broken"]


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Args:
        name: of what was looked at.
        state: "ok"; "note", good to know; "missing", only some runs need it; "broken", no run can
            work without it.
        found: what is there.
        cure: what to do, where there is something to do.
    """

    name: str
    state: State
    found: str
    cure: str = ""


def judged(name: str, fine: bool, found: str, cure: str, otherwise: State = "note") -> Finding:
    """A finding that is ok where all is `fine`, and comes with its cure where it is not."""
    return Finding(name, "ok", found) if fine else Finding(name, otherwise, found, cure)


def guarded(group: str, look: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """What `look` finds, or a note that it could not look: a diagnosis must not fall ill itself."""
    try:
        return list(look())
    except ImportError as error:
        library = str(error.name or "library").partition(".")[0]
        cure = f"pip install {library}"
        return [Finding(library, "broken", f"cannot be loaded ({first_line(error)})", cure)]
    except Exception as error:
        reason = f"could not be looked at ({type(error).__name__}: {first_line(error)})"
        return [Finding(group, "note", reason)]


def shown(path: Path) -> str:
    """A path as it can be printed, also where its name is not UTF-8."""
    return os.fsencode(path).decode("utf-8", "replace")


def size(count: float) -> str:
    """Bytes in words.

    >>> size(3 * 2**30), size(2**20 / 2), size(79 * 2**30)
    ('3.0 GiB', '0.5 MiB', '79.0 GiB')
    """
    return f"{count / 2**30:,.1f} GiB" if count >= 2**30 else f"{count / 2**20:,.1f} MiB"

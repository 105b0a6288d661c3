"""Things of the user's own, named "module:attribute"."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lsc_continual.errors import LSCError, first_line


def import_callable(name: str, kind: str) -> Callable[..., Any]:
    """What "module:attribute" stands for; modules in the working folder count.

    Raises:
        LSCError: it cannot be imported or called; `kind` says in the message what it is for.
    """
    module_name, _, attribute = name.partition(":")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # somebody else's code
        reason = first_line(error)
        raise LSCError(f"{kind} {name!r}: cannot import {module_name!r} ({reason})") from error
    found = getattr(module, attribute, None)
    if not callable(found):
        raise LSCError(f"{kind} {name!r}: {module_name!r} has nothing to call named {attribute!r}")
    return found  # type: ignore[no-any-return]

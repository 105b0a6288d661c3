"""JSON that every reader takes, and that does nothing to a terminal it is shown on."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from math import isfinite
from typing import Any

# Beside what json escapes itself: DEL and C1, line separators, marks that turn the direction.
_CONTROLS = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def json_text(
    value: Any, indent: int | None = None, default: Callable[[Any], Any] | None = None
) -> str:
    r"""A value in JSON types as text.

    Numbers that are not finite are null. Bytes of file names that are not text, which Python keeps
    as lone surrogates, are written as a backslash and their number.

    Args:
        indent: of nested parts; None for a single line.
        default: what stands for a part of no JSON type, as in `json.dumps`.

    >>> print(json_text({"a\x9b": [float("inf"), "\udcff\x1b[31m", "é"]}))
    {"a\u009b": [null, "\\udcff\u001b[31m", "é"]}
    """
    text = json.dumps(
        _plain(value), indent=indent, ensure_ascii=False, allow_nan=False, default=default
    )
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def without_surrogates(text: str) -> str:
    r"""Text that can be written in UTF-8.

    >>> without_surrogates("caf\udce9")
    'caf\\udce9'
    """
    return text.encode(errors="backslashreplace").decode()


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return without_surrogates(value)
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, dict):
        return {_plain(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value

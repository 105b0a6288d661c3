"""Inputs from lines of text: paths, or JSON objects."""

from __future__ import annotations

import json
import os
import select
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lsc_continual.errors import LSCError, first_line
from lsc_continual.streaming.inputs import Input, Stop, never

_READ = 2**16  # bytes
_LONGEST = 2**26  # bytes a line may have
_PAUSE = 0.1  # seconds between two looks at `stop`


def read_inputs(file: int, stop: Stop = never) -> Iterator[list[Input]]:
    """Inputs from a file descriptor, some at a time, as soon as their lines are complete.

    A line is a path, {"path": …} or {"pixels": nested lists}; objects may have an "id", and are
    called by the number of their line, from 1, without. Empty lines are passed over.
    """
    number = 0
    for lines in _lines(file, stop):
        inputs = []
        for line in lines:
            number += 1
            if line is None:
                error = LSCError(f"line {number} is longer than {_LONGEST:,} bytes")
                inputs.append(Input(number, error))
            elif line.strip():
                inputs.append(_parse(os.fsdecode(line.rstrip(b"\r")), number))
        if inputs:
            yield inputs


def _lines(file: int, stop: Stop) -> Iterator[list[bytes | None]]:
    """Complete lines, None for one that is too long."""
    line = bytearray()  # not complete yet; of one that is too long, no more than shows it
    while not stop():
        if not select.select([file], [], [], _PAUSE)[0]:
            continue
        data = os.read(file, _READ)
        *ends, rest = (data or b"\n").split(b"\n")  # the last line may end with the file
        complete: list[bytes | None] = []
        for end in ends:
            line += end
            complete.append(bytes(line) if len(line) <= _LONGEST else None)
            line.clear()
        line += rest
        del line[_LONGEST + 1 :]
        if complete:
            yield complete
        if not data:
            return


def _parse(text: str, number: int) -> Input:
    if not text.lstrip().startswith("{"):
        return Input(text, Path(text))
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = f"line {number} is not JSON ({first_line(error)})"
        return Input(number, LSCError(reason))
    return Input(value.get("id", number), _content(value, number))


def _content(value: dict[str, Any], number: int) -> Any:
    path, pixels = value.get("path"), value.get("pixels")
    if isinstance(path, str) and path and pixels is None:
        return Path(path)
    if isinstance(pixels, list) and path is None:
        try:
            return np.array(pixels)
        except (ValueError, OverflowError, RecursionError) as error:
            return LSCError(f'"pixels" of line {number} are no array ({first_line(error)})')
    return LSCError(f'line {number} needs "path", a text, or "pixels", nested lists of numbers')

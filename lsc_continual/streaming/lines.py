"""Inputs from lines of text: paths, or JSON objects."""

from __future__ import annotations

import json
import os
import select
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from lsc_continual.errors import LSCError, first_line
from lsc_continual.storage.json_text import json_text
from lsc_continual.streaming.inputs import Input, Stop, never

_READ = 2**16  # bytes
_LONGEST_ID = 4096  # bytes of a path or an id
_PER_NUMBER = 32  # bytes of a number and what is around it
_PAUSE = 0.1  # seconds between two looks at `stop`


def read_inputs(
    file: int, stop: Stop = never, numbers: int = 2**20, *, texts: bool = False
) -> Iterator[list[Input]]:
    """Inputs from a file descriptor, some at a time, as soon as their lines are complete.

    A line is a path, {"path": …}, {"pixels": nested lists}, {"vector": list} or {"text": …};
    objects may have an "id", and are called by the number of their line, from 1, without. Empty
    lines are passed over.

    Args:
        numbers: that an image may have; it bounds the length of a line.
        texts: whether a line that is no object is a text, called by its number, and no path.
    """
    longest, number = _PER_NUMBER * numbers + 4 * _LONGEST_ID, 0
    for lines in _lines(file, stop, longest):
        inputs = []
        for line in lines:
            number += 1
            if line is None:
                error = LSCError(f"line {number} is longer than {longest:,} bytes")
                inputs.append(Input(number, error))
            elif line.strip():
                inputs.append(_parse(os.fsdecode(line.rstrip(b"\r")), number, numbers, texts))
        if inputs:
            yield inputs


def _lines(file: int, stop: Stop, longest: int) -> Iterator[list[bytes | None]]:
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
            complete.append(bytes(line) if len(line) <= longest else None)
            line.clear()
        line += rest
        del line[longest + 1 :]
        if complete:
            yield complete
        if not data:
            return


def _parse(text: str, number: int, numbers: int, texts: bool) -> Input:
    if not text.lstrip().startswith("{"):
        if texts:
            return Input(number, text)
        if len(text) > _LONGEST_ID:
            return Input(number, LSCError(f"line {number} is too long for a path"))
        return Input(text, Path(text))
    try:
        value = json.loads(text)
        name = value.get("id", number)
        fits = isinstance(name, int | float | None) or len(json_text(name)) <= _LONGEST_ID
    except (ValueError, RecursionError) as error:
        reason = f"line {number} is not JSON ({first_line(error)})"
        return Input(number, LSCError(reason))
    if not fits:
        return Input(
            number, LSCError(f'"id" of line {number} is longer than {_LONGEST_ID:,} bytes')
        )
    return Input(name, _content(value, number, numbers))


def _content(value: dict[str, Any], number: int, numbers: int) -> Any:
    given = [key for key in ("path", "pixels", "vector", "text") if value.get(key) is not None]
    key = given[0] if len(given) == 1 else ""
    content = value.get(key)
    if key == "path" and isinstance(content, str) and content:
        if len(content) > _LONGEST_ID:
            return LSCError(f'"path" of line {number} is too long for one')
        return Path(content)
    if key == "text" and isinstance(content, str):
        return content
    if key in ("pixels", "vector") and isinstance(content, list):
        try:
            found = sum(1 for _ in islice(_numbers(content), numbers + 1))
            if found > numbers:
                raise ValueError(f"more than the {numbers:,} numbers of the model's inputs")
            return np.array(content)
        except (ValueError, OverflowError, RecursionError) as error:
            return LSCError(f'"{key}" of line {number} are no array ({first_line(error)})')
    return LSCError(
        f'line {number} needs "path" or "text", in quotes, or "pixels" or "vector", nested lists '
        "of numbers"
    )


def _numbers(nested: Any) -> Iterator[float]:
    """All numbers in nested lists."""
    for part in nested:
        if isinstance(part, list) and part:
            yield from _numbers(part)
        elif isinstance(part, int | float):
            yield part
        else:
            raise ValueError("they hold something else than numbers")

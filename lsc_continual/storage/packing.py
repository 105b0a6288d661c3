"""Nested state as JSON text and safetensors: no pickle."""

from __future__ import annotations

import json
from math import prod
from mmap import mmap
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor


def pack(state: Any) -> tuple[bytes, bytes]:
    """Dictionaries, lists, tuples, scalars and tensors -> JSON and safetensors.

    Raises:
        TypeError: the state holds something else.

    >>> state = {"a": torch.tensor([1, 2]), 3: (None, [1.5, "x"])}
    >>> unpack(*pack(state))
    {'a': tensor([1, 2]), 3: (None, [1.5, 'x'])}
    """
    tensors: dict[str, Tensor] = {}
    structure = _plain(state, tensors)
    return json.dumps(structure, ensure_ascii=False).encode(), save(tensors)


def _plain(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, Tensor):
        name = str(len(tensors))
        # A copy, because the format refuses two tensors that share memory.
        tensors[name] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
        return {"$tensor": name}
    if isinstance(value, dict):
        for key in value:
            if key is not None and not isinstance(key, str | int | float):
                raise TypeError(f"{type(key).__name__} cannot be a key of a saved state")
        return {"$dict": [[key, _plain(part, tensors)] for key, part in value.items()]}
    if isinstance(value, tuple):
        return {"$tuple": [_plain(part, tensors) for part in value]}
    if isinstance(value, list):
        return [_plain(part, tensors) for part in value]
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(f"{type(value).__name__} cannot be part of a saved state")


def unpack(text: bytes, tensors: bytes) -> Any:
    """The inverse of `pack`."""
    return _full(json.loads(text), load(tensors))


def _full(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_full(part, tensors) for part in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "$tensor":
        return tensors[content]
    if kind == "$tuple":
        return tuple(_full(part, tensors) for part in content)
    return {key: _full(part, tensors) for key, part in content}


_MAPPED = {
    "F32": torch.float32,
    "F64": torch.float64,
    "I32": torch.int32,
    "I64": torch.int64,
    "U8": torch.uint8,
}


def mapped_tensors(content: bytes | mmap) -> dict[str, Tensor]:
    """The tensors in a safetensors file, without copying: they share its memory.

    Raises:
        ValueError, KeyError: it is no such file.
    """
    begin = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:begin])
    header.pop("__metadata__", None)
    return {
        name: torch.frombuffer(
            content,
            dtype=_MAPPED[entry["dtype"]],
            count=prod(entry["shape"]),
            offset=begin + entry["data_offsets"][0],
        ).reshape(entry["shape"])
        for name, entry in header.items()
    }

"""Several processes that train one model: who is who, and how they agree.

Everything here works in a single process too, where it costs nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from lsc_continual.storage.packing import pack, unpack

T = TypeVar("T")


def start() -> None:
    """Join the other processes, if `torchrun` started several."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")


def stop() -> None:
    """Leave."""
    if dist.is_initialized():
        dist.destroy_process_group()


def local_rank() -> int:
    """The number of this process on its machine, also before `start`."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def rank() -> int:
    """The number of this process among all, also before `start`."""
    return dist.get_rank() if dist.is_initialized() else int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def one_first(load: Callable[[], T]) -> T:
    """The value of `load`, which one process of each machine calls before the others.

    So that what it downloads is there for all.
    """
    if world_size() == 1:
        return load()
    if local_rank():
        dist.barrier()
        return load()
    value = load()
    dist.barrier()
    return value


def everyone(value: Any) -> list[Any]:
    """All processes' values (of JSON types), in the order of the processes."""
    if world_size() == 1:
        return [value]
    text = json.dumps(value).encode()
    lengths = joined(torch.tensor([len(text)])).tolist()
    texts = joined(torch.frombuffer(bytearray(text), dtype=torch.uint8)).split(lengths)
    return [json.loads(bytes(text.tolist())) for text in texts]


def from_first(value: Any) -> Any:
    """The first process's value (nested, of tensors and JSON types), on all of them."""
    if world_size() == 1:
        return value
    return unpack(*map(_bytes_from_first, pack(value) if rank() == 0 else (b"", b"")))


def _bytes_from_first(content: bytes) -> bytes:
    length = torch.tensor([len(content)])
    dist.broadcast(length, 0)
    buffer = torch.empty(int(length), dtype=torch.uint8)
    if rank() == 0:
        buffer = torch.frombuffer(bytearray(content), dtype=torch.uint8)
    dist.broadcast(buffer, 0)
    return buffer.numpy().tobytes()


def largest(values: list[float]) -> list[float]:
    """The largest of all processes' values, element by element."""
    if world_size() == 1:
        return values
    tensor = torch.tensor(values, dtype=torch.float64)
    dist.all_reduce(tensor, dist.ReduceOp.MAX)
    return tensor.tolist()


def summed(tensor: Tensor) -> Tensor:
    """The sum of all processes' tensors of one shape, on all of them."""
    if world_size() == 1:
        return tensor
    total = tensor.clone()
    dist.all_reduce(total)
    return total


def joined(tensor: Tensor) -> Tensor:
    """All tensors one after another, on the CPU: [own length, …] -> [total length, …]."""
    tensor = tensor.cpu().contiguous()
    if world_size() == 1:
        return tensor
    if tensor.dtype == torch.bool:  # not every backend can send it
        return joined(tensor.byte()).bool()
    lengths = [torch.zeros(1, dtype=torch.long) for _ in range(world_size())]
    dist.all_gather(lengths, torch.tensor([len(tensor)]))
    most = int(torch.stack(lengths).max())
    padded = tensor.new_zeros((most, *tensor.shape[1:]))
    padded[: len(tensor)] = tensor
    parts = [torch.empty_like(padded) for _ in lengths]
    dist.all_gather(parts, padded)
    return torch.cat([part[: int(length)] for part, length in zip(parts, lengths, strict=True)])

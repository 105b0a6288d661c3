"""Decoding against the whole system: from embeddings to the nearest of all its vectors."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

import torch

from lsc_continual.bench.settings import Settings
from lsc_continual.bench.tables import Row
from lsc_continual.bench.timing import Ways, ratio, take_turns
from lsc_continual.systems import PermutationSystem, make_system
from lsc_continual.targets import make_allocation

_BYTES = {"cpu": 2**27, "cuda": 2**29}  # of a batch, more than caches hold
_OTHER_SYSTEMS = ("v11", "v21", "v22")
_OTHER_DIMS = (64, 128, 1024)
_FORMATS = {"cpu": (torch.float32,), "cuda": (torch.float32, torch.bfloat16, torch.float16)}


def rows(settings: Settings) -> Iterator[Row]:
    """A row for each system and dimension, and on GPUs for each number format."""
    for system in _systems(settings.system):
        for dtype in _FORMATS[settings.device.type]:
            format_name = str(dtype).removeprefix("torch.")
            settings.say(f"decode: {system.name}, n = {system.dim}, {format_name}")
            yield {"system": system.name, "n": system.dim, "format": format_name} | _measure(
                system, dtype, settings
            )


def _systems(asked: PermutationSystem) -> list[PermutationSystem]:
    """The one asked for, its siblings in the same dimension, and itself in others."""
    systems = [make_system(name, asked.dim) for name in _OTHER_SYSTEMS]
    systems += [make_system(asked.name, dim) for dim in _OTHER_DIMS]
    return [s for s in dict.fromkeys([asked, *systems]) if isinstance(s, PermutationSystem)]


def _measure(system: PermutationSystem, dtype: torch.dtype, settings: Settings) -> Row:
    device = settings.device
    count = _BYTES[device.type] // (system.dim * dtype.itemsize * (4 if settings.quick else 1))
    torch.manual_seed(0)
    z = torch.randn(count, system.dim, dtype=dtype, device=device)

    def naive() -> None:
        """Positions of the m largest and the k smallest coordinates, as the papers take them."""
        z.topk(system.m, dim=-1)
        if system.k == 1:
            z.argmin(-1)
        else:
            z.topk(system.k, dim=-1, largest=False)

    ways: Ways = {"ours": lambda: system.decode(z), "naive": naive}
    if device.type == "cuda":
        copy, owners = torch.empty_like(z), make_allocation("affine", system)
        owners.extend(system.size // 2)
        ways["owned"] = lambda: owners.decode(z)
        ways["copy"] = lambda: copy.copy_(z)
    else:
        ways["read"] = lambda: z.amax(-1)
    with torch.inference_mode():
        times = take_turns(ways, settings.turns, device)
    millions = {name: count / statistics.median(took) / 1e6 for name, took in times.items()}
    row: Row = {
        "decode, M/s": millions["ours"],
        "topk + argmin, M/s": millions["naive"],
        "time/ours": ratio(times["naive"], times["ours"]),
    }
    if device.type == "cuda":  # a copy moves every byte twice, decoding reads it once
        row["copy, GB/s"] = 2 * z.nbytes / statistics.median(times["copy"]) / 1e9
        row["share of copy bandwidth"] = ratio(times["copy"], times["ours"]) / 2
        row["with owners, M/s"] = millions["owned"]
        row["share with owners"] = ratio(times["copy"], times["owned"]) / 2
    else:
        row["reading, M/s"] = millions["read"]
        row["share of reading"] = ratio(times["read"], times["ours"])
    return row

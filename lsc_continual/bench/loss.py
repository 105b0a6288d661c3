"""A training step against any number of classes: time, memory, parameters."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from functools import partial

import torch

from lsc_continual.bench.heads import HEADS, LinearHead, StructuredSoftmax, make_batch, make_head
from lsc_continual.bench.memory import peak_of_process
from lsc_continual.bench.settings import Settings
from lsc_continual.bench.tables import Row
from lsc_continual.bench.timing import Ways, ratio, take_turns
from lsc_continual.kernels.compiler import plain_torch

_OURS = StructuredSoftmax.name
_DENSE = 10_000  # classes of the linear head that the cost by classes is compared with


def rows(settings: Settings) -> Iterator[Row]:
    """A row for each number of classes and head."""
    for classes in settings.class_counts(fewest=1_000):
        for name, kind in HEADS.items():
            row: Row = {"classes": classes, "head": name}
            needed = kind.bytes_needed(classes, settings.system.dim)
            if reason := settings.too_large(needed):
                yield row | {"remark": reason}
                continue
            settings.say(f"loss: {classes:,} classes, {name}")
            yield row | _time(settings, name, classes) | _memory(settings, name, classes)


def _time(settings: Settings, name: str, classes: int) -> Row:
    system, device = settings.system, settings.device
    batch = make_batch(system, classes, device)
    ours, theirs = (make_head(each, system, classes, device) for each in (_OURS, name))
    ways: Ways = {"theirs": lambda: theirs.step(*batch), "ours": lambda: ours.step(*batch)}
    if theirs.parameters:
        ways["update"] = theirs.update
    times = take_turns(ways, settings.turns, device)
    return {
        "step, ms": 1e3 * statistics.median(times["theirs"]),
        "time/ours": None if name == _OURS else ratio(times["theirs"], times["ours"]),
        "SGD, ms": 1e3 * statistics.median(times["update"]) if theirs.parameters else 0.0,
        "parameters": theirs.parameters,
    }


def _memory(settings: Settings, name: str, classes: int) -> Row:
    system, device = settings.system, settings.device
    if device.type == "cuda":
        torch.cuda.empty_cache()
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        head = make_head(name, system, classes, device)
        head.step(*make_batch(system, classes, device))
        head.update()
        peak: int | None = torch.cuda.max_memory_allocated(device) - before
    else:
        arguments = (name, system.name, system.dim, classes, settings.threads)
        peak = peak_of_process("lsc_continual.bench.heads", arguments)
    return {"memory, MiB": None if peak is None else peak / 2**20}


def rows_by_classes(settings: Settings) -> Iterator[Row]:
    """A row for each number of classes: the structured softmax, in turns with what shows its worth.

    That is itself in plain torch, itself with few classes, and a linear head.
    """
    counts = settings.class_counts(fewest=1_000)
    system, device = settings.system, settings.device
    few = make_head(_OURS, system, counts[0], device)
    dense = make_head(LinearHead.name, system, _DENSE, device)
    few_batch, dense_batch = (make_batch(system, c, device) for c in (counts[0], _DENSE))
    for classes in counts:
        settings.say(f"loss: {classes:,} classes, cost by classes")
        many, batch = make_head(_OURS, system, classes, device), make_batch(system, classes, device)
        ways: Ways = {
            "many": partial(many.step, *batch),
            "plain": plain_torch()(partial(many.step, *batch)),
            "few": partial(few.step, *few_batch),
            "dense": partial(dense.step, *dense_batch),
        }
        times = take_turns(ways, settings.turns, device)
        yield {
            "classes": classes,
            "step, ms": 1e3 * statistics.median(times["many"]),
            "plain torch/step": ratio(times["plain"], times["many"]),
            f"step/step at {counts[0]:,} classes": ratio(times["many"], times["few"]),
            f"step/step of a {_DENSE:,}-class linear head": ratio(times["many"], times["dense"]),
        }

"""The nearest owned target, against exhaustive and approximate search."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec

import torch
from torch import Tensor

from lsc_continual.bench.indexes import INDEXES, Index
from lsc_continual.bench.memory import held_bytes
from lsc_continual.bench.noise import Queries, make_queries
from lsc_continual.bench.settings import Settings
from lsc_continual.bench.tables import Row
from lsc_continual.bench.timing import Ways, ratio, seconds, take_turns
from lsc_continual.systems import PermutationSystem
from lsc_continual.targets import Targets

MISSES = (0.0, 0.01, 0.1, 0.3)
_MISSES_QUICK = (0.0, 0.1)
OURS = "this package"
RECALL = 0.99
_QUERIES = 1_000
_CALL = 2.0  # seconds that one call may take; slow ways answer fewer queries
_FEWEST = 64  # queries of a call
_CHECKED = 64  # queries at each share of misses that are searched exhaustively in float64
_CHECKED_CLASSES = 1_000_000  # up to so many, and beyond where they were asked for
_CHUNK = 2**14  # targets that this search compares at a time


def rows(settings: Settings) -> Iterator[Row]:
    """A row for each number of classes, way and share of misses."""
    for classes in settings.class_counts(fewest=10_000):
        settings.say(f"nearest: {classes:,} classes, {OURS}")
        targets = Targets(settings.system)
        built = seconds(partial(targets.add, range(classes)), settings.device)
        wanted = _MISSES_QUICK if settings.quick else MISSES
        found = [make_queries(targets, share, _QUERIES, settings.device) for share in wanted]
        queries = [near for near in found if near]
        yield from _ours(settings, targets, queries, built)
        for kind in INDEXES:
            yield from _theirs(settings, targets, queries, kind)


def _ours(
    settings: Settings, targets: Targets, queries: list[Queries], built: float
) -> Iterator[Row]:
    for near in queries:
        times = take_turns(
            {OURS: partial(targets.nearest, near.z)}, settings.turns, settings.device
        )
        yield {
            "classes": len(targets),
            "way": OURS,
            "misses": near.wanted,
            "misses measured": near.misses,
            "queries/s": len(near.z) / statistics.median(times[OURS]),
            "build, s": built,
            "bytes a class": held_bytes(targets) / len(targets),
        } | _check(settings, targets, near.z[:_CHECKED])


def _check(settings: Settings, targets: Targets, z: Tensor) -> Row:
    """How many of our answers differ from those of an exhaustive search."""
    if len(targets) > _CHECKED_CLASSES and not settings.classes:
        return {"remark": "not compared"}
    settings.say(f"nearest: {len(targets):,} classes, exhaustive search")
    found = targets.addresses(targets.nearest(z).ordinal)
    wrong = int((found != exhaustive(targets, z)).sum())
    return {
        "recall": 1 - wrong / len(z),
        "disagreements": wrong,
        "compared": len(z),
        "remark": f"{wrong} of {len(z)} differ",
    }


def _theirs(
    settings: Settings, targets: Targets, queries: list[Queries], kind: type[Index]
) -> Iterator[Row]:
    classes = len(targets)
    row: Row = {"classes": classes, "way": kind.name}
    if reason := why_not(settings, kind, classes):
        yield row | {"remark": reason}
        return
    settings.say(f"nearest: {classes:,} classes, building {kind.name}")
    index = kind(settings.system.dim, settings.threads)
    built = seconds(partial(index.build, targets.vectors().to(settings.device)), settings.device)
    size = index.bytes_held() / classes
    for near in queries:
        settings.say(f"nearest: {classes:,} classes, {kind.name}, {near.wanted:.0%} misses")
        figures = _search(settings, targets, near.z, index)
        yield row | {"misses": near.wanted} | figures | {"build, s": built, "bytes a class": size}


def why_not(settings: Settings, kind: type[Index], classes: int) -> str | None:
    """Why a way is left out; None if it is not."""
    if settings.device.type not in kind.devices:
        return "for the CPU only"
    if kind.module and not find_spec(kind.module):
        return f"{kind.module} is not installed: pip install 'lsc_continual[bench]'"
    index = kind(settings.system.dim, settings.threads)
    if reason := settings.too_large(index.bytes_needed(classes)):
        return reason
    estimate, limit = index.seconds_to_build(classes), settings.build_seconds
    if estimate <= limit:
        return None
    return f"about {estimate:,.0f} s to build (--build-seconds {limit:g})"


def _search(settings: Settings, targets: Targets, z: Tensor, index: Index) -> Row:
    """Speed and recall of an index at the least effort that reaches `RECALL`, or at its best."""
    best, effort, some = -1.0, 0, z
    for trial in index.efforts(len(targets)):
        few = seconds(partial(index.search, z[:_FEWEST], trial), settings.device)
        batch = z[: max(_FEWEST, int(_FEWEST * _CALL / few))]
        found = recall(targets, batch, index.search(batch, trial))
        if found > best:
            best, effort, some = found, trial, batch
        if found >= RECALL or few > _CALL:
            break
    ways: Ways = {
        OURS: partial(targets.nearest, some),
        index.name: partial(index.search, some, effort),
    }
    times = take_turns(ways, settings.turns, settings.device)
    return {
        "queries/s": len(some) / statistics.median(times[index.name]),
        "time/ours": ratio(times[index.name], times[OURS]),
        "recall": best,
        "queries": len(some),
        "effort": effort,
        "remark": f"{index.effort_name} {effort}" if index.effort_name else None,
    }


def recall(targets: Targets, z: Tensor, ordinals: Tensor) -> float:
    """Share of answers that are as near as the nearest owned target; ties count as right.

    Args:
        z: FloatTensor[batch, dim].
        ordinals: LongTensor[batch], −1 for no answer.
    """

    def score(ordinals: Tensor) -> Tensor:  # exact inner products, but for a factor
        return (z.double() * _whole_numbers(targets, targets.addresses(ordinals))).sum(-1)

    right = (score(ordinals.clamp_min(0)) >= score(targets.nearest(z).ordinal)) & (ordinals >= 0)
    return right.double().mean().item()


def _whole_numbers(targets: Targets, addresses: Tensor) -> Tensor:
    """Vectors of a permutation system with entries 1, 0 and −1: DoubleTensor[..., dim].

    Sums of a few float32 coordinates are exact in float64, so equal scores compare as equal.
    """
    system = targets.system
    assert isinstance(system, PermutationSystem)
    return (system.vectors(addresses).double() * system.norm).round()


def exhaustive(targets: Targets, z: Tensor) -> Tensor:
    """Address of the nearest owned target, the lowest of equally near ones, by looking at all.

    FloatTensor[batch, dim] -> LongTensor[batch].
    """
    z = z.double()
    best = z.new_full((len(z),), -torch.inf)
    address = torch.zeros(len(z), dtype=torch.int64, device=z.device)
    for ordinals in torch.arange(len(targets), device=z.device).split(_CHUNK):
        owned = targets.addresses(ordinals).sort().values
        score, place = (z @ _whole_numbers(targets, owned).T).max(-1)
        here = owned[place]
        better = (score > best) | ((score == best) & (here < address))
        best, address = torch.where(better, score, best), torch.where(better, here, address)
    return address

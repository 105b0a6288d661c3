"""arXiv 2512.04865: dyadic scatterings, how dense they are, and how they are extended.

The construction is our reading: the paper speaks of a two-power subdivision of the boundary of
weight polyhedra, and neither counts nor angles of it could be read. Level j takes the integer
vectors whose positive entries sum to 2^j and whose negative ones sum to −2^j, projected to the
sphere; level 0 is A_{n−1}. Doubling a vector of a level gives one of the next, so that refining
keeps every vector; ours are numbered such that it keeps its address too. Classes keep their targets
where the target map remembers addresses (`random`, `spread`, `affinity`), which is tried by loading
a saved map into the next level and adding classes; the rule `affine` computes addresses from the
size of the system, and does not.

Our search sorts an embedding, finds the best orbit by one product, and decodes in it; the paper
rounds to lattice points on faces. Its cost grows with the number of orbits. V21 is decoded by a
compiled loop in one pass, unions of orbits in plain torch, so ratios to it speak of both.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from math import acos, degrees

import torch
import torch.nn.functional as F
from matplotlib.figure import Figure

from experiments.claims.extension import (
    CLASSES,
    EXACT,
    exhaustive,
    kept,
    largest_permutation_system,
    moved,
    neighbour_cosines,
    scattering,
)
from experiments.outcome import Finding, Outcome, Row, Table, Verdict
from experiments.settings import Settings, option
from lsc_continual import VectorSystem, make_system
from lsc_continual.bench.plots import panels
from lsc_continual.bench.timing import Ways, ratio, take_turns
from lsc_continual.systems import DyadicScattering
from lsc_continual.systems.counting import MAX_LEVEL

TITLE = "Dyadic scatterings: sizes, angles, extension"
PAPER = "arXiv 2512.04865"

_LEVELS = range(MAX_LEVEL + 1)
_SMALL, _LARGER = 8, 12  # dimensions between which collections are moved
_SHOWN = 32  # dimensions in which scatterings are compared with permutation systems


@dataclass(frozen=True)
class Options:
    """Up to how many vectors are listed, and how decoding is timed."""

    listed: int = option(30_000, 100_000)
    dims: tuple[int, ...] = option((6, 8, 32, 384))
    batch: int = option(4096, 65_536)
    turns: int = option(3, 11)


def measure(settings: Settings, options: Options) -> Outcome:
    """Sizes and angles, extension, and the time that decoding takes."""
    listed = options.listed
    settings.say("sizes and angles")
    sizes = [_size(system, listed) for system in _several(options.dims)]
    settings.say("extensions")
    pairs = [(f"level {a.level} → {b.level}", a, b) for a, b in pairwise(_several([_SMALL]))]
    pairs += [
        (f"level {a.level}, n = {a.dim} → {b.dim}", a, b)
        for a, b in zip(_several([_SMALL]), _several([_LARGER]), strict=True)
    ]
    extensions = [_extension(*pair) for pair in pairs if pair[1].size <= listed]
    settings.say("decoding")
    costs = [row for dim in options.dims[1:] for row in _cost(dim, options, settings)]
    return Outcome(
        [*_extension_findings(extensions), _search_finding(costs), *_density_findings(sizes)],
        [
            Table("Sizes and angles (brute force where all vectors can be listed)", sizes),
            Table(f"Extension; without n, in {_SMALL} dimensions", extensions),
            Table("Decoding, one run", costs),
        ],
        {"levels": _draw()},
    )


def _several(dims: Sequence[int]) -> list[DyadicScattering]:
    """Every level in every dimension in which it exists, level by level."""
    found = (scattering(level, dim) for dim in dims for level in _LEVELS)
    return [system for system in found if system is not None]


def _size(system: DyadicScattering, listed: int) -> Row:
    row: Row = {
        "level": system.level,
        "n": system.dim,
        "vectors": system.size,
        "largest cosine": f"{system.max_cosine:.5f}",
        "smallest angle, °": _degrees(system.max_cosine),
    }
    if system.size <= listed:
        nearest = neighbour_cosines(system.vectors(torch.arange(system.size)).double())
        row["by brute force"] = f"{nearest.max():.5f}"
        row["difference"] = f"{abs(nearest.max().item() - system.max_cosine):.0e}"
        row["widest to a neighbour, °"] = _degrees(nearest.min().item())
    return row


def _extension(name: str, coarse: DyadicScattering, fine: DyadicScattering) -> Row:
    same, addresses = kept(coarse, fine)
    row: Row = {
        "extension": name,
        "vectors before": coarse.size,
        "after": fine.size,
        "moved": int((~same).sum()),
        "other address": int((addresses != torch.arange(coarse.size)).sum()),
        "largest cosine before": f"{coarse.max_cosine:.4f}",
        "cosine after": f"{fine.max_cosine:.4f}",
    }
    if coarse.dim == fine.dim:
        counts = [f"{moved(rule, coarse, fine)}" for rule in ("random", "affine")]
        row["classes moved, random / affine"] = " / ".join(counts)
    return row


def _cost(dim: int, options: Options, settings: Settings) -> list[Row]:
    """Microseconds an embedding, all systems of a dimension in turns."""
    batch = options.batch
    draw = torch.Generator().manual_seed(0)
    z = F.normalize(torch.randn(batch, dim, generator=draw), dim=1).to(settings.device)
    systems: list[VectorSystem] = [make_system("v21", dim), *_several([dim])]
    ways: Ways = {}
    worse: dict[str, int] = {}
    for system in systems:
        ways[system.name] = partial(system.decode, z)
        if system.size <= options.listed:
            vectors = system.vectors(torch.arange(system.size, device=settings.device))
            ways[f"{system.name}, all"] = partial(exhaustive, z, vectors)
            decoded = system.vectors(system.decode(z).address).double()
            best = vectors[exhaustive(z.double(), vectors.double())].double()
            lost = ((best - decoded) * z).sum(1)
            worse[system.name] = int((lost > EXACT).sum())
    with torch.inference_mode():
        times = take_turns(ways, options.turns, settings.device, patience=10.0)
    rows: list[Row] = []
    for system in systems:
        row: Row = {"system": system.name, "n": dim, "vectors": system.size}
        row["orbits"] = len(system.orbits) if isinstance(system, DyadicScattering) else 1
        row["decoding, µs"] = 1e6 * statistics.median(times[system.name]) / batch
        row["time/V21"] = ratio(times[system.name], times["v21"])
        if system.name in worse:
            row["exhaustive/decoding"] = ratio(times[f"{system.name}, all"], times[system.name])
            row["not the nearest"] = f"{worse[system.name]} of {batch:,}"
        rows.append(row)
    return rows


def _degrees(cosine: float) -> float:
    return degrees(acos(min(1.0, max(-1.0, cosine))))


def _extension_findings(rows: list[Row]) -> list[Finding]:
    inside = [row for row in rows if "classes moved, random / affine" in row]
    beyond = [row for row in rows if row not in inside]
    classes = [row["classes moved, random / affine"].split(" / ") for row in inside]
    by_table, by_formula = (sum(int(pair[i]) for pair in classes) for i in (0, 1))
    moved_inside, moved_beyond = (sum(row["moved"] for row in part) for part in (inside, beyond))
    total = sum(row["vectors before"] for row in inside)
    same_spacing = [row["largest cosine before"] == row["cosine after"] for row in beyond]
    return [
        Finding(
            "A collection can be extended in the same space.",
            f"{moved_inside} of {total:,} vectors move when a level is refined in {_SMALL} "
            f"dimensions, and {by_table} of {CLASSES * len(inside)} classes whose map remembers "
            f"addresses ({by_formula} with the affine rule, which depends on the size); the "
            f"price: the largest cosine grows from {inside[0]['largest cosine before']} to "
            f"{inside[-1]['cosine after']}",
            Verdict.of(moved_inside == 0, by_table == 0),
        ),
        Finding(
            "Or in a higher-dimensional one, with the same spacing between vectors.",
            f"{moved_beyond} of {sum(row['vectors before'] for row in beyond):,} vectors move from "
            f"{_SMALL} to {_LARGER} dimensions, filled up with zeros; the largest cosine stays in "
            f"{sum(same_spacing)} of {len(same_spacing)} levels",
            Verdict.of(moved_beyond == 0, *same_spacing),
        ),
    ]


def _search_finding(rows: list[Row]) -> Finding:
    checked = [row for row in rows if "not the nearest" in row]
    wrong = [row for row in checked if not row["not the nearest"].startswith("0 ")]
    largest = max(checked, key=lambda row: row["vectors"])
    slowest = max(rows, key=lambda row: row["time/V21"])
    return Finding(
        "Fast search for the nearest vector.",
        f"exact in {len(checked) - len(wrong)} of {len(checked)} systems that could be listed; "
        f"{largest['exhaustive/decoding']:.1f} times as fast as comparing with all "
        f"{largest['vectors']:,} vectors of {largest['system']}; at most "
        f"{slowest['time/V21']:.1f} times V21's time ({slowest['system']} in {slowest['n']} "
        f"dimensions, {slowest['vectors']:.1e} vectors in {slowest['orbits']} orbits)",
        Verdict.of(not wrong, largest["exhaustive/decoding"] > 1),
    )


def _density_findings(rows: list[Row]) -> list[Finding]:
    spreads: dict[int, float] = {}
    for row in rows:
        if "widest to a neighbour, °" in row:
            spread = row["widest to a neighbour, °"] / row["smallest angle, °"]
            spreads[row["level"]] = max(spread, spreads.get(row["level"], 0.0))
    rivals = []
    for system in _several([_SHOWN])[1:]:  # level 0 is itself a permutation system
        m, k, size = largest_permutation_system(_SHOWN, system.max_cosine + EXACT)
        rivals.append((system.level, system.size, f"{size:.1e} of V^({m},{k})", system.size > size))
    return [
        Finding(
            "Scatterings are quasi-uniform.",
            "widest angle from a vector to its nearest neighbour, relative to the smallest: "
            + ", ".join(f"{spread:.2f} at level {level}" for level, spread in spreads.items())
            + "; what bound the paper gives could not be read",
            Verdict.OPEN,
        ),
        Finding(
            "They hold more vectors than one permutation system with as wide an angle (our test).",
            f"in {_SHOWN} dimensions: "
            + ", ".join(
                f"level {level} {size:.1e} against {rival}" for level, size, rival, _ in rivals
            ),
            Verdict.of(*(more for *_, more in rivals)),
        ),
    ]


def _draw() -> Figure:
    """Sizes by dimension, and what a given number of vectors costs in angle."""
    figure, (left, right) = panels(2)
    dims = (4, 6, 8, 12, 16, 24, 32, 48, 64, 128, 384)
    for level in _LEVELS:
        found = [system for system in _several(dims) if system.level == level]
        places = [system.dim for system in found]
        left.plot(places, [s.size for s in found], f"C{level}o-", markersize=4, label=str(level))
    for name in ("v21", "v22", "v33", "v44", "v88", *(f"dyadic{level}" for level in _LEVELS)):
        system = make_system(name, _SHOWN)
        style = "C1s" if name.startswith("dyadic") else "C0o"
        right.plot(system.size, _degrees(system.max_cosine), style)
        place = (system.size, _degrees(system.max_cosine))
        right.annotate(name, place, xytext=(4, 4), textcoords="offset points", fontsize="small")
    left.set(xscale="log", yscale="log", xlabel="dimension n", ylabel="vectors")
    left.legend(title="level", fontsize="small")
    right.set(xscale="log", xlabel=f"vectors in {_SHOWN} dimensions", ylabel="smallest angle, °")
    right.margins(x=0.2, y=0.12)
    return figure

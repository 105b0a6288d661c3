"""The rank of a set of places, as addresses are made of (see `systems.combinations`)."""

from __future__ import annotations

from lsc_continual.kernels.compiler import jit


@jit(inline="always")  # by numba: where only LLVM inlined it, decoding was a twentieth slower
def rank_of(place, begin, end, binomials):  # type: ignore[no-untyped-def]
    """Rank of the places `begin` … `end` − 1 among all that the places before them leave free.

    Args:
        place: int64[at least `end`], all different, in any order.
        binomials: int64[at least end − begin, n], C(place, 1 + row).
    """
    rank = 0
    for a in range(begin, end):
        smaller, gone = 0, 0
        for b in range(begin):
            gone += place[b] < place[a]
        for b in range(begin, end):
            smaller += place[b] < place[a]
        rank += binomials[smaller, place[a] - gone]
    return rank

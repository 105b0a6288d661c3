"""From embeddings to addresses of an orbit, in one pass over the data.

What `Orbit.decode` needs of a row are its few largest and smallest coordinates. A row is cut into
64 strided lanes, of which only maximum and minimum are kept, with vector instructions. The few
best lanes hold everything that can be among the few best coordinates; only those are looked at
again. Lanes are compared by 26 leading bits of their maxima, with the lane's number in the rest of
the word, so that one reduction finds both; rows in which that decides too little (ties and near
ties) are looked through as a whole.

One row is finished before the next is begun, so that the memory has time to bring the next.
"""

from __future__ import annotations

import numpy as np

from lsc_continual.kernels.compiler import jit
from lsc_continual.kernels.vectors import LANES, best_below, lanes, order

_LANE_BITS = np.int32(LANES - 1)
_MOST = np.int32(2**31 - 1)


@jit(inline="always")  # by numba: where only LLVM inlined it, decoding was a twentieth slower
def rank_of(place, begin, end, binomials):  # type: ignore[no-untyped-def]
    """Rank of the places `begin` … `end` − 1 among all that the places before them leave free.

    Addresses are made of such ranks: see `systems.combinations`.

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


@jit(fastmath={"nnan", "nsz", "reassoc", "contract"}, forceinline=True)
def _lanes(z, r, highest, deepest):  # type: ignore[no-untyped-def]
    """Maximum and negative minimum of each lane of a row; returns its squared norm."""
    n = z.shape[1]
    full = n // LANES
    total = lanes(z, r, full, highest, deepest)
    for i in range(n - full * LANES):
        here = z[r, full * LANES + i]
        highest[i] = max(highest[i], here)
        deepest[i] = max(deepest[i], -here)
        total += here * here
    return total


@jit(forceinline=True)
def _best(z, r, sign, values, packed, best, place):  # type: ignore[no-untyped-def]
    """The places of the best coordinates, the next best value, and whether that is certain.

    Ties and near ties are not. With `sign` −1 the smallest coordinates are the best, and values
    are negative ones.

    Args:
        values: float32[64], the best of each lane.
        packed, best: int32[64], int32[at least as many as places], for use herein.
        place: int64[count], where the places go.
    """
    n, count = z.shape[1], len(place)
    first, last = order(values, packed), _MOST
    for a in range(count):
        last = best[a] = best_below(packed, packed, last) if a else first
    after = best_below(values, packed, last)
    sure, before = True, np.float32(np.inf)
    for a in range(count):
        # The best of the lane, as a rule its only one that counts, and the best of the others.
        value, found = np.float32(-np.inf), 0
        for p in range((best[a] & _LANE_BITS) ^ _LANE_BITS, n, LANES):
            here = sign * z[r, p]
            found = p if here > value else found
            after = max(after, min(value, here))
            value = max(value, here)
        sure &= bool(value < before)
        before = value
        place[a] = found
    return sure and after < before, sign * after


@jit
def _look_through(z, r, sign, values, place, taken):  # type: ignore[no-untyped-def]
    """The places of the best coordinates, the lower one of equals first; those in `taken` are out.

    Returns the next best value. `values` are the best of each lane, as for `_best`.
    """
    count, size = len(place), 0
    beyond = worst = np.float32(-np.inf)
    latest = 0  # the last of the places, and `worst` its value
    for lane in range(LANES):
        if size == count and values[lane] < beyond:
            continue
        for p in range(lane, z.shape[1], LANES):
            here = sign * z[r, p]
            # One branch, nearly always taken, instead of several that nobody can foresee.
            if (size == count) & (here <= beyond) & ((here < worst) | (p > latest)):
                continue
            free = True
            for other in taken:
                free &= other != p
            if not free:
                continue
            a = size
            while a > 0:
                before = sign * z[r, place[a - 1]]
                if before > here or (before == here and place[a - 1] < p):
                    break
                a -= 1
            if size < count:
                size += 1
            elif a == count:
                beyond = max(beyond, here)
            else:
                beyond = sign * z[r, place[count - 1]]
            for b in range(size - 1, a, -1):
                place[b] = place[b - 1]
            if a < count:
                place[a] = p
            if size == count:
                latest = place[count - 1] if count else 0
                worst = sign * z[r, latest] if count else np.float32(np.inf)
    return sign * beyond


@jit(forceinline=True)
def _finish(  # type: ignore[no-untyped-def]
    z, r, square, top, bottom, floor, ceiling,
    norm, values, counts, radices, binomials, place, address, score, gap,
):  # fmt: skip
    """Address, score and gap from the places of the best coordinates."""
    one, zero = np.float32(1), np.float32(0)
    above, count = len(top), len(values) - 2
    # Sum and least loss of an exchange along the sorted coordinates, without those that meet zero
    # but for the first and the last.
    total, loss, before = zero, np.float32(np.inf), zero
    for a in range(count + 2):
        if a < above:
            place[a] = top[a]
            here = z[r, top[a]]
        elif a == above:
            here = floor
        elif a == above + 1:
            here = ceiling
        else:
            place[a - 2] = bottom[count + 1 - a]
            here = z[r, place[a - 2]]
        total += values[a] * here
        if a > 0 and values[a - 1] > values[a]:
            loss = min(loss, (values[a - 1] - values[a]) * (before - here))
        before = here
    length = np.sqrt(norm * square)
    scale = zero
    if length != 0:  # of what is not finite, or too long for float32, nothing can be told
        scale = one / length if length < np.inf else np.float32(np.nan)
    score[r] = total * scale
    gap[r] = loss * scale

    number, begin = 0, 0
    for g in range(len(counts)):
        end = begin + counts[g]
        number = number * radices[g] + rank_of(place, begin, end, binomials)
        begin = end
    address[r] = number


@jit
def decode_rows(  # type: ignore[no-untyped-def]
    start, stop, z, above, values, counts, radices, binomials, address, score, gap
):
    """Decode rows `start` … `stop` − 1.

    Args:
        z: float32[batch, n], with n > `count`.
        above: how many of the values are positive.
        values: float32[count + 2], the values of the base vector, descending, each as often as it
            occurs, but zero twice.
        counts: int64[groups], how often each different one but zero occurs.
        radices: int64[groups], of the address.
        binomials: int64[largest count, n], C(place, 1 + row).
        address, score, gap: where results go, as in `Decoded`.
    """
    one = np.float32(1)
    count, norm = len(values) - 2, np.float32(0)  # squared, of the base vector
    for value in values:
        norm += value * value
    highest, deepest = np.empty(LANES, np.float32), np.empty(LANES, np.float32)
    packed, best = np.empty(LANES, np.int32), np.empty(count, np.int32)
    top, bottom = np.empty(above, np.int64), np.empty(count - above, np.int64)
    nothing = np.empty(0, np.int64)
    place = np.empty(count, np.int64)
    for r in range(start, stop):
        square = _lanes(z, r, highest, deepest)
        sure, floor = _best(z, r, one, highest, packed, best, top)
        surely, ceiling = _best(z, r, -one, deepest, packed, best, bottom)
        _finish(
            z, r, square, top, bottom, floor, ceiling,
            norm, values, counts, radices, binomials, place, address, score, gap,
        )  # fmt: skip
        if not (sure and surely):
            address[r] = -1
    for r in range(start, stop):  # apart, as what is seldom needed would slow the loop above
        if address[r] < 0:
            square = _lanes(z, r, highest, deepest)
            floor = _look_through(z, r, one, highest, top, nothing)
            ceiling = _look_through(z, r, -one, deepest, bottom, top)
            _finish(
                z, r, square, top, bottom, floor, ceiling,
                norm, values, counts, radices, binomials, place, address, score, gap,
            )  # fmt: skip

"""The nearest owned vectors of V^{mk}, by walking outwards from an embedding or by a scan.

Scores are sums of coordinates in float64, which for float32 coordinates of similar size are exact:
equal scores are equal, and the lowest address wins.
"""

from __future__ import annotations

import numpy as np

from lsc_continual.kernels.compiler import jit
from lsc_continual.kernels.decode import rank_of

_NEAR = 16  # coordinates that are sorted at first, from either end
_FURTHER = 4  # times as many where those do not suffice
_CHILDREN = 4  # patterns that come from one, at most


@jit
def _multiply(a, b, size):  # type: ignore[no-untyped-def]
    """a · b mod size, for 0 ≤ a, b < size < 2⁶³."""
    if size < 2**31:
        return a * b % size
    product = 0
    while b:
        if b & 1:
            product = product - (size - a) if product >= size - a else product + a
        a = a - (size - a) if a >= size - a else a + a
        b >>= 1
    return product


@jit
def _owner(address, owners):  # type: ignore[no-untyped-def]
    """The ordinal that owns an address, or −1; see `targets.allocation.Owners`."""
    size, classes, offset, inverse, table, ordinals = owners
    if inverse:
        shifted = address - offset if address >= offset else address + (size - offset)
        ordinal = _multiply(shifted, inverse, size)
        return ordinal if ordinal < classes else -1
    place = np.searchsorted(table, address)
    return np.int64(ordinals[place]) if place < len(table) and table[place] == address else -1


@jit
def _sort_ends(z, r, near, order, value):  # type: ignore[no-untyped-def]
    """The `near` largest and smallest coordinates, at both ends of `order` and `value`.

    `order` runs from the largest to the smallest; its middle is void unless 2 · `near` = n.
    """
    n = z.shape[1]
    for side in range(2):
        sign = 1.0 if side == 0 else -1.0
        size = 0
        for p in range(n):
            here = sign * np.float64(z[r, p])
            if size == near and not here > sign * value[near - 1 if side == 0 else n - near]:
                continue
            a = size if size < near else near - 1
            while a > 0:
                before = a - 1 if side == 0 else n - a
                if not here > sign * value[before]:
                    break
                at = a if side == 0 else n - 1 - a
                order[at], value[at] = order[before], value[before]
                a -= 1
            at = a if side == 0 else n - 1 - a
            order[at], value[at] = p, sign * here
            size = min(size + 1, near)


@jit
def _sort_all(z, r, order, value):  # type: ignore[no-untyped-def]
    value[:] = z[r]
    order[:] = np.argsort(-value, kind="mergesort")
    value[:] = value[order]


@jit
def _sum(pattern, i, m, value):  # type: ignore[no-untyped-def]
    """Score of a pattern: ranks of m plus entries from the largest, of others from the least."""
    total = 0.0
    for a in range(pattern.shape[1]):
        rank = pattern[i, a]
        total += value[rank] if a < m else -value[len(value) - 1 - rank]
    return total


@jit
def _push(heap, scores, size, i):  # type: ignore[no-untyped-def]
    a = size
    while a > 0:
        parent = (a - 1) >> 1
        if scores[heap[parent]] >= scores[i]:
            break
        heap[a] = heap[parent]
        a = parent
    heap[a] = i


@jit
def _pop(heap, scores, size):  # type: ignore[no-untyped-def]
    """The best of `size` entries; the heap is one shorter then."""
    best, last = heap[0], heap[size - 1]
    a = 0
    while 2 * a + 1 < size - 1:
        child = 2 * a + 1
        if child + 1 < size - 1 and scores[heap[child + 1]] > scores[heap[child]]:
            child += 1
        if scores[last] >= scores[heap[child]]:
            break
        heap[a] = heap[child]
        a = child
    heap[a] = last
    return best


@jit
def _step(pattern, i, first, stop, new):  # type: ignore[no-untyped-def]
    """Copy pattern i to `new` and beyond, each time with one rank of one side raised by one.

    Every pattern but the first comes from exactly one other: the one in which the first rank that
    can be lowered is. Returns how many there are.
    """
    packed = 0  # ranks 0, 1, 2, … that cannot be lowered
    while first + packed < stop and pattern[i, first + packed] == packed:
        packed += 1
    made = 0
    for a in range(max(packed - 1, 0), min(packed, stop - first - 1) + 1):
        raised = pattern[i, first + a] + 1
        if first + a + 1 < stop and raised == pattern[i, first + a + 1]:
            continue
        for b in range(pattern.shape[1]):
            pattern[new + made, b] = pattern[i, b]
        pattern[new + made, first + a] = raised
        made += 1
    return made


@jit
def _address(pattern, i, m, order, place, radix, binomials):  # type: ignore[no-untyped-def]
    """Address of a pattern; −1 if it uses a coordinate twice."""
    n, count = len(order), pattern.shape[1]
    for a in range(count):
        rank = pattern[i, a]
        place[a] = order[rank] if a < m else order[n - 1 - rank]
        for b in range(m if a >= m else 0):
            if place[b] == place[a]:
                return -1
    digits = 0
    for begin, end in ((0, m), (m, count)):
        digits = digits * radix + rank_of(place, begin, end, binomials)
    return digits


@jit
def walk_rows(  # type: ignore[no-untyped-def]
    start, stop, z, m, k, radix, binomials, owners, steps, ordinal, score, walked
):
    """Walk through the vectors, nearest first, until owned ones appear.

    Args:
        z: float32[batch, n].
        m, k: how many plus and minus entries a vector has.
        radix: of the address, C(n − m, k).
        binomials: int64[max(m, k), n], C(place, 1 + row).
        owners: see `targets.allocation.Owners`.
        steps: how many vectors to look at.
        ordinal: int64[batch, wanted], where ordinals go, −1 where none was found.
        score: float64[batch, wanted], sums of coordinates.
        walked: int64[batch], vectors that are nearer than the first owned one; `steps` if none
            was found.

    Of equally near vectors, the first has the lowest address. Where that could not be told within
    the steps, nothing is found.
    """
    n, wanted = z.shape[1], ordinal.shape[1]
    count = m + k
    room = 8 * steps + 64  # patterns that use a coordinate twice take room, but are no step
    pattern = np.empty((room, count), np.int32)
    scores, heap = np.empty(room, np.float64), np.empty(room, np.int64)
    order, value = np.empty(n, np.int64), np.empty(n, np.float64)
    place = np.empty(count, np.int64)
    for r in range(start, stop):
        near = _NEAR if wanted == 1 else 2 * _NEAR  # which is to look further
        while True:
            complete = 2 * near >= n
            if complete:
                near = n
                _sort_all(z, r, order, value)
            else:
                _sort_ends(z, r, near, order, value)
            ordinal[r], score[r] = -1, -np.inf
            for a in range(count):
                pattern[0, a] = a if a < m else a - m
            scores[0] = _sum(pattern, 0, m, value)
            heap[0] = 0
            size, used, found, seen, least = 1, 1, 0, 0, 0
            walked[r] = steps
            too_short = False
            while size and seen < steps and used + _CHILDREN <= room:
                i = heap[0]
                if found == wanted and (wanted > 1 or scores[i] < score[r, 0]):
                    break
                _pop(heap, scores, size)
                size -= 1
                address = _address(pattern, i, m, order, place, radix, binomials)
                if address >= 0:
                    owner = _owner(address, owners)
                    if owner >= 0 and found < wanted:
                        if found == 0:
                            walked[r] = seen
                        ordinal[r, found], score[r, found] = owner, scores[i]
                        least = address
                        found += 1
                    elif owner >= 0 and address < least:
                        ordinal[r, 0], least = owner, address
                    seen += 1
                plus_is_first = True
                for a in range(m):
                    plus_is_first &= pattern[i, a] == a
                made = _step(pattern, i, 0, m, used)
                if plus_is_first:
                    made += _step(pattern, i, m, count, used + made)
                for new in range(used, used + made):
                    highest = 0
                    for a in range(count):
                        highest = max(highest, pattern[new, a])
                    if highest >= near:
                        too_short = not complete
                        continue
                    scores[new] = _sum(pattern, new, m, value)
                    _push(heap, scores, size, new)
                    size += 1
                used += made
                if too_short:
                    break
            if too_short:
                near *= _FURTHER
                continue
            if wanted == 1 and found and size and scores[heap[0]] == score[r, 0]:
                ordinal[r, 0] = -1  # others may be as near
            break


@jit
def scan_rows(start, stop, z, m, places, addresses, address, score):  # type: ignore[no-untyped-def]
    """Compare rows with owned vectors; keep the best, of equals the lowest address.

    Args:
        z: float32[batch, n].
        m: how many of the places have plus entries.
        places: int32[vectors, m + k].
        addresses: int64[vectors].
        address: int64[batch] and score: float64[batch], the best so far, and where it goes.
    """
    row = np.empty(z.shape[1], np.float64)
    for r in range(start, stop):
        row[:] = z[r]
        best, at = score[r], address[r]
        for i in range(len(addresses)):
            total = 0.0
            for a in range(places.shape[1]):
                here = row[places[i, a]]
                total += here if a < m else -here
            if total > best or (total == best and addresses[i] < at):
                best, at = total, addresses[i]
        score[r], address[r] = best, at

"""Unions of orbits: the frame with V^{mk}, the interpolated A_n and dyadic scatterings."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lsc_continual.machine.precision import full_precision
from lsc_continual.systems.base import Decoded, Ranked, VectorSystem, as_float, length_of, told
from lsc_continual.systems.counting import (
    INTERPOLATED,
    Weights,
    dyadic_bases,
    dyadic_level,
    framed_bases,
    union,
)
from lsc_continual.systems.orbit import Orbit
from lsc_continual.systems.permutation import PermutationSystem

_FEW = 3  # orbits: decoding in each is faster than sorting embeddings


class OrbitUnion(VectorSystem):
    """A union of orbits of integer vectors, each projected to the unit sphere.

    Addresses run through the orbits in the order given. Decoding takes the best orbit by one
    product with the sorted embedding, then decodes in it; of a few orbits, it decodes in each.
    """

    def __init__(self, name: str, dim: int, bases: Sequence[Weights]) -> None:
        self._bases = bases
        super().__init__(name, dim)
        fitting = [b for b in bases if len(b) <= dim]
        self.orbits = [self._orbit(b) for b in fitting]
        sizes = torch.tensor([0] + [orbit.size for orbit in self.orbits])
        self._offsets = sizes.cumsum(0)  # [orbits + 1]
        padded = [sorted((*b, *[0] * (dim - len(b))), reverse=True) for b in fitting]
        base = torch.tensor(padded, dtype=torch.float64)
        self._base_vectors = base / base.norm(dim=-1, keepdim=True)  # [orbits, dim], descending

    def _orbit(self, base: Weights) -> Orbit:
        values = sorted({*base, 0}, reverse=True)
        counts = [base.count(v) if v else self.dim - len(base) for v in values]
        return Orbit(f"orbit of {base}", values, counts)

    def size_at(self, dim: int) -> int:
        return union(tuple(self._bases))(dim)

    @property
    def max_cosine(self) -> float:
        between = (self._base_vectors @ self._base_vectors.T).fill_diagonal_(-1.0).max()
        return max(float(between), *(orbit.max_cosine for orbit in self.orbits))

    def vectors(self, addresses: Tensor) -> Tensor:
        self._check_addresses(addresses)
        flat = addresses.reshape(-1)
        out = torch.empty((len(flat), self.dim), device=flat.device)
        orbit_of = torch.searchsorted(self._offsets.to(flat.device), flat, right=True) - 1
        for i in orbit_of.unique().tolist():
            rows = orbit_of == i
            out[rows] = self.orbits[i].vectors(flat[rows] - int(self._offsets[i]))
        return out.reshape(*addresses.shape, self.dim)

    @full_precision
    def decode(self, z: Tensor) -> Decoded:
        self.require_batch(z)
        z = as_float(z)
        if len(self.orbits) <= _FEW:
            return self._decode_each(z)
        u = z / length_of(z).unsqueeze(-1)
        # [batch, orbits]; the nearest vector of an orbit is sorted as the embedding is.
        scores = u.sort(dim=-1, descending=True).values @ self._base_vectors.to(u).T
        best, orbit_of = scores.max(-1)
        others = scores.scatter(-1, orbit_of.unsqueeze(-1), -torch.inf).amax(-1)
        address = torch.empty(len(z), dtype=torch.int64, device=z.device)
        gap = best - others
        for i in orbit_of.unique().tolist():
            rows = orbit_of == i
            inside = self.orbits[i].decode(z[rows])
            address[rows] = inside.address + int(self._offsets[i])
            gap[rows] = torch.minimum(gap[rows], inside.gap)
        return told(Decoded(address, best, gap))

    def _decode_each(self, z: Tensor) -> Decoded:
        """By every orbit's own decoder, which needs no sorting of embeddings."""
        best = self.orbits[0].decode(z)
        for start, orbit in zip(self._offsets[1:].tolist(), self.orbits[1:]):
            other = orbit.decode(z)
            nearer = other.score > best.score
            gap = torch.where(nearer, other.gap, best.gap)
            best = Decoded(
                torch.where(nearer, other.address + start, best.address),
                torch.where(nearer, other.score, best.score),
                torch.minimum(gap, (other.score - best.score).abs()),
            )
        return told(best)

    def rank_limit(self) -> int:
        limits = [(orbit.rank_limit(), orbit.size) for orbit in self.orbits]
        return min((limit for limit, size in limits if limit < size), default=self.size)

    def _ranked(self, x: Tensor, count: int) -> Ranked:
        lists = [orbit._ranked(x, min(count, orbit.size)) for orbit in self.orbits]
        starts = self._offsets[:-1].tolist()
        address = torch.cat([a + start for (a, _), start in zip(lists, starts, strict=True)], -1)
        # Equal scores stay in the order of addresses.
        score, order = torch.cat([s for _, s in lists], -1).sort(
            dim=-1, descending=True, stable=True
        )
        return Ranked(address.gather(-1, order)[:, :count], score[:, :count])

    def _log_partition(self, x: Tensor) -> Tensor:
        parts = [orbit._log_partition(x) for orbit in self.orbits]
        return torch.stack(parts, -1).logsumexp(-1)


class FramedOrbit(OrbitUnion):
    """The n unit vectors e_i, and after them V^{mk}.

    A class that owns a unit vector shares no coordinate with any other of its kind, as with a
    linear head; so the first n classes get these, and those that come later, of which there may be
    any number, share coordinates. (Ours; docs/price.md has what sharing costs.)

    >>> FramedOrbit("frame-v21", 384).size
    28091136
    """

    def __init__(self, name: str, dim: int) -> None:
        super().__init__(name, dim, framed_bases(name))

    def _orbit(self, base: Weights) -> Orbit:
        return PermutationSystem(f"v{base.count(1)}-{base.count(-1)}", self.dim)

    def min_dim(self, classes: int) -> int:
        return max(super().min_dim(classes), max(map(len, self._bases)))

    @property
    def nested(self) -> Sequence[VectorSystem]:
        return self.orbits


class InterpolatedRoots(OrbitUnion):
    """A_n with the normalised midpoints of neighbouring roots.

    Orbits of (1, −1), (2, −1, −1) and (1, 1, −2). The source (arXiv 2510.04090) names the
    interpolated A_n without defining it; this reading is ours.
    """

    def __init__(self, name: str, dim: int) -> None:
        super().__init__(name, dim, INTERPOLATED)


class DyadicScattering(OrbitUnion):
    """Lattice points on the boundary of the 2^level-fold dilated root polytope of A_{n−1}.

    These are the integer vectors whose positive entries sum to 2^level and whose negative entries
    sum to −2^level, projected to the sphere: one orbit for each pair of partitions of 2^level.
    Level 0 is A_{n−1}. (After arXiv 2512.04865; the projection to the sphere is our choice.)

    A collection can be extended in the same space: the vectors of a level are vectors of the next
    level with the same addresses, since orbits are ordered by the level that first has them.

    >>> import torch
    >>> coarse, fine = DyadicScattering("dyadic1", 6), DyadicScattering("dyadic2", 6)
    >>> coarse.size, fine.size
    (240, 2970)
    >>> everything = torch.arange(coarse.size)
    >>> torch.equal(coarse.vectors(everything), fine.vectors(everything))
    True
    """

    def __init__(self, name: str, dim: int) -> None:
        self.level = dyadic_level(name)
        super().__init__(name, dim, dyadic_bases(self.level))

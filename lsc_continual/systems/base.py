"""The one interface of all vector systems."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from lsc_continual.errors import CapacityError, LSCError, NotTractableError
from lsc_continual.machine.precision import full_precision
from lsc_continual.systems.counting import checked_size, least_dim
from lsc_continual.systems.numbering import Numbering

_DENSE_SIZE = 2**14  # systems up to this size may be listed whole
_BYTES_PER_CHUNK = 2**26  # of any temporary table of vectors


class Decoded(NamedTuple):
    """Nearest vector of the whole system for each embedding."""

    address: Tensor
    """LongTensor[batch]."""
    score: Tensor
    """FloatTensor[batch]: cosine between the embedding and that vector."""
    gap: Tensor
    """FloatTensor[batch]: runner-up gap, how much smaller the second largest cosine is."""


class Ranked(NamedTuple):
    """The nearest vectors of the whole system, nearest first."""

    address: Tensor
    """LongTensor[batch, count]."""
    score: Tensor
    """FloatTensor[batch, count]: cosines, descending."""


def as_float(z: Tensor) -> Tensor:
    """Half-precision embeddings in float32, where ranks and sums are exact enough."""
    return z if z.dtype in (torch.float32, torch.float64) else z.float()


def finite_rows(z: Tensor) -> Tensor:
    """Which embeddings have a finite length, and so a direction: [batch, dim] -> BoolTensor[batch].

    Of numbers from 10¹⁹ on, float32 cannot hold the square.
    """
    lengths: Tensor = torch.linalg.vector_norm(as_float(z), dim=-1)
    return lengths.isfinite()


def told(decoded: Decoded) -> Decoded:
    """What was decoded; of embeddings without a length, nothing: address −1."""
    nobody = decoded.score.isnan()
    if not nobody.any():
        return decoded
    address, score, gap = decoded
    return Decoded(address.masked_fill(nobody, -1), score, gap.masked_fill(nobody, torch.nan))


def length_of(z: Tensor) -> Tensor:
    """‖z‖ to divide by: that of zero is the least number, of what has none not a number."""
    length: Tensor = z.norm(dim=-1).clamp_min(torch.finfo(z.dtype).tiny)
    return length.masked_fill(~length.isfinite(), torch.nan)


class VectorSystem(ABC):
    """A fixed, structured set of `size` unit vectors in R^`dim`, named by addresses.

    An address is an integer 0 ≤ a < `size`. It must fit a signed 64-bit integer, so a system
    with 2⁶³ vectors or more is refused.

    Symbols, here and in all systems: n = `dim`, v a vector of the system, z an embedding,
    u = z/‖z‖, s a scale (inverse temperature).
    """

    name: str
    """The name that `make_system` takes."""
    dim: int
    size: int

    has_log_partition: ClassVar[bool] = True

    def __init__(self, name: str, dim: int) -> None:
        self.name = name
        self.dim = dim
        self.size = checked_size(name, dim, self.size_at)

    @abstractmethod
    def size_at(self, dim: int) -> int:
        """How many vectors a system of this kind has in `dim` dimensions, as a Python integer."""

    @property
    @abstractmethod
    def max_cosine(self) -> float:
        """Largest cosine between two different vectors."""

    @abstractmethod
    def vectors(self, addresses: Tensor) -> Tensor:
        """LongTensor[...] -> FloatTensor[..., dim], unit norm.

        Raises:
            LSCError: an address is outside 0 … size − 1.
        """

    @abstractmethod
    def decode(self, z: Tensor) -> Decoded:
        """Nearest vector of the whole system.

        Of several equally near ones, the lowest address (in permutohedra and unions of orbits:
        one of them).

        Args:
            z: FloatTensor[batch, dim], of any norm whose square float32 can hold; others have the
                address −1, and a score and a gap that are not numbers.
        """

    @property
    def nested(self) -> Sequence[VectorSystem]:
        """Systems that this one consists of, of which one is to be given away after another.

        Their addresses follow one another, too. None where all vectors are alike.
        """
        return ()

    def decode_numbered(
        self, z: Tensor, numbering: Numbering, count: int
    ) -> tuple[Decoded, Tensor]:
        """`decode`, and the number of each address, −1 if that is `count` or more.

        FloatTensor[batch, dim] -> results of `decode`, LongTensor[batch].
        """
        decoded = self.decode(z)
        return decoded, numbering.numbers(decoded.address, count)

    def addresses(self, vectors: Tensor) -> Tensor:
        """The inverse of `vectors`: FloatTensor[..., dim] -> LongTensor[...].

        Raises:
            LSCError: a row is not a vector of the system.
        """
        self._check_dim(vectors)
        decoded = self.decode(vectors.reshape(-1, self.dim))
        # A vector that is not in the system lies, as a rule, far further off than rounding does.
        off = (vectors.reshape(-1, self.dim) - self.vectors(decoded.address)).abs().amax(-1) > 1e-3
        if off.any():
            raise LSCError(
                f"row {int(off.nonzero()[0])} is not a vector of {self.name!r} in {self.dim} "
                "dimensions: use decode() for the nearest one"
            )
        return decoded.address.reshape(vectors.shape[:-1])

    def log_partition(
        self, z: Tensor, scale: float | Tensor = 1.0, normalize: bool = True
    ) -> Tensor:
        """Exact log Σ_v exp(s⟨u, v⟩) over all vectors of the system, differentiable.

        Args:
            z: FloatTensor[batch, dim].
            scale: s, a number or a tensor that broadcasts against [batch, 1].
            normalize: take u = z/‖z‖; with False, u = z.

        Returns:
            FloatTensor[batch].

        Raises:
            NotTractableError: no polynomial-time formula is known (permutohedron).
        """
        self._check_dim(z)
        x = z.to(self._dtype_of_sums(z))
        if normalize:
            x = F.normalize(x, dim=-1)
        if isinstance(scale, Tensor) or scale != 1:
            x = scale * x
        return self._log_partition(x).to(as_float(z).dtype)

    def _dtype_of_sums(self, z: Tensor) -> torch.dtype:
        """In float64 the sum is exact to float32 even where its logarithm is close to zero."""
        return torch.float64

    def _log_partition(self, x: Tensor) -> Tensor:
        """log Σ_v exp⟨x, v⟩ for logits per coordinate x: [batch, dim] -> [batch]."""
        raise NotTractableError(
            f"the sum over all vectors of {self.name!r} is not tractable: use the cosine or the "
            "Euclidean loss, or another system"
        )

    @full_precision
    def inner(self, x: Tensor, addresses: Tensor) -> Tensor:
        """Inner products of every row with every addressed vector.

        FloatTensor[batch, dim], LongTensor[count] -> FloatTensor[batch, count]. Temporary memory
        is bounded, whatever the count.
        """
        chunk = max(1, _BYTES_PER_CHUNK // (4 * self.dim))
        parts = [x @ self.vectors(part).to(x).T for part in addresses.split(chunk)]
        return torch.cat(parts, dim=-1) if parts else x.new_zeros(x.shape[0], 0)

    def rank_limit(self) -> int:
        """How many of the nearest vectors `ranked` can give; 0 where it is not available."""
        return self.size if self.size <= _DENSE_SIZE else 0

    def ranked(self, z: Tensor, count: int) -> Ranked:
        """The `count` nearest vectors of the whole system, nearest first.

        Args:
            z: FloatTensor[batch, dim].
            count: at most `rank_limit()`.
        """
        self.require_batch(z)
        if count > self.rank_limit():
            raise NotTractableError(
                f"{self.name!r} in {self.dim} dimensions lists at most {self.rank_limit()} nearest "
                f"vectors, not {count}"
            )
        z = as_float(z)
        ranked = self._ranked(z.double(), count)
        length = z.norm(dim=-1, keepdim=True).clamp_min(torch.finfo(z.dtype).tiny)
        return Ranked(ranked.address, (ranked.score / length).to(z.dtype))

    def _ranked(self, x: Tensor, count: int) -> Ranked:
        """The same with inner products for scores: DoubleTensor[batch, dim]."""
        everything = torch.arange(self.size, device=x.device)
        scores, order = self.inner(x, everything).sort(dim=-1, descending=True, stable=True)
        return Ranked(order[:, :count], scores[:, :count])

    def min_dim(self, classes: int) -> int:
        """Smallest dimension in which a system of this kind holds `classes` vectors."""
        return least_dim(self.size_at, classes)

    def require_capacity(self, classes: int) -> None:
        """Make sure that the system holds a vector for each of `classes`.

        Raises:
            CapacityError: it holds fewer; the message names the dimension that would do.
        """
        if classes > self.size:
            raise CapacityError(
                f"{classes} classes do not fit {self.name!r} in {self.dim} dimensions, which holds "
                f"{self.size}: use system.dim={self.min_dim(classes)} or more"
            )

    def require_batch(self, z: Tensor) -> None:
        """Make sure that these are embeddings for this system, [batch, dim].

        Raises:
            LSCError: they are no tensor of real numbers, or have another shape.
        """
        if not isinstance(z, Tensor) or z.is_complex():
            kind = z.dtype if isinstance(z, Tensor) else type(z).__name__
            raise LSCError(
                f"embeddings are a tensor of real numbers, [batch, {self.dim}], and not {kind}: "
                "use torch.as_tensor"
            )
        if z.ndim != 2:
            raise LSCError(
                f"expected a batch of embeddings, [batch, {self.dim}] for {self.name!r}, got shape "
                f"{tuple(z.shape)}"
            )
        self._check_dim(z)

    def _check_dim(self, z: Tensor) -> None:
        if z.shape[-1] != self.dim:
            raise LSCError(
                f"expected vectors with {self.dim} coordinates for {self.name!r}, got shape "
                f"{tuple(z.shape)}"
            )

    def _check_addresses(self, addresses: Tensor) -> None:
        if not addresses.numel():
            return
        low, high = torch.stack(addresses.aminmax()).tolist()  # a GPU is waited for once
        if low < 0 or high >= self.size:
            raise LSCError(
                f"addresses of {self.name!r} in {self.dim} dimensions run from 0 to "
                f"{self.size - 1}, got {low} … {high}"
            )

    def __repr__(self) -> str:
        return f"make_system({self.name!r}, dim={self.dim})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, VectorSystem):
            return NotImplemented
        return (self.name, self.dim) == (other.name, other.dim)

    def __hash__(self) -> int:
        return hash((self.name, self.dim))

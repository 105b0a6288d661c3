"""Ways to find the nearest of many vectors: exhaustive, and the libraries people use.

All compare inner products, which for unit vectors rank as cosines and as distances do.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cache, partial
from importlib import import_module
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from threadpoolctl import threadpool_limits
from torch import Tensor

from lsc_continual.bench.timing import seconds

_SCORES = 2**22  # bytes of inner products that exhaustive search holds at a time
_PROBE = 5_000  # vectors of the build from which the time of larger ones is estimated


class Index(ABC):
    """Finds, for embeddings, the vector with the largest inner product.

    Args:
        dim: of the vectors.
        threads: to build and search with.
    """

    name: ClassVar[str]
    module: ClassVar[str | None] = None
    """What has to be installed."""
    effort_name: ClassVar[str] = ""
    """What approximate indexes call the parameter that buys recall with time."""
    growth: ClassVar[float] = 1.0
    """How the time to build grows with the number of vectors, as an exponent."""
    devices: ClassVar[Sequence[str]] = ("cpu",)

    def __init__(self, dim: int, threads: int) -> None:
        self.dim = dim
        self.threads = threads

    def bytes_needed(self, classes: int) -> int:
        """Bytes of the vectors that are handed over, and of the copy that the index makes."""
        return 2 * classes * 4 * self.dim

    @abstractmethod
    def bytes_held(self) -> int:
        """Bytes of the index that was built."""

    @abstractmethod
    def build(self, vectors: Tensor) -> None:
        """Take in FloatTensor[classes, dim] of unit vectors."""

    @abstractmethod
    def search(self, z: Tensor, effort: int) -> Tensor:
        """FloatTensor[batch, dim] -> LongTensor[batch], row of a near vector, −1 for none."""

    def efforts(self, classes: int) -> list[int]:
        """Values of the effort parameter worth trying, ascending; of exact indexes, only one."""
        return _doublings(8, min(classes, 4096)) if self.effort_name else [0]

    def seconds_to_build(self, classes: int) -> float:
        """Estimated from a small build."""
        small = _seconds_of_small_build(type(self), self.dim, self.threads)
        return float(small * max(1.0, classes / _PROBE) ** self.growth)


@cache
def _seconds_of_small_build(kind: type[Index], dim: int, threads: int) -> float:
    generator = torch.Generator().manual_seed(0)
    vectors = F.normalize(torch.randn(_PROBE, dim, generator=generator))
    return seconds(partial(kind(dim, threads).build, vectors), vectors.device)


class TorchExhaustive(Index):
    """Matrix product and arg-max, a chunk of vectors at a time."""

    name = "torch, exhaustive"
    devices = ("cpu", "cuda")

    def bytes_needed(self, classes: int) -> int:
        return classes * 4 * self.dim  # the vectors are the index

    def bytes_held(self) -> int:
        return self._vectors.nbytes

    def build(self, vectors: Tensor) -> None:
        self._vectors = vectors

    def search(self, z: Tensor, effort: int) -> Tensor:
        best = z.new_full((len(z),), -torch.inf)
        row = torch.zeros(len(z), dtype=torch.int64, device=z.device)
        chunk = max(1, _SCORES // (4 * len(z)))
        for start in range(0, len(self._vectors), chunk):
            score, place = (z @ self._vectors[start : start + chunk].T).max(-1)
            better = score > best
            best = torch.where(better, score, best)
            row = torch.where(better, place + start, row)
        return row


class FaissFlat(Index):
    """Exhaustive search by faiss (Douze et al., arXiv 2401.08281), and the base of its others."""

    name = "FAISS Flat"
    module = "faiss"

    def __init__(self, dim: int, threads: int) -> None:
        super().__init__(dim, threads)
        self._faiss: Any = import_module(self.module)
        threadpool_limits(threads)  # of its own OpenMP and BLAS too, which were loaded just now
        # By default FAISS 1.15 leaves BLAS, which is six times faster, to batches over 333.
        self._faiss.cvar.distance_compute_blas_threshold = 1

    def _recipe(self, classes: int) -> str:
        """What FAISS's `index_factory` is asked for."""
        return "Flat"

    def bytes_held(self) -> int:
        written = 0

        def count(part: bytes) -> None:
            nonlocal written
            written += len(part)

        self._faiss.write_index(self._index, self._faiss.PyCallbackIOWriter(count, 2**20))
        return written

    def build(self, vectors: Tensor) -> None:
        recipe = self._recipe(len(vectors))
        self._index = self._faiss.index_factory(self.dim, recipe, self._faiss.METRIC_INNER_PRODUCT)
        rows = vectors.numpy()
        if not self._index.is_trained:
            # FAISS asks for 39 points a list at least; we do not let it warn about small sets.
            lists = self._index.cp
            lists.min_points_per_centroid, lists.max_points_per_centroid = 1, 39
            self._index.train(rows)
        self._index.add(rows)

    def search(self, z: Tensor, effort: int) -> Tensor:
        if self.effort_name:
            self._faiss.ParameterSpace().set_index_parameter(self._index, self.effort_name, effort)
        return torch.from_numpy(self._index.search(z.numpy(), 1)[1][:, 0])


class FaissIVF(FaissFlat):
    """Inverted lists, 4√classes of them, as FAISS's guidelines advise."""

    name = "FAISS IVF"
    effort_name = "nprobe"
    growth = 1.3

    def _recipe(self, classes: int) -> str:
        return f"IVF{self._lists(classes)},Flat"

    def _lists(self, classes: int) -> int:
        return max(1, int(4 * classes**0.5))

    def efforts(self, classes: int) -> list[int]:
        return _doublings(1, self._lists(classes))


class FaissHNSW(FaissFlat):
    """Navigable small-world graphs (Malkov and Yashunin, arXiv 1603.09320), 32 links a vector."""

    name = "FAISS HNSW"
    effort_name = "efSearch"
    growth = 1.3

    def _recipe(self, classes: int) -> str:
        return "HNSW32"


class UsearchHNSW(Index):
    """The graphs of usearch, with its own defaults."""

    name = "usearch HNSW"
    module = "usearch"
    effort_name = "expansion_search"
    growth = 1.3

    def bytes_held(self) -> int:
        return int(self._index.serialized_length)

    def build(self, vectors: Tensor) -> None:
        usearch = import_module("usearch.index")
        self._index = usearch.Index(ndim=self.dim, metric="ip", dtype="f32")
        self._index.add(np.arange(len(vectors)), vectors.numpy(), threads=self.threads)

    def search(self, z: Tensor, effort: int) -> Tensor:
        self._index.expansion_search = effort
        matches = self._index.search(z.numpy(), 1, threads=self.threads)
        keys = matches.keys[:, 0].astype(np.int64)
        return torch.from_numpy(np.where(matches.counts > 0, keys, -1))


INDEXES: tuple[type[Index], ...] = (TorchExhaustive, FaissFlat, FaissIVF, FaissHNSW, UsearchHNSW)


def _doublings(first: int, last: int) -> list[int]:
    efforts = []
    while first < last:
        efforts.append(first)
        first *= 2
    return [*efforts, last]

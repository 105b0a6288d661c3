"""Scores fitted to the embeddings of known inputs, in fixed memory."""

from __future__ import annotations

from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from lsc_continual.errors import LSCError
from lsc_continual.network.heads import TargetHead
from lsc_continual.novelty.base import NoveltyScore, Placed

T = TypeVar("T")

_NEIGHBOURS = 5  # at most
_OF_A_CLASS = 10  # one neighbour for as many embeddings of a class
_RIDGE = 1e-2  # of the mean variance: embeddings do not fill all dimensions
_ROWS = 1024  # reference embeddings that are compared with all at once


class KNearest(NoveltyScore):
    """1 − mean cosine to the nearest reference embeddings (after Sun et al., ICML 2022).

    They are up to five, a tenth of what the reference has of a class on average, and at least one:
    of a class with two embeddings, the third neighbour is another class's.
    Its cost and memory are those of the reference, whatever the number of classes.
    """

    needs_fit = True
    _reference: Tensor | None = None
    _neighbours = 1

    def fit(self, reference: Placed) -> None:
        self._reference = self._directions(reference.z)
        each = len(reference.z) // len(reference.nearest.ordinal.unique())
        self._neighbours = min(max(each // _OF_A_CLASS, 1), _NEIGHBOURS)

    def of(self, placed: Placed) -> Tensor:
        reference = _fitted(self._reference)
        directions = self._directions(placed.z)
        return self._distance(directions, directions @ reference.T, len(reference))

    def fit_among(self, reference: Placed) -> Tensor:
        self.fit(reference)
        return self.without_selves(torch.arange(len(reference.z), device=reference.z.device))

    def without_selves(self, rows: Tensor) -> Tensor:
        """What some of the reference embeddings would score if they were not in the reference.

        LongTensor[rows] -> FloatTensor[rows].
        """
        reference = _fitted(self._reference)
        scores = []
        for some in rows.split(_ROWS):
            cosines = reference[some] @ reference.T
            cosines.scatter_(1, some[:, None], -torch.inf)
            scores.append(self._distance(reference[some], cosines, len(reference) - 1))
        return torch.cat([reference.new_empty(0), *scores])

    def _directions(self, z: Tensor) -> Tensor:
        return F.normalize(z, dim=-1)

    def _distance(self, directions: Tensor, cosines: Tensor, others: int) -> Tensor:
        nearest = cosines.topk(min(self._neighbours, others), -1).indices
        apart = directions.unsqueeze(1) - _fitted(self._reference)[nearest]
        return apart.square().sum(-1).mean(-1) / 2  # 1 − cosine, without cancellation


class WhitenedKNearest(KNearest):
    """`knn` where embeddings scatter alike in all directions around the means of their classes.

    (Within-class covariance normalisation, after Hatch et al., Interspeech 2006.) A direction in
    which a class varies says little, one in which none does says much. To the covariance its mean
    eigenvalue is added along the diagonal, times the dimensions for each embedding of the
    reference, and at most once. Classes are those of the nearest owned targets. An embedding that
    is left out is so among the neighbours, and not in the covariance.
    """

    _spread: _Spread | None = None

    def fit(self, reference: Placed) -> None:
        z, ordinal = reference.z, reference.nearest.ordinal
        classes, members = ordinal.unique(return_inverse=True)
        sums = z.new_zeros(len(classes), z.shape[1]).index_add(0, members, z)
        means = sums / members.bincount().unsqueeze(-1)
        self._spread = _Spread(z.shape[1], z.device, min(z.shape[1] / len(z), 1))
        self._spread.add(z - means[members])
        super().fit(reference)

    def _directions(self, z: Tensor) -> Tensor:
        return super()._directions(_fitted(self._spread).whitened(z))


class Mahalanobis(NoveltyScore):
    """Squared Mahalanobis distance to the nearest owned target, norm and all.

    After Lee et al. (NeurIPS 2018). The class means are the targets times one common length, so
    that a class needs no memory, and all classes share one covariance. `fit` starts it anew;
    `update` adds to it, for networks that stay as they are while inputs go by.
    """

    needs_fit = True
    _length: Tensor
    _spread: _Spread | None = None

    def fit(self, reference: Placed) -> None:
        self._length = (reference.z * reference.target).sum(-1).mean()
        self._spread = _Spread(self.head.system.dim, reference.z.device)
        self.update(reference)

    def update(self, reference: Placed) -> None:
        """Add known inputs to the shared covariance."""
        _fitted(self._spread).add(self._residual(reference))

    def of(self, placed: Placed) -> Tensor:
        return _fitted(self._spread).squared_distance(self._residual(placed))

    def fit_among(self, reference: Placed) -> Tensor:
        self.fit(reference)
        return self.without_selves(reference)

    def without_selves(self, reference: Placed) -> Tensor:
        """What embeddings that it was fitted on would score if they had not been."""
        return _fitted(self._spread).distance_without_self(self._residual(reference))

    def _residual(self, placed: Placed) -> Tensor:
        return placed.z - self._length * placed.target


class Cloud(NoveltyScore):
    """Squared distance to all known inputs as one cloud, whatever their classes."""

    needs_fit = True
    _spread: _Spread | None = None

    def fit(self, reference: Placed) -> None:
        self._spread = _Spread(self.head.system.dim + 1, reference.z.device)
        self.update(reference)

    def update(self, reference: Placed) -> None:
        """Add known inputs."""
        _fitted(self._spread).add(self._with_mean(reference))

    def of(self, placed: Placed) -> Tensor:
        return _fitted(self._spread).squared_distance(self._with_mean(placed))

    def without_selves(self, reference: Placed) -> Tensor:
        """What embeddings that it was fitted on would score if they had not been."""
        return _fitted(self._spread).distance_without_self(self._with_mean(reference))

    @staticmethod
    def _with_mean(placed: Placed) -> Tensor:
        """Embeddings with a constant coordinate, so that second moments hold the mean too."""
        return F.pad(placed.z, (0, 1), value=1)


class RelativeMahalanobis(NoveltyScore):
    """The Mahalanobis score less the squared distance to all known inputs as one cloud.

    After Ren et al., 2021 (arXiv 2106.09022).
    """

    needs_fit = True

    def __init__(self, head: TargetHead) -> None:
        super().__init__(head)
        self._mahalanobis, self._cloud = Mahalanobis(head), Cloud(head)

    def fit(self, reference: Placed) -> None:
        self._mahalanobis.fit(reference)
        self._cloud.fit(reference)

    def update(self, reference: Placed) -> None:
        """Add known inputs to both."""
        self._mahalanobis.update(reference)
        self._cloud.update(reference)

    def of(self, placed: Placed) -> Tensor:
        return self._mahalanobis.of(placed) - self._cloud.of(placed)

    def fit_among(self, reference: Placed) -> Tensor:
        self.fit(reference)
        own = self._mahalanobis.without_selves(reference)
        return own - self._cloud.without_selves(reference)


class _Spread:
    """Second moments of vectors, and distances in their metric; dim × dim numbers.

    Args:
        ridge: what is added to the moments, as a share of the mean variance.
    """

    def __init__(self, dim: int, device: torch.device, ridge: float = _RIDGE) -> None:
        self.count = 0
        self._ridge = ridge
        self._moments = torch.zeros(dim, dim, dtype=torch.float64, device=device)
        self._whitening = torch.zeros(dim, dim, device=device)

    def add(self, vectors: Tensor) -> None:
        """Take in [count, dim]."""
        self._moments += vectors.double().T @ vectors.double()
        self.count += len(vectors)
        mean = self._moments / self.count
        ridge = (self._ridge * mean.diagonal().mean()).clamp_min(1e-12)
        unit = torch.eye(len(mean), dtype=mean.dtype, device=mean.device)
        lower = torch.linalg.cholesky(mean + ridge * unit)
        self._whitening = torch.linalg.solve_triangular(lower, unit, upper=False).T.float()

    def distance_without_self(self, vectors: Tensor) -> Tensor:
        """As `squared_distance`, of vectors that were taken in, as if they had not been.

        With h = d/count for the squared distance d, that is (count − 1) h/(1 − h), by the formula
        of Sherman and Morrison; the ridge is that of all.
        """
        share = self.squared_distance(vectors) / self.count
        return (self.count - 1) * share / (1 - share).clamp_min(1e-6)

    def squared_distance(self, vectors: Tensor) -> Tensor:
        """[batch, dim] -> [batch]."""
        return self.whitened(vectors).square().sum(-1)

    def whitened(self, vectors: Tensor) -> Tensor:
        """Vectors of which these are the squared lengths: [batch, dim] -> [batch, dim]."""
        return vectors @ self._whitening.to(vectors)


def _fitted(part: T | None) -> T:
    if part is None:
        raise LSCError("this novelty score has to be fitted on known embeddings first: call fit()")
    return part

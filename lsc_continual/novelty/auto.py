"""The default score: what several others find, added up as evidence."""

from __future__ import annotations

from math import ceil, log

import torch
from torch import Tensor

from lsc_continual.network.heads import TargetHead
from lsc_continual.novelty.base import NoveltyScore, Placed
from lsc_continual.novelty.fitted import Cloud, Mahalanobis, WhitenedKNearest
from lsc_continual.novelty.scores import Doubt, MaxCosine

_MEASURED = 2000  # embeddings at most, that the tails of the parts are taken from
_UPPER = 5  # a tail is the upper fifth
_LEAST_UPPER = 5  # embeddings in it
_TRUSTED = 20.0  # nats of evidence, from which on more is worth less
_LEAST_EXCESS = 1e-6  # of a tail on average; below, the part is a constant


class Auto(NoveltyScore):
    """Doubt about the target and three distances from known inputs, added up as evidence.

    - Inputs of classes that resemble the known ones land between targets: `doubt`, the probability
      that it is not the nearest owned target (−cosine where the system has no partition sum).
    - Other inputs point where no known embedding does: `whitened-knn`.
    - Or their norm and the small coordinates are unusual for their class: the logarithm of
      `mahalanobis`;
    - or more so than for any known input: `relative-mahalanobis`.

    Each counts as −log of the share of the reference that scores as high (`Surprise`), and the sum
    is Fisher's way to combine tests (1932). A part that says little of what is unknown then costs
    little; one that tells it apart says so by its tail. The distances of the
    reference are those of each embedding to the others. Nothing is taken from the inputs that set
    a threshold, or from unknown ones. docs/novelty.md has what it is worth beside its parts, and
    beside other scores.
    """

    needs_fit = True

    def __init__(self, head: TargetHead) -> None:
        super().__init__(head)
        self._doubt = Doubt(head) if head.system.has_log_partition else MaxCosine(head)
        self._knn = WhitenedKNearest(head)
        self._mahalanobis, self._cloud = Mahalanobis(head), Cloud(head)
        self._tails: list[Surprise] = []

    def fit(self, reference: Placed) -> None:
        self._fit_parts(reference)
        rows = _some(reference)
        measured = Placed(self.head, reference.z[rows], reference.scale)
        self._measure(self._without_selves(measured, rows))

    def fit_among(self, reference: Placed) -> Tensor:
        self._fit_parts(reference)
        everyone = torch.arange(len(reference.z), device=reference.z.device)
        parts = self._without_selves(reference, everyone)
        self._measure(parts[_some(reference)])
        return self._sum(parts)

    def of(self, placed: Placed) -> Tensor:
        distances = (score.of(placed) for score in (self._knn, self._mahalanobis, self._cloud))
        return self._sum(self._parts(placed, *distances))

    def _fit_parts(self, reference: Placed) -> None:
        for score in (self._knn, self._mahalanobis, self._cloud):
            score.fit(reference)

    def _without_selves(self, measured: Placed, rows: Tensor) -> Tensor:
        """The parts of some embeddings of the reference, as if they were not in it."""
        return self._parts(
            measured,
            self._knn.without_selves(rows),
            self._mahalanobis.without_selves(measured),
            self._cloud.without_selves(measured),
        )

    def _parts(self, placed: Placed, knn: Tensor, mahalanobis: Tensor, cloud: Tensor) -> Tensor:
        """[batch, 4]."""
        distance = mahalanobis.clamp_min(1e-12).log()
        return torch.stack([self._doubt.of(placed), knn, distance, mahalanobis - cloud], -1)

    def _measure(self, parts: Tensor) -> None:
        """Take the tails of the parts from some of the reference: [count, 4]."""
        self._tails = [Surprise(part) for part in parts.unbind(-1)]

    def _sum(self, parts: Tensor) -> Tensor:
        told = [tail(part) for tail, part in zip(self._tails, parts.unbind(-1), strict=True)]
        return torch.stack(told).sum(0)


class Surprise:
    """−log P(score ≥ s) of known inputs, from a sample of their scores.

    Up to the upper fifth of the sample it is counted. Beyond, where samples end, the tail is taken
    for exponential, with their mean excess. No sample tells tails as far out as 20 nats (one in 5 ·
    10⁸); from there on it grows as the logarithm only, so that no part outshouts the others.

    Args:
        sample: FloatTensor[1 or more].
    """

    def __init__(self, sample: Tensor) -> None:
        self._ordered = ordered = sample.sort().values
        upper = min(max(len(ordered) // _UPPER, _LEAST_UPPER), len(ordered) - 1)
        self._begin = ordered[-upper - 1]
        self._at_begin = -log(upper / len(ordered)) if upper else 0.0
        excess = (ordered[-upper:] - self._begin).mean()
        self._excess = torch.where(excess > _LEAST_EXCESS, excess, 1)

    def __call__(self, scores: Tensor) -> Tensor:
        """FloatTensor[batch] -> FloatTensor[batch]."""
        ordered = self._ordered.to(scores)
        below = torch.searchsorted(ordered, scores.contiguous())
        counted = -((len(ordered) - below + 1) / (len(ordered) + 1)).log()
        beyond = scores - self._begin.to(scores)
        tail = self._at_begin + beyond / self._excess.to(scores)
        far = _TRUSTED * (1 + (tail.clamp_min(_TRUSTED) / _TRUSTED).log())
        return torch.where(beyond > 0, torch.minimum(tail, far), counted.to(scores))


def _some(reference: Placed) -> Tensor:
    """Rows that tails are taken from, spread over all: LongTensor[2,000 at most]."""
    count = len(reference.z)
    return torch.arange(0, count, ceil(count / _MEASURED), device=reference.z.device)

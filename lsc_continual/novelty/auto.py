"""The default score, which combines three kinds of evidence."""

from __future__ import annotations

import torch
from torch import Tensor

from lsc_continual.network.heads import TargetHead
from lsc_continual.novelty.base import NoveltyScore, Placed
from lsc_continual.novelty.fitted import KNearest, Mahalanobis
from lsc_continual.novelty.scores import Doubt, MaxCosine


class _LogMahalanobis(Mahalanobis):
    def of(self, placed: Placed) -> Tensor:
        return super().of(placed).clamp_min(1e-12).log()


class Auto(NoveltyScore):
    """Doubt about the target, and two distances from where known inputs lie, added up.

    - Inputs of classes that resemble the known ones land between targets: `doubt`, the probability
      that it is not the nearest owned target (−cosine where the system has no partition sum).
    - Other inputs point where no known embedding does: `knn`.
    - Or their norm and the small coordinates are unusual: the logarithm of `mahalanobis`.

    Each is put in units of its standard deviation over known inputs; nothing is fitted to unknown
    ones. docs/novelty.md has the experiment by which they were chosen.
    """

    needs_fit = True

    def __init__(self, head: TargetHead) -> None:
        super().__init__(head)
        doubt = Doubt(head) if head.system.has_log_partition else MaxCosine(head)
        self._parts: list[NoveltyScore] = [doubt, KNearest(head), _LogMahalanobis(head)]
        self._mean = self._deviation = torch.zeros(len(self._parts))

    def fit(self, reference: Placed, known: Placed) -> None:
        for part in self._parts:
            part.fit(reference, known)
        scores = self._each(known)
        self._mean, self._deviation = scores.mean(0), scores.std(0).clamp_min(1e-6)

    def of(self, placed: Placed) -> Tensor:
        return ((self._each(placed) - self._mean) / self._deviation).sum(-1)

    def _each(self, placed: Placed) -> Tensor:
        """[batch, parts]."""
        return torch.stack([part.of(placed) for part in self._parts], -1)

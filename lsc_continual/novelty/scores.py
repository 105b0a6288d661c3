"""Scores that read an embedding's place among the targets; they have nothing to learn."""

from __future__ import annotations

import torch
from torch import Tensor

from lsc_continual.errors import NotTractableError
from lsc_continual.network.heads import TargetHead
from lsc_continual.novelty.base import NoveltyScore, Placed

_LONGEST_WALK = 128


class _PartitionScore(NoveltyScore):
    """Base of scores that need the sum over all vectors of the system."""

    def __init__(self, head: TargetHead) -> None:
        super().__init__(head)
        if not head.system.has_log_partition:
            raise NotTractableError(
                f"this novelty score needs the sum over all vectors of {head.system.name!r}, which "
                "is not tractable: use auto, maxcos, gap, norm, knn or mahalanobis"
            )


class Mass(_PartitionScore):
    """−log P(known), with P(known) = O/Z: the owned targets' share of the whole system.

    Its cost grows with the number of classes.
    """

    def of(self, placed: Placed) -> Tensor:
        return placed.log_total - placed.log_owned


class Ambiguity(_PartitionScore):
    """1 − P(decoded address), under the softmax over the whole system."""

    def of(self, placed: Placed) -> Tensor:
        return _improbability(placed, self.head.system.vectors(placed.decoded.address))


class Doubt(_PartitionScore):
    """1 − P(nearest owned target), under the softmax over the whole system."""

    def of(self, placed: Placed) -> Tensor:
        return _improbability(placed, placed.target)


def _improbability(placed: Placed, vectors: Tensor) -> Tensor:
    """1 − e^{⟨x, v⟩}/Z, exact also where it is close to zero; vectors [batch, dim] -> [batch]."""
    x = placed.logits_per_coordinate
    log_probability = (x * vectors.to(x)).sum(-1) - placed.log_total
    return -torch.expm1(log_probability.clamp_max(0))


class Gap(NoveltyScore):
    """−(runner-up gap): small gaps between nearest and second nearest vector are novel.

    The reading of arXiv 2604.00779.
    """

    def of(self, placed: Placed) -> Tensor:
        return -placed.decoded.gap


class Unowned(NoveltyScore):
    """1 where the decoded address has no owner, else 0."""

    def of(self, placed: Placed) -> Tensor:
        return (self.head.targets.allocation.owner(placed.decoded.address) < 0).to(placed.z)


class Walk(NoveltyScore):
    """How many vectors of the system are nearer than the nearest owned one.

    Counted up to 128, or as many as the system can list; what is further off scores that much.
    """

    def __init__(self, head: TargetHead) -> None:
        super().__init__(head)
        self.longest = min(_LONGEST_WALK, head.system.rank_limit())
        if not self.longest:
            raise NotTractableError(
                f"{head.system.name!r} cannot list its nearest vectors: use another novelty score "
                "than walk"
            )

    def of(self, placed: Placed) -> Tensor:
        return self.head.targets.search.vectors_before(placed.z, self.longest).to(placed.z)


class Energy(NoveltyScore):
    """−log O, the energy of the owned targets (Liu et al., NeurIPS 2020, eq. 5).

    Its cost grows with the number of classes.
    """

    def of(self, placed: Placed) -> Tensor:
        return -placed.log_owned


class MaxCosine(NoveltyScore):
    """−cosine to the nearest owned target."""

    def of(self, placed: Placed) -> Tensor:
        return -placed.nearest.score


class Norm(NoveltyScore):
    """−‖z‖: inputs that excite few features are novel."""

    def of(self, placed: Placed) -> Tensor:
        length: Tensor = placed.z.norm(dim=-1)
        return -length

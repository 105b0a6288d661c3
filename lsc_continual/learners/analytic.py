"""The analytic learner: a frozen encoder, and targets reached by ridge regression on sums."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, inf, log2
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from lsc_continual.errors import LSCError
from lsc_continual.learners.reservoir import Kept, Reservoir
from lsc_continual.learners.sketch import Sketch
from lsc_continual.learners.solution import Solution
from lsc_continual.network.ridge import RecursiveRidge, decorrelated_without, decorrelation

PENALTIES = (1e-2, 1e-3, 1e-1)
"""Relative penalties to choose from; of equally good ones, the first."""

_USED, _CAPACITY = 4096, 6144  # samples of the reservoir
_JUDGES = 1024  # of them, that choose the penalty
_GROWTH = 1.1  # of the data, after which it is chosen anew
_STEPS = 8  # of the penalty for a factor of two: within one, small changes need no factorisation
_LARGEST_RANK = 256
_CHUNK = 1024  # samples whose features are computed at once
_BLOCK = 500  # columns of the sums that are saved together


class Batch(NamedTuple):
    """Labelled samples."""

    embeddings: Tensor
    """FloatTensor[count, width]: what the encoder says."""
    targets: Tensor
    """FloatTensor[count, dim]: the targets of their classes."""
    ordinals: Tensor
    """LongTensor[count]: of their classes."""
    digests: NDArray[np.uint64]
    """Of content and name, by which a sample is known again."""


class Projection(NamedTuple):
    """From features to embeddings near targets: z = W x + b."""

    weight: Tensor
    """FloatTensor[dim, features]."""
    bias: Tensor


class AnalyticLearner:
    """Learns by adding up, in any order, and forgets by subtracting.

    Features of a frozen encoder are regressed onto the targets of the classes (`RecursiveRidge`).
    All that is kept are sums over the samples, a sketch that knows each of them again, and a
    bounded sample (`Reservoir`) of embeddings. So the outcome is that of all data at once, whatever
    the order and grouping, to rounding. The penalty is λ = α·trace/D; α is chosen by the exact
    leave-one-out error of classification of the reservoir's samples, anew when the data have grown
    or shrunk by a tenth.

    Args:
        expand: from what the encoder says to features, FloatTensor[count, width] -> [count, D].
        width: of what the encoder says.
        features: D.
        dim: of the targets.
    """

    def __init__(
        self, expand: Callable[[Tensor], Tensor], width: int, features: int, dim: int
    ) -> None:
        self.expand = expand
        self.ridge = RecursiveRidge(features, dim)
        self.reservoir = Reservoir(width, _USED, _CAPACITY)
        self.sketch = Sketch()
        self.penalty: float | None = None
        """α."""
        self._chosen = 0  # samples there were when it was chosen
        self._solution: Solution | None = None
        self._seen: _Seen | None = None

    @property
    def count(self) -> int:
        """Samples learned."""
        return self.ridge.count

    def learn(self, batch: Batch) -> None:
        """Take in samples.

        Raises:
            LSCError: an embedding is not finite; nothing is learned then.
        """
        if not batch.embeddings.isfinite().all():
            raise LSCError("some embeddings are infinite or not numbers: leave those samples out")
        self._change(batch, 1)
        self.sketch.add(batch.digests)
        self.reservoir.add(Kept(batch.embeddings, batch.ordinals, batch.digests))

    def forget(self, batch: Batch) -> None:
        """Take out samples that were learned; `sketch.missing` tells of others."""
        self._change(batch, -1)
        self.sketch.subtract(batch.digests)
        self.reservoir.remove(batch.digests)

    def _change(self, batch: Batch, sign: int) -> None:
        for x, y in zip(batch.embeddings.split(_CHUNK), batch.targets.split(_CHUNK), strict=True):
            features = self.expand(x)
            if sign > 0:
                self.ridge.update(features, y)
            else:
                self.ridge.subtract(features, y)
            self._follow(features, y, sign)
        self.ridge.add_waiting()

    def _follow(self, features: Tensor, y: Tensor, sign: int) -> None:
        """Have the solution follow a small change; after a large one, it is made anew."""
        solution = self._solution
        if solution is not None and solution.rank + len(y) <= _LARGEST_RANK:
            solution.update(_with_one(features.double()), y.double(), sign)
        else:
            self._solution = None

    def merge(self, other: AnalyticLearner, ordinals: Tensor) -> None:
        """Take in all that another learner of the same encoder and targets has learned.

        Args:
            ordinals: what its classes are called here, LongTensor[its classes].
        """
        self.ridge.merge(other.ridge)
        self.sketch.merge(other.sketch)
        self.reservoir.add(other.reservoir.kept.renumbered(ordinals))
        self._solution = None

    def projection(self, vectors: Callable[[Tensor], Tensor]) -> Projection:
        """The projection after all that was learned.

        Args:
            vectors: the targets of ordinals, LongTensor[...] -> FloatTensor[..., dim].
        """
        matrix = decorrelation(self.ridge.second_moments)
        weight = (self._solved(vectors).weight @ matrix.T).T.float()
        return Projection(weight[:, 1:].contiguous(), weight[:, 0].contiguous())

    def left_out(self, vectors: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """Where samples of the reservoir would be embedded if they had not been learned.

        Returns:
            FloatTensor[count, dim], in the order of digests, and LongTensor[count], the ordinals.
        """
        solution = self._solved(vectors)
        kept = self.reservoir.used
        if self._seen is None or self._seen.solution is not solution:
            self._seen = _Seen(solution)
        x, first = self._seen.of(kept, self.expand)
        here = kept.ordinals >= 0
        ordinals = kept.ordinals[here]
        y = vectors(ordinals).double()
        y_hat = solution.left_out(x[here], y, first[here])
        return decorrelated_without(self.ridge.second_moments, y_hat, y).float(), ordinals

    def _solved(self, vectors: Callable[[Tensor], Tensor]) -> Solution:
        if not self.count:
            raise LSCError("nothing was learned yet: call learn first")
        low, high = self._chosen / _GROWTH, self._chosen * _GROWTH
        if self.penalty is None or not low < self.count < high:
            self._choose(vectors)
        assert self.penalty is not None
        penalty = self._absolute(self.penalty)
        if self._solution is None or self._solution.penalty != penalty:
            self._solution = self._solve(penalty)
        return self._solution

    def _choose(self, vectors: Callable[[Tensor], Tensor]) -> None:
        """Choose α by the leave-one-out error of classification."""
        kept = self.reservoir.used
        judges = (kept.ordinals >= 0).nonzero()[:_JUDGES, 0]
        x, ordinals = _with_one(self.expand(kept.embeddings[judges])), kept.ordinals[judges]
        y, moments = vectors(ordinals).double(), self.ridge.second_moments
        classes = kept.ordinals[kept.ordinals >= 0].unique()
        targets = vectors(classes).double()
        best = None
        for penalty in PENALTIES:
            solution = self._solve(self._absolute(penalty))
            y_hat = solution.left_out(x, y, solution.first_leverages(x))
            z = decorrelated_without(moments, y_hat, y)
            answers = classes[(F.normalize(z, dim=1) @ targets.T).argmax(1)]
            errors = int((answers != ordinals).sum())
            if best is None or errors < best[0]:
                best = errors, penalty, solution
        assert best is not None
        _, self.penalty, self._solution = best
        self._chosen = self.count

    def _absolute(self, penalty: float) -> float:
        """λ of α, in steps."""
        m, d = self.ridge.moments, self.ridge.features
        features = m.diagonal()[1 : 1 + d].sum() - m[1 : 1 + d, 0].square().sum() / self.count
        unit = max(float(features) / d, 1e-12)
        return penalty * float(2.0 ** (ceil(_STEPS * log2(unit)) / _STEPS))

    def _solve(self, penalty: float) -> Solution:
        m, d = self.ridge.moments, self.ridge.features
        return Solution(m[: 1 + d, : 1 + d], m[1 + d :, : 1 + d].T, penalty)

    def renumber(self, ordinals: Tensor) -> None:
        """Give classes other numbers: LongTensor[classes so far], −1 for those that are gone."""
        self.reservoir.renumber(ordinals)

    def state(self) -> dict[str, Any]:
        """What `load_state` needs, of constant size: tensors and JSON types."""
        kept = self.reservoir.kept
        rows = _CAPACITY - len(self.reservoir)
        return {
            "moments": torch.cat([block.reshape(-1) for block in _blocks(self.ridge.moments)]),
            "embeddings": F.pad(kept.embeddings, (0, 0, 0, rows)),
            "ordinals": F.pad(kept.ordinals, (0, rows), value=-1),
            "digests": F.pad(torch.from_numpy(kept.digests.view(np.int64)), (0, rows)),
            "kept": len(self.reservoir),
            "sketch": torch.from_numpy(self.sketch.counters),
            "penalty": self.penalty,
            "chosen": self._chosen,
        }

    def load_state(self, state: dict[str, Any], classes: int) -> None:
        """Go on from a `state()` of the same size.

        Args:
            classes: how many there are.

        Raises:
            ValueError: it cannot be one.
        """
        ordinals, count = state["ordinals"], int(state["kept"])
        shapes = {
            name: tuple(part.shape)
            for name, part in self.state().items()
            if isinstance(part, Tensor)
        }
        if shapes != {name: tuple(state[name].shape) for name in shapes}:
            raise ValueError("its tensors have other shapes")
        if not (ordinals < classes).all() or not 0 <= count <= len(ordinals) == _CAPACITY:
            raise ValueError("its samples are of classes that are not there")
        if not all(state[name].isfinite().all() for name in ("moments", "embeddings")):
            raise ValueError("its sums are not finite")
        blocks = _blocks(self.ridge.moments)
        parts = state["moments"].split([block.numel() for block in blocks])
        for block, part in zip(blocks, parts, strict=True):
            block.copy_(part.view_as(block))
        kept = slice(0, count)
        digests = state["digests"][kept].numpy().view(np.uint64)
        self.reservoir.restore(Kept(state["embeddings"][kept], state["ordinals"][kept], digests))
        self.sketch = Sketch(state["sketch"].numpy().copy())
        if self.sketch.counters.shape != Sketch().counters.shape:
            raise ValueError("its sketch has another size")
        penalty = state["penalty"]
        self.penalty, self._chosen = penalty and float(penalty), int(state["chosen"])
        if penalty is not None and not 0 < penalty < inf:
            raise ValueError("its penalty is none")
        self._solution = None


def _with_one(features: Tensor) -> Tensor:
    return F.pad(features, (1, 0), value=1)


def _blocks(moments: Tensor) -> list[Tensor]:
    """The lower triangle, roughly: what is below blocks along the diagonal, and these."""
    return [moments[start:, start : start + _BLOCK] for start in range(0, len(moments), _BLOCK)]


class _Seen:
    """What a solution needs to know of the samples of a reservoir; only new ones are computed."""

    def __init__(self, solution: Solution) -> None:
        self.solution = solution
        self._digests = np.empty(0, np.uint64)
        self._x = torch.empty(0, len(solution.weight))
        self._first = torch.empty(0).double()

    def of(self, kept: Kept, expand: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """Rows of X̃ and their first leverages, FloatTensor[count, 1 + features], [count]."""
        place = np.searchsorted(self._digests, kept.digests)
        place = np.minimum(place, max(len(self._digests) - 1, 0))
        old = np.zeros(len(kept.digests), bool)
        if len(self._digests):
            old = self._digests[place] == kept.digests
        new = torch.from_numpy(~old)
        added = [_with_one(expand(some)) for some in kept.embeddings[new].split(_CHUNK)]
        x = torch.empty(len(kept.digests), len(self.solution.weight))
        first = torch.empty(len(x)).double()
        x[~new], first[~new] = self._x[place[old]], self._first[place[old]]
        x[new] = torch.cat([x[:0], *added])
        first[new] = self.solution.first_leverages(x[new])
        self._digests, self._x, self._first = kept.digests, x, first
        return x, first

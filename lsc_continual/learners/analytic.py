"""The analytic learner: a frozen encoder, and targets reached by ridge regression on sums."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, inf, log2
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lsc_continual.errors import LSCError
from lsc_continual.learners.batch import Batch, Projection
from lsc_continual.learners.decorrelation import decorrelated_without, decorrelation
from lsc_continual.learners.penalty import PENALTIES, choose, likeliest
from lsc_continual.learners.reservoir import Reservoir, counted
from lsc_continual.learners.seen import Seen, expanded, with_one
from lsc_continual.learners.sketch import Sketch
from lsc_continual.learners.solution import Solution
from lsc_continual.learners.sums import Sums

_USED, _CAPACITY = 3072, 4608  # samples of the reservoir
_MOST = 6144  # that a reservoir has had so far
_JUDGES = 1024  # of them, that choose the penalty
_GROWTH = 1.1  # of the data, after which it is chosen anew
_STEPS = 8  # of the penalty for a factor of two: within one, small changes need no factorisation
LARGEST_RANK = 256  # of a change that a solution follows without being solved anew
_GONE = 10  # samples that there have to be for one that goes
_CHUNK = 1024  # samples whose features are computed at once
_BLOCKS = (100, 500)  # columns of the sums that are saved together, now and once


class AnalyticLearner:
    """Learns by adding up, in any order, and forgets by subtracting.

    Features of a frozen encoder are regressed onto the targets of the classes (`Sums`).
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
        penalties: α to choose from, ascending, the most likely in the middle.
        largest_rank: of a change that a solution follows; by larger ones it is made anew.
    """

    def __init__(
        self,
        expand: Callable[[Tensor], Tensor],
        width: int,
        features: int,
        dim: int,
        penalties: Sequence[float] = PENALTIES,
        largest_rank: int = LARGEST_RANK,
    ) -> None:
        self.expand = expand
        self.sums = Sums(features, dim)
        self.penalties = penalties
        self.largest_rank = largest_rank
        self.reservoir = Reservoir(width, _USED, _CAPACITY)
        self.sketch = Sketch()
        self.penalty: float | None = None
        """α."""
        self._chosen = 0  # samples there were when it was chosen
        self._solution: Solution | None = None
        self._seen: Seen | None = None

    @property
    def count(self) -> int:
        """Samples learned."""
        return self.sums.count

    @property
    def known_samples(self) -> int:
        """How many samples `left_out` gives."""
        return int((self.reservoir.used.ordinals >= 0).sum())

    def learn(self, batch: Batch) -> None:
        """Take in samples.

        Raises:
            LSCError: an embedding is not finite; nothing is learned then.
        """
        if not batch.embeddings.isfinite().all():
            raise LSCError("some embeddings are infinite or not numbers: leave those samples out")
        self._change(batch, 1)
        self.sketch.add(batch.digests)
        self.reservoir.add(counted(batch.embeddings, batch.ordinals, batch.digests))

    def forget(self, batch: Batch) -> None:
        """Take out samples that were learned; `sketch.missing` tells of others."""
        self._change(batch, -1)
        self.sketch.subtract(batch.digests)
        self.reservoir.remove(batch.digests)

    def _change(self, batch: Batch, sign: int) -> None:
        solution, count = self._solution, len(batch.targets)
        small = solution is not None and solution.rank + count <= self.largest_rank
        if sign < 0:  # without most samples, or all, the rest of a difference is rounding
            small &= _GONE * count <= self.count
        if solution is not None and small:
            solution.factorise(self.sums.gram)
        else:  # after a large change, it is made anew
            self._solution = solution = None
        for x, y in zip(batch.embeddings.split(_CHUNK), batch.targets.split(_CHUNK), strict=True):
            features = self.expand(x)
            self.sums.add(features, y, sign)
            if solution is not None:
                solution.update(with_one(features.double()), y.double(), sign)
        if not self.count:
            self.sums.clear()
            self.penalty, self._chosen, self._seen = None, 0, None

    def merge(self, other: AnalyticLearner, ordinals: Tensor) -> None:
        """Take in all that another learner of the same encoder and targets has learned.

        Args:
            ordinals: what its classes are called here, LongTensor[its classes].
        """
        self.sums.merge(other.sums)
        self.sketch.merge(other.sketch)
        self.reservoir.add(other.reservoir.kept.renumbered(ordinals))
        self._solution = None

    def projection(self, vectors: Callable[[Tensor], Tensor]) -> Projection:
        """The projection after all that was learned.

        Args:
            vectors: the targets of ordinals, LongTensor[...] -> FloatTensor[..., dim].
        """
        matrix = decorrelation(self.sums.outer)
        weight = (self._solved(vectors).weight @ matrix.T).T.float()
        return Projection(weight[:, 1:].contiguous(), weight[:, 0].contiguous())

    def left_out(self, vectors: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """Where samples of the reservoir would be embedded if they had not been learned.

        Returns:
            FloatTensor[count, dim], in the order of digests, and LongTensor[count], the ordinals.
        """
        solution = self._solved(vectors)
        kept = self.reservoir.used
        seen = self._seen_by(solution)
        x, leverages = seen.of(kept, self.expand), seen.leverages(kept, self.expand)
        here = kept.ordinals >= 0
        ordinals = kept.ordinals[here]
        y = vectors(ordinals)
        times = kept.times[here]
        y_hat = solution.left_out(x if here.all() else x[here], y, leverages[here] * times)
        return decorrelated_without(self.sums.outer, y_hat, y, times), ordinals

    def _seen_by(self, solution: Solution) -> Seen:
        if self._seen is None or self._seen.solution is not solution:
            self._seen = Seen(solution)
        return self._seen

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
        """Choose α by the leave-one-out error of classification (see `choose`)."""
        if self.count < 2 or len(self.penalties) == 1:  # nothing is left without it; or no choice
            self.penalty, self._chosen = likeliest(self.penalties), self.count
            return
        kept = self.reservoir.used
        judges = (kept.ordinals >= 0).nonzero()[:_JUDGES, 0]
        x, ordinals = expanded(kept.embeddings[judges], self.expand), kept.ordinals[judges]
        y, moments, times = vectors(ordinals), self.sums.outer, kept.times[judges]
        classes = kept.ordinals[kept.ordinals >= 0].unique()
        targets = vectors(classes)
        self._solution = None

        def tried(penalty: float) -> tuple[tuple[float, Solution], Tensor]:
            solution = self._solve(self._absolute(penalty))
            y_hat = solution.left_out(x, y, solution.first_leverages(x) * times)
            z = decorrelated_without(moments, y_hat, y, times)
            answers = classes[(F.normalize(z, dim=1) @ targets.T).argmax(1)]
            return (penalty, solution), answers == ordinals

        self.penalty, self._solution = choose(self.penalties, tried)
        self._chosen = self.count

    def _absolute(self, penalty: float) -> float:
        """λ of α, in steps."""
        unit = max(self.sums.mean_spread, 1e-12)
        return penalty * float(2.0 ** (ceil(_STEPS * log2(unit)) / _STEPS))

    def _solve(self, penalty: float) -> Solution:
        return Solution.of(self.sums.gram, self.sums.cross, penalty)

    def renumber(self, ordinals: Tensor) -> None:
        """Give classes other numbers: LongTensor[classes so far], −1 for those that are gone."""
        self.reservoir.renumber(ordinals)

    def state(self) -> dict[str, Any]:
        """What `load_state` needs, of constant size: tensors and JSON types."""
        kept = self.reservoir.kept
        rows = _CAPACITY - len(self.reservoir)
        return {
            "moments": torch.cat([block.reshape(-1) for block in _blocks(self.sums.moments)]),
            "embeddings": F.pad(kept.embeddings, (0, 0, 0, rows)),
            "ordinals": F.pad(kept.ordinals, (0, rows), value=-1),
            "digests": F.pad(torch.from_numpy(kept.digests.view(np.int64)), (0, rows)),
            "times": F.pad(kept.times, (0, rows)),
            "kept": len(self.reservoir),
            "sketch": torch.from_numpy(self.sketch.counters),
            "penalty": self.penalty,
            "chosen": self._chosen,
            **self._solution_state(),
        }

    def _solution_state(self) -> dict[str, Any]:
        """The solution, and how much the samples that count weigh in it."""
        size, solution = 1 + self.sums.features, self._solution
        weight = torch.zeros(size, self.sums.outputs, dtype=torch.float64)
        leverages = torch.zeros(_USED, dtype=torch.float64)
        if solution is not None:
            weight = solution.weight.contiguous()
            of_used = self._seen_by(solution).leverages(self.reservoir.used, self.expand)
            leverages[: len(of_used)] = of_used
        solved = None if solution is None else solution.penalty
        return {"weight": weight, "leverages": leverages, "solved": solved}

    def load_state(self, state: dict[str, Any], classes: int) -> None:
        """Go on from a `state()` of the same size.

        Args:
            classes: how many there are.

        Raises:
            ValueError: it cannot be one.
        """
        state = {"solved": None, **self._solution_state(), **state}  # the first models had none
        ordinals, count = state["ordinals"], int(state["kept"])
        size, dim, rows = 1 + self.sums.features, self.sums.outputs, len(ordinals)
        ways = [_blocks(self.sums.moments, width) for width in _BLOCKS]
        numbers = len(state["moments"])
        blocks = next((w for w in ways if sum(b.numel() for b in w) == numbers), ways[0])
        shapes = {
            "moments": (sum(block.numel() for block in blocks),),
            "embeddings": (rows, self.reservoir.kept.embeddings.shape[1]),
            "digests": (rows,),
            "times": (rows,),
            "weight": (size, dim),
            "leverages": (_USED,),
        }
        if shapes != {n: tuple(state[n].shape) if n in state else shapes[n] for n in shapes}:
            raise ValueError("its tensors have other shapes")
        if not (ordinals < classes).all() or not 0 <= count <= rows <= _MOST:
            raise ValueError("its samples are of classes that are not there")
        finite = "moments", "embeddings", "weight", "leverages"
        if not all(state[name].isfinite().all() for name in finite):
            raise ValueError("its sums are not finite")
        parts = state["moments"].split([block.numel() for block in blocks])
        for block, part in zip(blocks, parts, strict=True):
            block.copy_(part.view_as(block))
        kept = slice(0, min(count, _CAPACITY))  # those with the least digests, as ever
        digests = state["digests"][kept].numpy().view(np.uint64)
        times = state["times"][kept].clamp_min(1) if "times" in state else None
        self.reservoir.restore(
            counted(state["embeddings"][kept], state["ordinals"][kept], digests, times)
        )
        self.sketch = Sketch(state["sketch"].numpy().copy())
        if self.sketch.counters.shape != Sketch().counters.shape:
            raise ValueError("its sketch has another size")
        penalty = state["penalty"]
        self.penalty, self._chosen = penalty and float(penalty), int(state["chosen"])
        if not all(given is None or 0 < given < inf for given in (penalty, state["solved"])):
            raise ValueError("its penalty is none")
        self._solution = self._seen = None
        if (solved := state["solved"]) is not None:
            self._solution = Solution(float(solved), state["weight"].clone())
            used = self.reservoir.used.digests
            self._seen = Seen(self._solution, used, state["leverages"][: len(used)].clone())


def _blocks(moments: Tensor, width: int = _BLOCKS[0]) -> list[Tensor]:
    """The lower triangle, roughly: what is below blocks along the diagonal, and these."""
    return [moments[start:, start : start + width] for start in range(0, len(moments), width)]

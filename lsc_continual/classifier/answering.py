"""From embeddings to what a classifier says about them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lsc_continual.classifier.examples import prepared, stacked
from lsc_continual.classifier.prediction import Alternative, Prediction
from lsc_continual.errors import LSCError
from lsc_continual.inputs.preparation import Preparation
from lsc_continual.inputs.stored import as_unit_range
from lsc_continual.network.heads import TargetHead
from lsc_continual.network.target_classifier import TargetClassifier
from lsc_continual.novelty.base import NoveltyScore, Placed
from lsc_continual.novelty.detector import NoveltyDetector
from lsc_continual.systems.base import finite_rows
from lsc_continual.targets import Targets
from lsc_continual.targets.nearest import Nearest


class Names:
    """The names of classes by ordinal.

    Args:
        targets: of the classes.
        class_names: by label; where there are none, the labels are names.
    """

    def __init__(self, targets: Targets, class_names: Sequence[str]) -> None:
        self._targets = targets
        self._by_label = class_names

    def all(self) -> list[str]:
        """Those of all classes that own a target."""
        labels = self._targets.labels
        return [self._by_label[int(str(n))] if self._by_label else str(n) for n in labels]

    def at(self, ordinals: Tensor) -> list[list[str]]:
        """LongTensor[batch, count] -> the names of each row; of no class, any name."""
        rows = ordinals.clamp_min(0)
        if self._by_label:
            names: Sequence[Any] = self._by_label
            rows = self._targets.labels_of(rows)
        else:
            names = self._targets.labels
        return [[str(names[number]) for number in row] for row in rows.tolist()]


def predictions(
    tell: Callable[[Tensor], list[dict[str, Any]]],
    inputs: Iterable[tuple[Any, LSCError | None]],
    z: Tensor,
) -> list[Prediction]:
    """An answer for each input, in their order.

    Args:
        tell: the fields of a `Prediction` for each embedding, as `Answering` does.
        inputs: what each is called, and what is wrong with it.
        z: FloatTensor[inputs, dim] on the CPU, of those that nothing is wrong with.
    """
    finite = finite_rows(z)
    fine, told = iter(finite.tolist()), iter(tell(z[finite]))

    def answer(name: Any, error: LSCError | None) -> Prediction:
        if error is not None:
            return Prediction(name, error=str(error))
        if not next(fine):
            return Prediction(name, error="the network's output is not finite")
        return Prediction(name, **next(told))

    return [answer(*one) for one in inputs]


@torch.no_grad()
def answers(
    network: TargetClassifier,
    prepare: Preparation,
    tell: Callable[[Tensor], list[dict[str, Any]]],
    batch: Iterable[Any],
) -> list[Prediction]:
    """An answer for each input, called by its index.

    Args:
        prepare: an input's content -> what the network takes.
        tell: as of `predictions`.
        batch: vectors, images, paths of images, or texts.
    """
    row = isinstance(batch, np.ndarray | Tensor) and batch.ndim < 2
    texts = isinstance(batch, np.ndarray) and batch.dtype.kind in "US"
    if isinstance(batch, str | Path) or (row and not texts):
        raise LSCError("one input is a batch of one: give [input], or an array [count, …]")
    items = [prepared(prepare, prepare.content(given)) for given in batch]
    images = [item for item in items if isinstance(item, Tensor)]
    parts = [network.embed(as_unit_range(some)) for some in stacked(images)]
    z = torch.cat([torch.empty(0, network.head.system.dim), *parts])
    faults = (item if isinstance(item, LSCError) else None for item in items)
    return predictions(tell, enumerate(faults), z)


class Answering:
    """What is said of embeddings, at a cost that does not depend on the number of classes.

    Args:
        head: whose targets count.
        names: of its classes.
        judge: a calibrated detector; or a score alone, without which `p_value` and `known` are not
            told.
        top: how many alternatives are told.
    """

    def __init__(
        self, head: TargetHead, names: Names, judge: NoveltyDetector | NoveltyScore, top: int
    ) -> None:
        self.head, self.names, self.judge, self.top = head, names, judge, top

    def __call__(self, z: Tensor) -> list[dict[str, Any]]:
        """The fields of a `Prediction` for each embedding.

        Args:
            z: FloatTensor[batch, dim] on the CPU, finite.
        """
        if not len(z):
            return []
        head, judge = self.head, self.judge
        detector = judge if isinstance(judge, NoveltyDetector) else None
        placed = Placed(head, z) if detector is None else detector.placed(z)
        decoded = placed.decoded
        if self.top:
            ranked = head.targets.several_nearest(z, 1 + self.top)
        else:
            ranked = Nearest(*(part.unsqueeze(-1) for part in placed.nearest))
        names, scores = self.names.at(ranked.ordinal), ranked.score.tolist()
        columns = {
            "label": [row[0] for row in names],
            "address": decoded.address.tolist(),
            "gap": decoded.gap.tolist(),
            "alternatives": [
                tuple(Alternative(name, s) for name, s in zip(*row) if s > -inf)
                for row in zip((row[1:] for row in names), (row[1:] for row in scores))
            ],
        }
        if isinstance(judge, NoveltyScore):
            columns["novelty"] = judge.of(placed).tolist()
        else:
            verdict = judge.judge_placed(placed)
            columns["novelty"] = verdict.novelty.tolist()
            columns["p_value"] = verdict.p_value.tolist()
            columns["known"] = verdict.known.tolist()
        return [dict(zip(columns, row)) for row in zip(*columns.values())]

"""Open-world evaluation inside an Avalanche evaluation loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from avalanche.core import SupervisedPlugin
from torch import Tensor

from lsc_continual import distributed
from lsc_continual.heads import origin_of
from lsc_continual.novelty.metrics import novelty_metrics
from lsc_continual.novelty.scores import novelty_scores


@dataclass
class OpenWorldResult:
    """What an evaluation over a whole test stream says after experience i."""

    accuracy_seen: float
    """Over the test data of all classes seen so far, no task label given."""
    accuracy_old: float | None
    """Over the classes of earlier experiences; None after the first."""
    accuracy_new: float
    """Over the classes of the latest experience."""
    accuracy_by_experience: list[float]
    """One for each experience so far."""
    novelty: dict[str, dict[str, float]]
    """Score -> auroc, fpr95, oscr against classes still to come; empty when none is left."""


class OpenWorldEvaluation(SupervisedPlugin, supports_distributed=True):  # type: ignore[call-arg]
    """Keeps labels, predictions and novelty scores of each evaluated sample.

    For strategies with a model that ends in a `TargetHead`. Call `result(i)` after
    `strategy.eval(test_stream)`.
    """

    def __init__(self) -> None:
        super().__init__()
        self._batches: list[dict[str, Tensor]] = []

    def before_eval(self, strategy: Any, **kwargs: Any) -> None:
        self._batches = []

    def after_eval_forward(self, strategy: Any, **kwargs: Any) -> None:
        output = strategy.mb_output
        prediction = output.argmax(-1) if output.ndim == 2 else output
        head, embedding = origin_of(output)
        if not len(head.targets):  # Avalanche may evaluate before the first experience
            return
        batch = {
            "experience": torch.full_like(prediction, strategy.experience.current_experience),
            "seen": head.targets.ordinals(strategy.mb_y) >= 0,
            "correct": prediction == strategy.mb_y,
        } | novelty_scores(head, embedding)
        self._batches.append({key: value.cpu() for key, value in batch.items()})

    def result(self, latest: int) -> OpenWorldResult:
        """Accuracy and novelty after experience `latest`, counted from 0."""
        columns = {
            key: distributed.joined(torch.cat([batch[key] for batch in self._batches])).numpy()
            for key in self._batches[0]
        }
        experience, seen, correct = (columns.pop(k) for k in ("experience", "seen", "correct"))
        by_experience = [float(correct[experience == j].mean()) for j in range(latest + 1)]
        old = seen & (experience != latest)
        return OpenWorldResult(
            accuracy_seen=float(correct[seen].mean()),
            accuracy_old=float(correct[old].mean()) if old.any() else None,
            accuracy_new=by_experience[-1],
            accuracy_by_experience=by_experience,
            novelty={
                name: novelty_metrics(score[seen], score[~seen], correct[seen])
                for name, score in columns.items()
            }
            if not np.all(seen)
            else {},
        )

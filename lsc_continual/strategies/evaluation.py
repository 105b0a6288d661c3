"""Open-world evaluation inside an Avalanche evaluation loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from avalanche.core import SupervisedPlugin
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from lsc_continual.errors import LSCError
from lsc_continual.experiences.classes import classes_in_training
from lsc_continual.machine import distributed
from lsc_continual.network.heads import TargetHead, origin_of
from lsc_continual.novelty.base import NoveltyScore, Placed, available_scores
from lsc_continual.novelty.detector import NoveltyDetector
from lsc_continual.novelty.metrics import novelty_metrics
from lsc_continual.strategies.resumable import Resumable, State

Metrics = dict[str, dict[str, float]]
"""Score -> auroc, fpr95, aupr, oscr."""
Arrays = dict[str, NDArray[Any]]
FLAGGED = ("known", "to come")
"""What `OpenWorldResult.flagged` calls the test stream's inputs; no other data set may."""
_SCORE = "score "  # before the names of scores, among the columns
_ALARM = "alarm"


@dataclass
class OpenWorldResult:
    """What an evaluation over a whole test stream says after experience i.

    Known are all test data of classes seen so far. There are three kinds of others, kept apart.
    """

    accuracy_seen: float
    """Over the known, no task label given."""
    accuracy_old: float | None
    """Over the classes of earlier experiences; None after the first."""
    accuracy_new: float
    """Over the classes of the latest experience."""
    accuracy_by_experience: list[float]
    """One for each experience so far."""
    novelty: Metrics
    """Against classes still to come; empty when none is left."""
    others: dict[str, Metrics] = field(default_factory=dict)
    """Against other data sets, by their names."""
    forgotten: Metrics = field(default_factory=dict)
    """Known inputs that were classified rightly once and are not now, against those that are;
    empty when there is none. Without oscr."""
    flagged: dict[str, float] = field(default_factory=dict)
    """Share that a calibrated detector flags: of the "known" (false alarms), of those "to come",
    and of each other data set."""


class LSCScores:
    """All novelty scores of a network that ends in a `TargetHead`.

    Args:
        detector: whose calibration the fitted scores share, and whose alarms are counted; without
            one, scores that need no fit.
    """

    def __init__(self, detector: NoveltyDetector | None = None) -> None:
        self.detector = detector
        self._scores: dict[str, NoveltyScore] | None = None
        self._fitted_on: Tensor | None = None

    def __call__(self, images: Tensor, output: Tensor) -> dict[str, Tensor]:
        head, embedding = origin_of(output)
        if not len(head.targets):  # Avalanche may evaluate before the first experience
            return {}
        detector, placed = self.detector, Placed(head, embedding)
        scores = {
            name: score.of(placed).masked_fill(~placed.finite, torch.inf)
            for name, score in self._ready(head).items()
        }
        if detector is not None and detector.known is not None:
            scores[_ALARM] = ~detector.judge_placed(placed).known
        return scores

    def _ready(self, head: TargetHead) -> dict[str, NoveltyScore]:
        if self._scores is None:
            self._scores = available_scores(head)
        detector = self.detector
        if detector is None or detector.known is None or detector.reference is None:
            return {name: score for name, score in self._scores.items() if not score.needs_fit}
        if self._fitted_on is not detector.known:
            reference, known = Placed(head, detector.reference), Placed(head, detector.known)
            for score in self._scores.values():
                score.fit(reference, known)
            self._fitted_on = detector.known
        return self._scores


class OpenWorldEvaluation(SupervisedPlugin, Resumable, supports_distributed=True):  # type: ignore[call-arg]
    """Accuracy and novelty over a test stream, for any Avalanche strategy.

    Call `result(i)` after `strategy.eval(test_stream)`. Classes count as seen once the strategy
    was trained on an experience with them, while this plugin was there.

    Args:
        scores: (inputs, model's output) -> novelty scores by name, each FloatTensor[batch], higher
            = more novel. By default those of a `TargetHead`; for other networks see
            `lsc_continual.strategies.peers.ood_scores`. Called with gradients off.
        others: data sets of unknown inputs, by name, such as "kmnist".
    """

    def __init__(
        self,
        scores: Callable[[Tensor, Tensor], Mapping[str, Tensor]] | None = None,
        others: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.scores = scores or LSCScores()
        self.others = dict(others or {})
        self._seen: set[int] = set()
        self._learned = np.zeros(0, dtype=bool)  # test samples that were ever classified rightly
        self._batches: list[dict[str, Tensor]] = []
        self._other_batches: dict[str, list[dict[str, Tensor]]] = {}
        self._position = 0

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        self._seen.update(classes_in_training(strategy))

    def before_eval(self, strategy: Any, **kwargs: Any) -> None:
        self._batches = []

    def before_eval_exp(self, strategy: Any, **kwargs: Any) -> None:
        self._position = 0

    @torch.no_grad()
    def after_eval_forward(self, strategy: Any, **kwargs: Any) -> None:
        output, labels = strategy.mb_output, strategy.mb_y
        prediction = output.argmax(-1) if output.ndim == 2 else output
        position = getattr(strategy.dataloader, "samples", None)
        if position is None:  # another loader, and a single process
            position = self._position + torch.arange(len(labels))
            self._position += len(labels)
        seen = torch.tensor(sorted(self._seen), device=labels.device)
        batch = {
            "experience": torch.full_like(labels, strategy.experience.current_experience),
            "position": position,
            "seen": torch.isin(labels, seen),
            "correct": prediction == labels,
            **_named(self.scores(strategy.mb_x, output)),
        }
        self._batches.append({key: value.cpu() for key, value in batch.items()})

    @torch.no_grad()
    def after_eval(self, strategy: Any, **kwargs: Any) -> None:
        self._other_batches = {name: [] for name in self.others}
        for name, dataset in self.others.items():
            for images, output in _outputs(strategy, dataset):
                batch = _named(self.scores(images, output))
                self._other_batches[name].append({key: s.cpu() for key, s in batch.items()})

    def result(self, latest: int) -> OpenWorldResult:
        """Accuracy and novelty after experience `latest`, counted from 0.

        Raises:
            LSCError: nothing was evaluated, or nothing trained on before.
        """
        columns = _joined(self._batches)
        if not columns or not columns["seen"].any():
            raise LSCError(
                "there is nothing to tell yet: train on an experience and evaluate the test stream "
                "with this plugin among the strategy's"
            )
        order = np.lexsort((columns["position"], columns["experience"]))  # whatever the processes
        columns = {name: values[order] for name, values in columns.items()}
        experience, seen, correct = (columns[k] for k in ("experience", "seen", "correct"))
        columns = _scores(columns)
        others = {name: _scores(_joined(batches)) for name, batches in self._other_batches.items()}

        flagged = {}
        if _ALARM in columns:
            alarm = columns.pop(_ALARM)
            flagged[FLAGGED[0]] = float(alarm[seen].mean())
            if not seen.all():
                flagged[FLAGGED[1]] = float(alarm[~seen].mean())
            flagged |= {name: float(part.pop(_ALARM).mean()) for name, part in others.items()}

        by_experience = [float(correct[experience == j].mean()) for j in range(latest + 1)]
        old, right = seen & (experience < latest), seen & correct
        if len(self._learned) != len(seen):
            self._learned = np.zeros(len(seen), dtype=bool)
        forgotten = seen & self._learned & ~correct
        self._learned |= right

        known = {name: values[seen] for name, values in columns.items()}
        unknown = {name: values[~seen] for name, values in columns.items()}
        return OpenWorldResult(
            accuracy_seen=float(correct[seen].mean()),
            accuracy_old=float(correct[old].mean()) if old.any() else None,
            accuracy_new=by_experience[-1],
            accuracy_by_experience=by_experience,
            novelty=_metrics(known, unknown, correct[seen]) if not seen.all() else {},
            others={name: _metrics(known, part, correct[seen]) for name, part in others.items()},
            forgotten=_of_forgotten(columns, right, forgotten),
            flagged=flagged,
        )

    def state(self) -> State:
        return {"seen": sorted(self._seen), "learned": torch.from_numpy(self._learned)}

    def load_state(self, state: State, strategy: Any, stream: Any) -> None:
        self._seen, self._learned = set(state["seen"]), state["learned"].numpy().copy()


def _outputs(strategy: Any, dataset: Any) -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs and the strategy's outputs, batch by batch; of several processes, each gets a part."""
    own = hasattr(strategy, "batches")
    loader = strategy.batches(dataset) if own else DataLoader(dataset, strategy.eval_mb_size)
    for batch in loader:
        images, labels = (part.to(strategy.device) for part in batch[:2])
        # Its own forward pass: the output need not be that of its model.
        strategy.mbatch = [images, labels, torch.zeros_like(labels)]
        yield images, strategy.forward()


def _named(scores: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Under names that no other column has."""
    return {_SCORE + name: score for name, score in scores.items()}


def _scores(columns: Arrays) -> Arrays:
    """The scores among the columns, under their own names."""
    return {
        name.removeprefix(_SCORE): values
        for name, values in columns.items()
        if name.startswith(_SCORE)
    }


def _joined(batches: list[dict[str, Tensor]]) -> Arrays:
    """Columns over all batches of all processes; of these, some may have none."""
    first = batches[0] if batches else {}
    mine = {key: str(value.dtype).removeprefix("torch.") for key, value in first.items()}
    kinds: dict[str, str] = next((k for k in distributed.everyone(mine) if k), {})
    columns = {}
    for key, kind in kinds.items():
        parts = [batch[key] for batch in batches] or [torch.empty(0, dtype=getattr(torch, kind))]
        columns[key] = distributed.joined(torch.cat(parts)).numpy()
    return columns


def _metrics(known: Arrays, unknown: Arrays, correct: NDArray[np.bool_]) -> Metrics:
    return {name: novelty_metrics(known[name], unknown[name], correct) for name in known}


def _of_forgotten(
    columns: Arrays, right: NDArray[np.bool_], forgotten: NDArray[np.bool_]
) -> Metrics:
    if not forgotten.any() or not right.any():
        return {}
    every = np.ones(int(right.sum()), dtype=bool)
    metrics = {n: novelty_metrics(v[right], v[forgotten], every) for n, v in columns.items()}
    for values in metrics.values():
        del values["oscr"]  # no more than the AUROC, as all of these are classified rightly
    return metrics

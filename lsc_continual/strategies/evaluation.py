"""Open-world evaluation inside an Avalanche evaluation loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from avalanche.core import SupervisedPlugin
from numpy.typing import NDArray
from torch import Tensor

from lsc_continual.errors import LSCError
from lsc_continual.experiences.classes import classes_in_training
from lsc_continual.machine import distributed
from lsc_continual.network.heads import TargetHead, origin_of
from lsc_continual.novelty.base import NoveltyScore, Placed, available_scores, make_score
from lsc_continual.novelty.detector import NoveltyDetector
from lsc_continual.novelty.metrics import novelty_metrics
from lsc_continual.strategies.forward import passes
from lsc_continual.strategies.resumable import Resumable, State
from lsc_continual.strategies.stages import Stage, Staged

Metrics = dict[str, dict[str, float]]
"""Score -> what `novelty_metrics` says of it."""
Arrays = dict[str, NDArray[Any]]
FLAGGED = ("known", "to come")
"""What `OpenWorldResult.flagged` calls the test stream's inputs; no other data set may."""


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


class Scored(NamedTuple):
    """What is said about the novelty of a batch."""

    scores: Mapping[str, Tensor]
    """The scores by name, each FloatTensor[batch], higher = more novel."""
    alarm: Tensor | None = None
    """Which inputs a calibrated detector flags, BoolTensor[batch]; None without one."""


class LSCScores:
    """All novelty scores of a network that ends in a `TargetHead`.

    Args:
        detector: whose calibration the fitted scores share, and whose alarms are counted; without
            one, scores that need no fit.
        own: the name of a score of the user's own, "module:attribute", beside those of this
            package; by default the detector's, if that is one.
    """

    def __init__(self, detector: NoveltyDetector | None = None, own: str | None = None) -> None:
        self.detector = detector
        self.own = detector.score_name if own is None and detector is not None else own
        self._scores: dict[str, NoveltyScore] | None = None
        self._fitted_on: Tensor | None = None

    def __call__(self, images: Tensor, output: Tensor) -> Scored:
        """Inputs and the network's output to scores and alarms."""
        head, embedding = origin_of(output)
        if not len(head.targets):  # Avalanche may evaluate before the first experience
            return Scored({})
        detector = self.detector
        placed = Placed(head, embedding, None if detector is None else detector.scale)
        scores = {
            name: score.of(placed).masked_fill(~placed.finite, torch.inf)
            for name, score in self._ready(head).items()
        }
        if detector is None or detector.known is None:
            return Scored(scores)
        return Scored(scores, ~detector.judge_placed(placed).known)

    def _ready(self, head: TargetHead) -> dict[str, NoveltyScore]:
        if self._scores is None:
            self._scores = available_scores(head)
            if self.own is not None and self.own not in self._scores:
                self._scores[self.own] = make_score(self.own, head)
        detector = self.detector
        reference = None
        if detector is not None:
            reference = detector.known if detector.among_themselves else detector.reference
        if detector is None or reference is None:
            return {name: score for name, score in self._scores.items() if not score.needs_fit}
        if self._fitted_on is not detector.known:
            placed = Placed(head, reference, detector.scale)
            for score in self._scores.values():
                score.fit(placed)
            self._fitted_on = detector.known
        return self._scores


class OpenWorldEvaluation(Staged, SupervisedPlugin, Resumable, supports_distributed=True):  # type: ignore[call-arg]
    """Accuracy and novelty over a test stream, for any Avalanche strategy.

    Call `result(i)` after `strategy.eval(test_stream)`. Classes count as seen once the strategy
    was trained on an experience with them, while this plugin was there.

    Args:
        scores: (inputs, model's output) -> `Scored`, or a mapping of scores by name. By default
            those of a `TargetHead`; for other networks see
            `lsc_continual.strategies.peers.ood_scores`. Called with gradients off.
        others: data sets of unknown inputs, by name, such as "kmnist".
    """

    stage = Stage.SCORE

    def __init__(
        self,
        scores: Callable[[Tensor, Tensor], Scored | Mapping[str, Tensor]] | None = None,
        others: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.scores = scores or LSCScores()
        self.others = dict(others or {})
        self._seen: set[int] = set()
        self._learned = np.zeros(0, dtype=bool)  # test samples that were ever classified rightly
        self._answers: list[dict[str, Tensor]] = []
        self._scored = _Columns()
        self._scored_others: dict[str, _Columns] = {}
        self._position = 0

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        self._seen.update(classes_in_training(strategy))

    def before_eval(self, strategy: Any, **kwargs: Any) -> None:
        self._answers, self._scored = [], _Columns()

    def before_eval_exp(self, strategy: Any, **kwargs: Any) -> None:
        self._position = 0

    @torch.no_grad()
    def after_eval_forward(self, strategy: Any, **kwargs: Any) -> None:
        output, labels = strategy.mb_output, strategy.mb_y
        prediction = output
        if output.ndim == 2:  # without a number, it is nobody's
            prediction = output.argmax(-1).masked_fill(output.isnan().any(-1), -1)
        position = getattr(strategy.dataloader, "samples", None)
        if position is None:  # another loader, and a single process
            position = self._position + torch.arange(len(labels))
            self._position += len(labels)
        seen = torch.tensor(sorted(self._seen), device=labels.device)
        answers = {
            "experience": torch.full_like(labels, strategy.experience.current_experience),
            "position": position,
            "seen": torch.isin(labels, seen),
            "correct": prediction == labels,
        }
        self._answers.append({key: value.cpu() for key, value in answers.items()})
        self._scored.add(self.scores(strategy.mb_x, output))

    @torch.no_grad()
    def after_eval(self, strategy: Any, **kwargs: Any) -> None:
        self._scored_others = {name: _Columns() for name in self.others}
        for name, dataset in self.others.items():
            for batch in passes(strategy, dataset):
                self._scored_others[name].add(self.scores(batch.images, batch.output))

    def result(self, latest: int) -> OpenWorldResult:
        """Accuracy and novelty after experience `latest`, counted from 0.

        Raises:
            LSCError: nothing was evaluated, or nothing trained on before.
        """
        answers = _joined(self._answers)
        if not answers or not answers["seen"].any():
            raise LSCError(
                "there is nothing to tell yet: train on an experience and evaluate the test stream "
                "with this plugin among the strategy's"
            )
        order = np.lexsort((answers["position"], answers["experience"]))  # whatever the processes
        experience, seen, correct = (answers[k][order] for k in ("experience", "seen", "correct"))
        scores, alarm = self._scored.joined(order)
        others = {name: columns.joined() for name, columns in self._scored_others.items()}
        flagged = {}
        if alarm is not None:
            flagged[FLAGGED[0]] = float(alarm[seen].mean())
            if not seen.all():
                flagged[FLAGGED[1]] = float(alarm[~seen].mean())
            flagged |= {
                n: float(part.mean()) for n, (_, part) in others.items() if part is not None
            }

        by_experience = [float(correct[experience == j].mean()) for j in range(latest + 1)]
        old, right = seen & (experience < latest), seen & correct
        if len(self._learned) != len(seen):
            self._learned = np.zeros(len(seen), dtype=bool)
        forgotten = seen & self._learned & ~correct
        self._learned |= right

        known = {name: values[seen] for name, values in scores.items()}
        unknown = {name: values[~seen] for name, values in scores.items()}
        return OpenWorldResult(
            accuracy_seen=float(correct[seen].mean()),
            accuracy_old=float(correct[old].mean()) if old.any() else None,
            accuracy_new=by_experience[-1],
            accuracy_by_experience=by_experience,
            novelty=_metrics(known, unknown, correct[seen]) if not seen.all() else {},
            others={n: _metrics(known, part, correct[seen]) for n, (part, _) in others.items()},
            forgotten=_of_forgotten(scores, right, forgotten),
            flagged=flagged,
        )

    def state(self) -> State:
        return {"seen": sorted(self._seen), "learned": torch.from_numpy(self._learned)}

    def load_state(self, state: State, strategy: Any, stream: Any) -> None:
        self._seen, self._learned = set(state["seen"]), state["learned"].numpy().copy()


class _Columns:
    """Scores and alarms of many batches."""

    def __init__(self) -> None:
        self._scores: list[dict[str, Tensor]] = []
        self._alarms: list[dict[str, Tensor]] = []

    def add(self, scored: Scored | Mapping[str, Tensor]) -> None:
        """Take in a batch."""
        scores, alarm = scored if isinstance(scored, Scored) else Scored(scored)
        self._scores.append({name: score.cpu() for name, score in scores.items()})
        if alarm is not None:
            self._alarms.append({"alarm": alarm.cpu()})

    def joined(self, order: NDArray[np.int64] | None = None) -> tuple[Arrays, NDArray[Any] | None]:
        """All scores by name, and all alarms if there are any, over all processes."""
        rows = slice(None) if order is None else order
        scores = {name: values[rows] for name, values in _joined(self._scores).items()}
        alarms = _joined(self._alarms)
        return scores, alarms["alarm"][rows] if alarms else None


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
    scores: Arrays, right: NDArray[np.bool_], forgotten: NDArray[np.bool_]
) -> Metrics:
    if not forgotten.any() or not right.any():
        return {}
    every = np.ones(int(right.sum()), dtype=bool)
    metrics = {n: novelty_metrics(v[right], v[forgotten], every) for n, v in scores.items()}
    for values in metrics.values():
        del values["oscr"]  # no more than the AUROC, as all of these are classified rightly
    return metrics

"""Neural collapse as a metric of Avalanche's."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from avalanche.evaluation import PluginMetric
from avalanche.evaluation.metric_results import MetricValue
from avalanche.evaluation.metric_utils import get_metric_name
from torch import Tensor, nn

from lsc_continual.errors import LSCError
from lsc_continual.experiences.classes import classes_in_training
from lsc_continual.machine import distributed
from lsc_continual.network.collapse import NeuralCollapse, neural_collapse
from lsc_continual.network.heads import TargetHead
from lsc_continual.network.target_classifier import TargetClassifier
from lsc_continual.strategies.forward import passes
from lsc_continual.strategies.resumable import Resumable, State


class CollapseMetrics(PluginMetric[NeuralCollapse], Resumable):
    """The metrics of `NeuralCollapse`, for Avalanche's `EvaluationPlugin`.

    After each training epoch they are measured on the arriving training data, as the literature
    does it, and after an evaluation on the evaluated stream, over the classes trained on so far.
    Either takes one more pass over these data, without random changes. Features are what the
    classifier takes inner products with: of a `TargetClassifier` the embedding (its direction, if
    the head normalises), of other models the input of the last linear layer. Where there is only
    one class, nothing is measured.

    Embeddings of the data measured are held in memory: 4 · dim bytes an input.

    Args:
        training: whether to measure after training epochs.
    """

    def __init__(self, training: bool = True) -> None:
        super().__init__()
        self.training = training
        self.by_epoch: list[NeuralCollapse | None] = []
        """After each epoch of the latest experience, what was measured; None for one class."""
        self.latest: NeuralCollapse | None = None
        self._seen: set[int] = set()

    def __str__(self) -> str:
        return "NeuralCollapse"

    def result(self) -> NeuralCollapse | None:
        """What was measured last."""
        return self.latest

    def reset(self) -> None:
        """Forget what was measured last."""
        self.latest = None

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        self._seen.update(classes_in_training(strategy))
        self.by_epoch = []

    def after_training_epoch(self, strategy: Any, **kwargs: Any) -> list[MetricValue] | None:
        if not self.training:
            return None
        self.latest = self._measure(strategy, [strategy.adapted_dataset])
        self.by_epoch.append(self.latest)
        return self._values(strategy)

    def after_eval(self, strategy: Any, **kwargs: Any) -> list[MetricValue] | None:
        datasets = [experience.dataset for experience in strategy.current_eval_stream]
        self.latest = self._measure(strategy, datasets)
        return self._values(strategy)

    def _values(self, strategy: Any) -> list[MetricValue] | None:
        if self.latest is None:
            return None
        x = strategy.clock.train_iterations
        names = {
            name: get_metric_name(f"{self}/{name}", strategy, add_task=False)
            for name in self.latest._fields
        }
        values = self.latest._asdict()
        return [MetricValue(self, names[name], values[name], x) for name in names]

    def _measure(self, strategy: Any, datasets: list[Any]) -> NeuralCollapse | None:
        found = [part for data in datasets for part in _answers(strategy, data)]
        if not found:
            return None
        features, labels, predicted = (
            distributed.joined(torch.cat(column)) for column in zip(*found)
        )
        known = torch.isin(labels, torch.tensor(sorted(self._seen)))
        classes = labels[known].unique()
        if len(classes) < 2:
            return None
        vectors = _vectors(strategy.model, classes).cpu()
        return neural_collapse(features[known], labels[known], predicted[known], vectors)

    def state(self) -> State:
        return {
            "seen": sorted(self._seen),
            "by_epoch": [None if one is None else list(one) for one in self.by_epoch],
        }

    def load_state(self, state: State, strategy: Any, stream: Any) -> None:
        self._seen = set(state["seen"])
        self.take_up(state)

    def take_up(self, state: State) -> None:
        self.by_epoch = [None if one is None else NeuralCollapse(*one) for one in state["by_epoch"]]


def _answers(strategy: Any, dataset: Any) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Features, labels and predictions, batch by batch, on the CPU; finite ones only."""
    classifier = _classifier(strategy.model)
    held: list[Tensor] = []

    def keep(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        held[:] = inputs[:1]

    hook = classifier.register_forward_pre_hook(keep)
    try:
        for batch in passes(strategy, dataset, strategy.model):
            features, predicted = held[0].flatten(1), batch.output
            if isinstance(classifier, TargetHead):
                features = classifier.logits_per_coordinate(features)
            if predicted.ndim == 2:
                predicted = predicted.argmax(1)
            rows = features.isfinite().all(1)
            yield features[rows].cpu(), batch.labels[rows].cpu(), predicted[rows].cpu()
    finally:
        hook.remove()


def _classifier(model: nn.Module) -> nn.Module:
    if isinstance(model, TargetClassifier):
        return model.head
    layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
    if not layers:
        raise LSCError(
            f"{type(model).__name__} has no linear layer whose input and weights could be "
            "measured: leave out CollapseMetrics"
        )
    return layers[-1]


def _vectors(model: nn.Module, labels: Tensor) -> Tensor:
    """The classifier's vector of each class."""
    if isinstance(model, TargetClassifier):
        targets = model.head.targets
        return targets.vectors(targets.require_ordinals(labels))
    weight: Tensor = _classifier(model).get_parameter("weight").detach()
    return weight[labels.to(weight.device)]


def as_json(measured: NeuralCollapse | None) -> dict[str, float | None] | None:
    """The measures for metrics.json, where what is not finite is null."""
    if measured is None:
        return None
    return {k: v if math.isfinite(v) else None for k, v in measured._asdict().items()}

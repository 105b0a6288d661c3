"""The analytic LSC strategy: a frozen encoder, and targets reached by ridge regression."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from avalanche.training.plugins import EvaluationPlugin
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from lsc_continual.encoders.names import is_ready
from lsc_continual.encoders.random_features import FEATURES, RandomFeatures
from lsc_continual.errors import LSCError
from lsc_continual.experiences.loader import BatchLoader
from lsc_continual.experiences.plan import Plan
from lsc_continual.inputs.pixels import pixel_digests
from lsc_continual.learners.analytic import AnalyticLearner
from lsc_continual.learners.batch import Batch, joined
from lsc_continual.learners.penalty import PENALTIES
from lsc_continual.learners.sketch import mixed
from lsc_continual.machine import distributed
from lsc_continual.network.heads import TargetHead
from lsc_continual.network.target_classifier import TargetClassifier
from lsc_continual.strategies.assembly import Assembly, Conditions, with_targets
from lsc_continual.strategies.dynamic_head import DynamicTargetHead
from lsc_continual.strategies.lsc import LSC
from lsc_continual.strategies.resumable import State
from lsc_continual.systems import VectorSystem

_CHUNK = 1024  # samples that are learned at once


class SolvedProjection(nn.Linear):
    """The projection that an `AnalyticLearner` solves for, computed when it is asked for.

    Before the first sample it is a linear layer like any other.

    Args:
        learner: whose solution it is.
        head: whose targets it leads to.
    """

    def __init__(self, learner: AnalyticLearner, head: TargetHead) -> None:
        super().__init__(learner.sums.features, learner.sums.outputs)
        self.learner = learner
        self._head = (head,)  # not a part of this layer
        self.learning = False
        """Whether samples are arriving. What is saved meanwhile may be an earlier solution."""
        self._solved = 0  # samples

    @torch.no_grad()
    def solve(self) -> None:
        """Take all samples into account that have gone by."""
        if self._solved == self.learner.count:
            return
        weight, bias = self.learner.projection(self._head[0].targets.vectors)
        self.weight.copy_(weight)
        self.bias.copy_(bias)
        self._solved = self.learner.count

    def forward(self, input: Tensor) -> Tensor:
        self.solve()
        return super().forward(input)

    def _save_to_state_dict(self, *args: Any, **kwargs: Any) -> None:
        if not self.learning:
            self.solve()
        super()._save_to_state_dict(*args, **kwargs)


class LSCAnalytic(LSC):
    """An LSC strategy that forgets nothing: it learns by adding up, on an encoder that is frozen.

    It is the learner of living models (`AnalyticLearner`) in the place of gradients: features of
    the encoder, and random ones beside them, are regressed onto the targets of the classes, in one
    pass over each experience. What it keeps are sums and a bounded sample of embeddings: no images,
    and as many numbers for a million classes as for ten. The outcome is that of all data at once,
    in any order, up to rounding; but what the encoder does not see, no later experience can teach
    it.

    Sums are on the CPU, in float64, wherever the network is. Of several processes, each embeds a
    part of the samples, and all add up all of them.

    Args:
        model: an encoder that is ready, with `num_features`; or a `TargetClassifier`, whose
            encoder's features are then taken as they are.
        optimizer: for the base epochs; not needed without.
        base_epochs: passes over the first experience that train the encoder as `LSC` does, before
            it is frozen; 0 if it is ready.
        features: number of random features beside those of the encoder.
        seed: of the random features.
        penalties: relative ridge penalties to choose from (see `AnalyticLearner`).

    The other arguments are those of `LSC`, of which `train_epochs` has no use here. Metrics of
    training, such as the accuracy of minibatches, are those of the base epochs.
    """

    def __init__(
        self,
        *,
        model: nn.Module,
        optimizer: Optimizer | None = None,
        system: VectorSystem | None = None,
        head: dict[str, Any] | None = None,
        base_epochs: int = 0,
        features: int = FEATURES,
        seed: int = 0,
        penalties: Sequence[float] = PENALTIES,
        **kwargs: Any,
    ) -> None:
        if base_epochs and optimizer is None:
            raise LSCError("base epochs need an optimizer: add optimizer=, or base_epochs=0")
        if not penalties or not min(penalties) > 0:
            raise LSCError(f"ridge penalties are positive numbers, not {penalties}")
        if not isinstance(model, TargetClassifier):
            if system is None:
                raise LSCError('LSC needs system=, for example make_system("v21", dim=64)')
            expanded = RandomFeatures(model, features, seed=seed, beside=True)
            head_of_targets = DynamicTargetHead(system, **(head or {}))
            model = TargetClassifier(expanded, head_of_targets, standardize=False)
            system = head = None
        super().__init__(
            model=model,
            optimizer=optimizer or SGD(model.parameters(), lr=0.0),
            system=system,
            head=head,
            train_epochs=base_epochs + 1,
            **kwargs,
        )
        if not self.model.is_settled:
            raise LSCError(
                "the analytic strategy needs to know how many features the encoder has: give it "
                "an attribute num_features"
            )
        self.base_epochs = base_epochs
        self.learner = self._make_learner(penalties)
        self.model.standardization = nn.Identity()  # the regression has an intercept
        self.model.projection = SolvedProjection(self.learner, self.model.head)
        self._waiting: list[Batch] = []

    def _make_learner(self, penalties: Sequence[float]) -> AnalyticLearner:
        features, dim = self.model.projection.in_features, self.model.head.system.dim
        encoder, width = self.model.encoder, features
        if isinstance(encoder, RandomFeatures):
            width = encoder.directions.shape[1]
        expand = partial(_expanded, encoder, self.model.hidden)
        # An interruption would change bits of what follows from small changes.
        return AnalyticLearner(expand, width, features, dim, penalties, largest_rank=0)

    @property
    def _projection(self) -> SolvedProjection:
        projection = self.model.projection
        assert isinstance(projection, SolvedProjection)
        return projection

    @property
    def gradient_epochs(self) -> int:
        """Epochs of the experience under way that train the encoder."""
        return self.base_epochs if self.clock.train_exp_counter == 0 else 0

    def _before_training_exp(self, **kwargs: Any) -> None:
        self.train_epochs = self.gradient_epochs + 1
        super()._before_training_exp(**kwargs)

    def training_epoch(self, **kwargs: Any) -> None:
        """An epoch of gradient descent, or the pass over the experience that counts."""
        if self.clock.train_exp_epochs < self.gradient_epochs:
            super().training_epoch(**kwargs)
            return
        listeners = [
            plugin.after_training_iteration
            for plugin in self.plugins
            if hasattr(plugin, "after_training_iteration")
            and not isinstance(plugin, EvaluationPlugin)  # there are no predictions to measure
        ]
        self.dataloader, self.loss = self._remaining(), self._make_empty_loss()
        self.model.eval()
        self._projection.learning = True
        for self.mbatch in self.dataloader:  # noqa: B020 (as Avalanche does)
            if self._stop_training:
                break
            self._unpack_minibatch()
            self._take_in()
            for callback in listeners:
                callback(self, **kwargs)
        self._learn()
        self._projection.learning = False
        self.model.train()

    def _remaining(self) -> BatchLoader:
        """The arriving samples as they are, from where an interrupted pass stopped."""
        plan = Plan(len(self.adapted_dataset), self.train_mb_size, shuffle=False)
        loader = BatchLoader([self.adapted_dataset.eval()], plan, self.feeds, training=False)
        loader.epoch = getattr(self.dataloader, "epoch", 0)
        loader.done = getattr(self.dataloader, "done", 0)
        return loader

    @torch.no_grad()
    def _take_in(self) -> None:
        """Have the samples of a batch learned, soon."""
        encoder, targets = self.model.encoder, self.model.head.targets
        # In full precision, as the network is used later.
        if isinstance(encoder, RandomFeatures):
            x = encoder.encoder(self.mb_x).flatten(1).float()
        else:
            x = self.model.hidden(encoder(self.mb_x).flatten(1)).float()
        digests = torch.from_numpy(pixel_digests(self.mb_x.cpu()).view(np.int64))
        x, labels, digests = map(distributed.joined, (x, self.mb_y, digests))
        named = mixed(digests.numpy().view(np.uint64)) ^ labels.numpy().view(np.uint64)
        ordinals = targets.require_ordinals(labels)
        self._waiting.append(Batch(x, targets.vectors(ordinals), ordinals, mixed(named)))
        if sum(len(batch.ordinals) for batch in self._waiting) >= _CHUNK:
            self._learn()

    def _learn(self) -> None:
        """Learn what waits; few at a time would take longer."""
        if self._waiting:
            waiting, self._waiting = joined(self._waiting), []
            self.learner.learn(waiting)

    def state(self) -> State:
        """As the template's, with the learner's."""
        waiting = joined(self._waiting)._asdict() if self._waiting else None
        if waiting is not None:
            waiting["digests"] = torch.from_numpy(waiting["digests"].view(np.int64))
        return {**super().state(), "learner": self.learner.state(), "waiting": waiting}

    def load_state(self, state: State, stream: Any) -> None:
        """The inverse of `state`; `stream` is the training stream that it comes from."""
        super().load_state(state, stream)
        self.learner.load_state(state["learner"], len(self.model.head.targets))
        waiting = state["waiting"]
        if waiting is not None:
            digests = waiting["digests"].numpy().view(np.uint64)
            self._waiting = [Batch(**{**waiting, "digests": digests})]


@torch.no_grad()
def _expanded(encoder: nn.Module, hidden: nn.Module, x: Tensor) -> Tensor:
    """From what the encoder says to what is projected, [count, width] -> [count, features]."""
    if not isinstance(encoder, RandomFeatures):
        return x
    features: Tensor = hidden(encoder.expand(x.to(encoder.directions))).cpu()
    return features


def build_analytic(conditions: Conditions) -> Assembly:
    """Ridge regression to fixed targets on an encoder that the first experience trains."""
    settings = conditions.settings
    analytic, weights = settings.analytic, settings.encoder.weights
    base_epochs = analytic.base_epochs
    if base_epochs is None:
        ready = weights is not None or is_ready(settings.encoder.name)
        base_epochs = 0 if ready else settings.train.epochs
    spec = conditions.spec(
        random_features={"features": analytic.features, "seed": settings.seed, "beside": True},
        standardize=False,
        hidden=0,
    )
    model = spec.build(weights).to(conditions.device)
    strategy = LSCAnalytic(
        model=model,
        optimizer=conditions.optimizer(model) if base_epochs else None,
        base_epochs=base_epochs,
        penalties=PENALTIES if analytic.penalty is None else [analytic.penalty],
        plugins=[*(conditions.gradient_plugins() if base_epochs else []), conditions.progress],
        **conditions.arguments(),
    )
    return with_targets(conditions, strategy, spec, learner=strategy.learner)

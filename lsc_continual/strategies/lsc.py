"""The LSC strategy: incremental training against targets of a vector system."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from avalanche.core import BasePlugin
from avalanche.training.plugins import EvaluationPlugin
from avalanche.training.plugins.evaluation import default_evaluator
from torch import Tensor, nn
from torch.optim import Optimizer

from lsc_continual.errors import LSCError
from lsc_continual.experiences.classes import arriving_classes, require_images
from lsc_continual.experiences.feeds import Loading
from lsc_continual.machine import distributed
from lsc_continual.network.losses import StructuredSoftmaxLoss
from lsc_continual.network.target_classifier import TargetClassifier
from lsc_continual.strategies.assembly import Assembly, Conditions, with_targets
from lsc_continual.strategies.dynamic_head import DynamicTargetHead, adapt_heads
from lsc_continual.strategies.forward import passes
from lsc_continual.strategies.replay import EmbeddingReplay
from lsc_continual.strategies.resumable import State
from lsc_continual.strategies.template import TrainingTemplate
from lsc_continual.systems import VectorSystem
from lsc_continual.targets import Targets


class LSC(TrainingTemplate):
    """An Avalanche strategy whose network never grows.

    The encoder is trained so that an input's embedding lands on the fresh target of its class.
    All plugins, metrics and loggers of Avalanche work unchanged: the model's output are class
    log-probabilities. On its own it forgets as any network does; add
    `lsc_continual.EmbeddingReplay`, or a plugin of Avalanche's.

    Args:
        model: an encoder (any module; features are flattened and projected to the system's
            dimension), or a `TargetClassifier`.
        optimizer: any; it takes over the projection's parameters by itself.
        system: where targets come from; not needed with a `TargetClassifier`.
        head: options of the `TargetHead`, such as `{"allocation": "spread", "scale": 8.0}`.
        criterion: a loss on the model's output; by default the structured softmax.
        compile: whether encoder and projection go through `torch.compile`.

    The other arguments are those of `TrainingTemplate` and Avalanche's `SupervisedTemplate`. Head
    and loss are computed in float32 or more whatever the precision.
    """

    model: TargetClassifier

    def __init__(
        self,
        *,
        model: nn.Module,
        optimizer: Optimizer,
        system: VectorSystem | None = None,
        head: dict[str, Any] | None = None,
        criterion: nn.Module | None = None,
        loading: Loading | None = None,
        precision: str = "fp32",
        compile: bool = False,
        train_mb_size: int = 32,
        train_epochs: int = 1,
        eval_mb_size: int | None = 256,
        device: str | torch.device = "cpu",
        plugins: Sequence[BasePlugin] | None = None,
        evaluator: EvaluationPlugin | Callable[[], EvaluationPlugin] | None = default_evaluator,
        eval_every: int = -1,
        **kwargs: Any,
    ) -> None:
        if not isinstance(model, TargetClassifier):
            if system is None:
                raise LSCError('LSC needs system=, for example make_system("v21", dim=64)')
            model = TargetClassifier(model, DynamicTargetHead(system, **(head or {})))
        elif system is not None or head is not None:
            raise LSCError("a TargetClassifier has its own head: leave out system= and head=")
        super().__init__(
            model=model,
            optimizer=optimizer,
            criterion=criterion or StructuredSoftmaxLoss(),
            loading=loading,
            precision=precision,
            train_mb_size=train_mb_size,
            train_epochs=train_epochs,
            eval_mb_size=eval_mb_size,
            device=device,
            plugins=plugins,
            evaluator=evaluator,
            eval_every=eval_every,
            **kwargs,
        )
        if compile:
            self.model.compile_embedding()

    def train(self, experiences: Any, *args: Any, **kwargs: Any) -> Any:
        """Train on an experience, or on each of several in turn (see Avalanche)."""
        if not self.model.is_settled:  # plugins may look at the parameters before the first batch
            listed = list(experiences) if isinstance(experiences, Iterable) else [experiences]
            require_images(listed[0])
            self.model.to(self.device)
            self.model.settle(listed[0].dataset[0][0].unsqueeze(0).to(self.device))
            experiences = listed
        return super().train(experiences, *args, **kwargs)

    def model_adaptation(self, model: nn.Module | None = None) -> nn.Module:
        """Adapt; in evaluation also those copies that plugins leave in training mode.

        A head in training mode would give targets to classes that are only evaluated.
        """
        model = self.model if model is None else model
        left_in_training = model.training and not self.is_training
        model = model.eval() if left_in_training else model
        adapt_heads(model, self.experience)
        adapted: nn.Module = super().model_adaptation(model)
        return adapted.train() if left_in_training else adapted

    def check_model_and_optimizer(self, **kwargs: Any) -> None:
        """Before an experience: allocate targets, update the optimizer."""
        if self.model.head.targets.allocation.needs_embeddings:
            self._allocate_by_embedding()
        super().check_model_and_optimizer(**kwargs)

    def state(self) -> State:
        """As the template's, with the targets."""
        return {**super().state(), "targets": self.model.head.targets.to_dict()}

    def load_state(self, state: State, stream: Any) -> None:
        """The inverse of `state`; `stream` is the training stream that it comes from."""
        most = sum(len(arriving_classes(experience)) for experience in stream)
        self.model.head.restore(Targets.from_dict(state["targets"], most))
        super().load_state(state, stream)

    def _allocate_by_embedding(self) -> None:
        new = self.model.head.targets.new_labels(arriving_classes(self.experience))
        if new:
            means = self._class_means(new)
            self.model.head.add_classes(new, means)

    def _class_means(self, classes: list[int]) -> Tensor:
        """Mean embedding of each class (ascending) in the arriving data: [classes, dim]."""
        wanted = torch.tensor(classes, device=self.device)
        # The last column counts.
        sums = torch.zeros(len(classes), self.model.head.system.dim + 1, device=self.device)
        for batch in passes(self, self.adapted_dataset, self._embedded):
            place = torch.searchsorted(wanted, batch.labels).clamp_max(len(classes) - 1)
            rows = wanted[place] == batch.labels
            counted = nn.functional.pad(batch.output[rows], (0, 1), value=1)
            sums.index_add_(0, place[rows], counted)
        sums = distributed.joined(sums[None]).sum(0).to(self.device)
        return sums[:, :-1] / sums[:, -1:].clamp_min(1)

    def _embedded(self, images: Tensor) -> Tensor:
        with self.autocast():
            return self.model.embed(images).float()


def build_lsc(conditions: Conditions) -> Assembly:
    """Fixed targets with replay and distillation, as settings describe it."""
    settings = conditions.settings
    encoder, replay = settings.encoder, settings.replay
    spec = conditions.spec(standardize=encoder.standardize, hidden=encoder.hidden)
    model = spec.build(encoder.weights).to(conditions.device)
    plugins = [*conditions.gradient_plugins(), conditions.progress]
    memory = None
    if replay.size:
        stored = EmbeddingReplay(replay.size, replay.distillation, replay.balanced)
        plugins.append(stored)
        memory = stored.storage_policy
    strategy = LSC(
        model=model,
        optimizer=conditions.optimizer(model),
        train_epochs=settings.train.epochs,
        plugins=plugins,
        **conditions.arguments(),
    )
    return with_targets(conditions, strategy, spec, memory)

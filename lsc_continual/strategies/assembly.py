"""The conditions under which a strategy learns, and the strategy put together under them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from typing import Any

import torch
from avalanche.core import BasePlugin
from avalanche.training.plugins import EvaluationPlugin
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from lsc_continual.classifier.spec import ModelSpec
from lsc_continual.encoders import make_encoder
from lsc_continual.errors import LSCError
from lsc_continual.experiences.feeds import Feeds, Loading
from lsc_continual.experiences.prepared import PreparedBenchmark
from lsc_continual.inputs.geometry import RandomGeometry
from lsc_continual.learners.analytic import AnalyticLearner
from lsc_continual.machine.devices import pick_precision, pick_workers
from lsc_continual.network.heads import TargetHead
from lsc_continual.network.names import LOSSES
from lsc_continual.network.priors import default_unknown_prior
from lsc_continual.novelty import NoveltyDetector, make_score
from lsc_continual.novelty.base import uncalibrated_score
from lsc_continual.settings import Settings
from lsc_continual.strategies.augmentation import BatchAugmentation
from lsc_continual.strategies.calibration import (
    Calibration,
    LeftOutCalibration,
    NoveltyCalibration,
)
from lsc_continual.strategies.collapse_metrics import CollapseMetrics
from lsc_continual.strategies.divergence import StopOnDivergence
from lsc_continual.strategies.evaluation import LSCScores, Scored
from lsc_continual.strategies.point_collapse import LatentPointCollapse
from lsc_continual.strategies.schedule import CosineDecay
from lsc_continual.systems import make_system

Scores = Callable[[Tensor, Tensor], Scored | Mapping[str, Tensor]]
"""(Inputs, the network's output) -> novelty scores by name, with alarms or without."""


@dataclass(frozen=True)
class Conditions:
    """What is the same for all strategies on one stream.

    Args:
        settings: of the run.
        data: the benchmark, and what is known about it.
        device: where the network is.
        progress: the plugin that counts images and seconds; a builder puts it among the plugins.
        architecture: of an encoder of other people's that was there before (`ReadyEncoder`).
    """

    settings: Settings
    data: PreparedBenchmark
    device: torch.device
    progress: BasePlugin
    architecture: Mapping[str, Any] | None = None

    def encoder(self) -> nn.Module:
        """A new encoder, with the weights that it is to start from."""
        encoder, data = self.settings.encoder, self.settings.data
        return make_encoder(
            encoder.name,
            self.data.input_shape,
            weights=encoder.weights,
            options=encoder.options,
            mean=data.mean,
            std=data.std,
        )

    def spec(self, **further: Any) -> ModelSpec:
        """The network of an encoder and a target head, as its model folder describes it.

        Args:
            further: fields of `ModelSpec` in which strategies differ.

        Raises:
            LSCError: `data.mean` or `data.std` do not fit the images.
        """
        settings, channels = self.settings, self.data.input_shape[0]
        dim = settings.system.dim_for(len(self.data.class_names))
        for key, values in (("mean", settings.data.mean), ("std", settings.data.std)):
            if values is not None and len(values) != channels:
                raise LSCError(
                    f"data.{key} has {len(values)} values, but the images have {channels} channels"
                )
        prior = settings.loss.unknown_prior
        if prior is None:
            prior = default_unknown_prior(make_system(settings.system.name, dim))
        return ModelSpec(
            encoder=settings.encoder.name,
            encoder_options=dict(settings.encoder.options),
            input_shape=self.data.input_shape,
            class_names=self.data.class_names,
            inverted=self.data.inverted,
            depth=settings.data.depth,
            mean=settings.data.mean,
            std=settings.data.std,
            system=settings.system.name,
            dim=dim,
            head={
                "allocation": settings.allocation.name,
                "seed": settings.seed,
                "scale": settings.loss.scale,
                "unknown_prior": prior,
                "normalize": settings.loss.normalize,
            },
            architecture=dict(self.architecture or {}),
            **further,
        )

    def optimizer(self, model: nn.Module) -> Optimizer:
        """The optimizer over all parameters of the model."""
        train = self.settings.train
        options: Any = {"lr": train.lr, "weight_decay": train.weight_decay, "fused": True}
        if train.optimizer == "adamw":
            return AdamW(model.parameters(), **options)
        return SGD(model.parameters(), momentum=0.9, nesterov=True, **options)

    @property
    def loading(self) -> Loading:
        """How images get to the device."""
        workers = pick_workers(self.settings.train.workers, self.device)
        return Loading(workers, self.settings.augment.crop_scale, self.settings.data.on_error)

    @cached_property
    def augmentation(self) -> RandomGeometry:
        """The random changes of training batches; files are cropped where they are read."""
        augment = self.settings.augment
        return RandomGeometry(
            rotate=augment.rotate,
            translate=augment.translate,
            zoom=augment.zoom,
            flip=augment.flip,
            crop_scale=augment.crop_scale if self.data.in_memory else None,
        )

    @property
    def precision(self) -> str:
        """The number format of the encoder."""
        return pick_precision(self.settings.train.precision, self.device)

    def gradient_plugins(self) -> list[BasePlugin]:
        """What training by gradients needs beside the plugins of the strategy itself."""
        plugins: list[BasePlugin] = []
        if self.augmentation:
            plugins.append(BatchAugmentation(self.augmentation))
        if self.settings.train.schedule == "cosine":
            plugins.append(CosineDecay())
        if self.settings.loss.collapse is not None:
            plugins.append(LatentPointCollapse(self.settings.loss.collapse))
        return [*plugins, StopOnDivergence()]

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments that strategies with a target head share."""
        settings = self.settings
        measured = [CollapseMetrics()] if settings.metrics.neural_collapse else []
        return {
            "criterion": LOSSES.make(settings.loss.name, of=nn.Module),
            "train_mb_size": settings.train.batch_size,
            "device": self.device,
            "evaluator": EvaluationPlugin(*measured),
            "loading": self.loading,
            "precision": self.precision,
            "compile": settings.train.compile,
        }


@dataclass(kw_only=True)
class Assembly:
    """A strategy that is ready to be trained, and what has to be known about it."""

    settings: Settings
    """The settings it was built by, with defaults filled in that depend on the data."""
    data: PreparedBenchmark
    strategy: Any
    """Avalanche's: `train(experience)`, `eval(stream)`."""
    scores: Scores
    """Its novelty scores."""
    score: str
    """The name of the one that speaks for it."""
    about: str
    """What learns, in a few words."""
    feeds: Sequence[Feeds]
    """What keeps the data that it is trained and evaluated on."""
    at_once: bool = False
    """Whether it learns all experiences together."""
    memory: Any = None
    """Stored images, with an attribute `buffer`; None where there are none."""
    floats: int = 0
    """How many numbers are stored beside each image."""
    beside_model: Callable[[], list[Tensor]] = list
    """The tensors that belong to the model and are not in it."""
    spec: ModelSpec | None = None
    """How to build the model again; None where it cannot be saved."""
    detector: NoveltyDetector | None = None
    calibration: Calibration | None = None
    collapse: CollapseMetrics | None = None
    """What measures neural collapse."""
    rounds: Sequence[Sequence[Any]] = field(init=False)
    """The experiences that it is trained on between two evaluations: one, as a rule."""

    def __post_init__(self) -> None:
        each = [[one] for one in self.data.experiences]
        self.rounds = [self.data.experiences] if self.at_once else each

    @property
    def summary(self) -> str:
        """One line on data and strategy."""
        images = sum(len(experience.dataset) for experience in self.data.experiences)
        return (
            f"{self.settings.scenario.name}: {len(self.data.class_names)} classes in "
            f"{len(self.data.experiences)} experiences, {images:,} training images; {self.about}"
        )

    def sizes(self) -> dict[str, int]:
        """How large network and stores are now.

        parameters: trained numbers of the network; state_bytes: of its parameters and buffers;
        stored_bytes: of images for replay, their labels and what is stored beside them;
        calibration_bytes: of held-out images for novelty detection. An image counts as 8-bit
        pixels with a 64-bit label, however it is held.
        """
        model = self.strategy.model
        tensors = [*model.state_dict().values(), *self.beside_model()]
        image = prod(self.data.input_shape) + 8
        held_out = None if self.calibration is None else self.calibration.store
        return {
            "parameters": sum(p.numel() for p in model.parameters()),
            "state_bytes": sum(t.numel() * t.element_size() for t in tensors),
            "stored_bytes": _count(self.memory) * (image + 4 * self.floats),
            "calibration_bytes": _count(held_out) * image,
        }


def _count(store: Any) -> int:
    return 0 if store is None else len(store.buffer)


def with_targets(
    conditions: Conditions,
    strategy: Any,
    spec: ModelSpec,
    memory: Any = None,
    learner: AnalyticLearner | None = None,
) -> Assembly:
    """A strategy whose model ends in a `TargetHead`, with its detector and scores.

    Args:
        strategy: built under the conditions.
        spec: of its model.
        memory: its replay buffer, if it has one; fitted novelty scores compare with that.
        learner: which needs no held-out images for its detector.

    Raises:
        CapacityError: the vector system holds fewer vectors than there are classes.
    """
    settings, data, head = conditions.settings, conditions.data, strategy.model.head
    novelty, system = settings.novelty, head.system
    system.require_capacity(len(data.class_names))
    detector = NoveltyDetector(head, novelty.score, novelty.fpr, novelty.per_class)
    calibration: Calibration | None = None
    if data.held_out:
        calibration = NoveltyCalibration(detector, data.held_out, novelty.size, memory)
    elif learner is not None:
        calibration = LeftOutCalibration(detector, learner)
    if calibration is not None:
        strategy.plugins.append(calibration)
    measured = [m for m in strategy.evaluator.metrics if isinstance(m, CollapseMetrics)]
    return Assembly(
        settings=replace(
            settings,
            system=replace(settings.system, dim=system.dim),
            loss=replace(settings.loss, unknown_prior=head.unknown_prior),
        ),
        data=data,
        strategy=strategy,
        scores=LSCScores(detector if calibration else None, novelty.score),
        score=_spoken(novelty.score, head, calibrated=bool(calibration)),
        about=f"{system.size:,} targets of {system.name} in {system.dim} dimensions",
        feeds=[strategy.feeds],
        memory=memory,
        spec=spec,
        detector=detector if calibration else None,
        calibration=calibration,
        collapse=next(iter(measured), None),
    )


def _spoken(score: str, head: TargetHead, calibrated: bool) -> str:
    """The score that speaks for a run: its own, or one that needs no calibration if it has none."""
    fits = calibrated or not make_score(score, head).needs_fit
    return score if fits else uncalibrated_score(head)

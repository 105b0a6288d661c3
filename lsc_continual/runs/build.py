"""Strategies as the command line names them, from a configuration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from avalanche.benchmarks.utils import AvalancheDataset
from avalanche.core import BasePlugin
from avalanche.training.plugins import EvaluationPlugin
from omegaconf import DictConfig, OmegaConf
from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from lsc_continual.catalog import LOSSES
from lsc_continual.classifier.folder import ModelSpec
from lsc_continual.errors import LSCError
from lsc_continual.experiences.loader import Loading
from lsc_continual.inputs.geometry import RandomGeometry
from lsc_continual.machine.devices import pick_precision, pick_workers
from lsc_continual.network.heads import default_unknown_prior
from lsc_continual.network.ridge import PENALTIES
from lsc_continual.novelty import NoveltyDetector
from lsc_continual.runs.stream import Stream
from lsc_continual.strategies import (
    LSC,
    BatchAugmentation,
    CollapseMetrics,
    CosineDecay,
    EmbeddingReplay,
    LatentPointCollapse,
    LSCAnalytic,
    NoveltyCalibration,
    StopOnDivergence,
)
from lsc_continual.systems import make_system


def model_spec(config: DictConfig, stream: Stream) -> ModelSpec:
    """The network that the configuration describes."""
    channels = stream.input_shape[0]
    for key in ("mean", "std"):
        values = config.data[key]
        if values is not None and len(values) != channels:
            raise LSCError(
                f"data.{key} has {len(values)} values, but the images have {channels} channels"
            )
    return ModelSpec(
        encoder=config.encoder.name,
        encoder_options=OmegaConf.to_container(config.encoder.options),  # type: ignore[arg-type]
        input_shape=stream.input_shape,
        class_names=stream.class_names,
        inverted=stream.inverted,
        mean=OmegaConf.to_object(config.data.mean) if config.data.mean else None,  # type: ignore[arg-type]
        std=OmegaConf.to_object(config.data.std) if config.data.std else None,  # type: ignore[arg-type]
        system=config.system.name,
        dim=config.system.dim,
        head={
            "allocation": config.allocation.name,
            "seed": config.seed,
            "scale": config.loss.scale,
            "unknown_prior": _unknown_prior(config),
            "normalize": config.loss.normalize,
        },
        random_features=(
            {"features": config.analytic.features, "seed": config.seed}
            if config.strategy.name == "lsc-analytic"
            else {}
        ),
        standardize=config.encoder.standardize if config.strategy.name == "lsc" else False,
        hidden=config.encoder.hidden if config.strategy.name == "lsc" else 0,
    )


def _unknown_prior(config: DictConfig) -> float:
    """The value of `loss.unknown_prior`, or its default for the system."""
    given: float | None = config.loss.unknown_prior
    if given is not None:
        return given
    return default_unknown_prior(make_system(config.system.name, config.system.dim))


def build_lsc(
    config: DictConfig,
    spec: ModelSpec,
    device: torch.device,
    plugins: list[BasePlugin],
    in_memory: bool = True,
) -> LSC:
    """Fixed targets with replay and distillation; `plugins` come last.

    Args:
        in_memory: whether the images are, rather than in files.
    """
    model = spec.build(config.encoder.weights).to(device)
    own: list[BasePlugin] = []
    if augmentation := make_augmentation(config, in_memory):
        own.append(BatchAugmentation(augmentation))
    if config.replay.size:
        own.append(_replay(config.replay))
    if config.train.schedule == "cosine":
        own.append(CosineDecay())
    if config.loss.collapse is not None:
        own.append(LatentPointCollapse(config.loss.collapse))
    own.append(StopOnDivergence())  # last, when all parts of the loss are in
    return LSC(
        model=model,
        optimizer=make_optimizer(config, model),
        train_epochs=config.train.epochs,
        plugins=own + plugins,
        **_training(config, device),
    )


def build_analytic(
    config: DictConfig,
    spec: ModelSpec,
    device: torch.device,
    plugins: list[BasePlugin],
    in_memory: bool = True,
) -> LSCAnalytic:
    """Ridge regression to fixed targets on an encoder that the first experience trains.

    Arguments as those of `build_lsc`.
    """
    model = spec.build(config.encoder.weights).to(device)
    base_epochs = config.analytic.base_epochs
    if base_epochs is None:
        base_epochs = 0 if config.encoder.weights else config.train.epochs
    own: list[BasePlugin] = []
    if base_epochs:
        if augmentation := make_augmentation(config, in_memory):
            own.append(BatchAugmentation(augmentation))
        if config.train.schedule == "cosine":
            own.append(CosineDecay())
        if config.loss.collapse is not None:
            own.append(LatentPointCollapse(config.loss.collapse))
        own.append(StopOnDivergence())
    return LSCAnalytic(
        model=model,
        optimizer=make_optimizer(config, model) if base_epochs else None,
        base_epochs=base_epochs,
        penalties=PENALTIES if config.analytic.penalty is None else [config.analytic.penalty],
        plugins=own + plugins,
        **_training(config, device),
    )


def _training(config: DictConfig, device: torch.device) -> dict[str, Any]:
    """Arguments that strategies have in common."""
    metrics = [CollapseMetrics()] if config.metrics.neural_collapse else []
    return {
        "criterion": LOSSES.load(config.loss.name)(),
        "train_mb_size": config.train.batch_size,
        "device": device,
        "evaluator": EvaluationPlugin(*metrics),
        "loading": make_loading(config, device),
        "precision": pick_precision(config.train.precision, device),
        "compile": config.train.compile,
    }


def attach_detector(
    strategy: LSC, config: DictConfig, held_out: Sequence[AvalancheDataset]
) -> NoveltyDetector | None:
    """A detector that the strategy calibrates after every experience; None without held-out images.

    Args:
        config: the `novelty` settings.
    """
    detector = NoveltyDetector(strategy.model.head, config.score, config.fpr, config.per_class)
    if not held_out:  # though the settings had to be right
        return None
    buffers = [p.storage_policy for p in strategy.plugins if isinstance(p, EmbeddingReplay)]
    reference = buffers[0] if buffers else None
    calibration = NoveltyCalibration(detector, held_out, config.size, reference)
    strategy.plugins.append(calibration)
    return detector


def _replay(config: DictConfig) -> EmbeddingReplay:
    return EmbeddingReplay(config.size, config.distillation, config.balanced)


def make_optimizer(config: DictConfig, model: nn.Module) -> Optimizer:
    """The optimizer over all parameters of the model."""
    options = {"lr": config.train.lr, "weight_decay": config.train.weight_decay, "fused": True}
    if config.train.optimizer == "sgd":
        return SGD(model.parameters(), momentum=0.9, nesterov=True, **options)
    return AdamW(model.parameters(), **options)


def make_loading(config: DictConfig, device: torch.device) -> Loading:
    """How images get to the device."""
    workers = pick_workers(config.train.workers, device)
    return Loading(workers, config.augment.crop_scale, config.data.on_error)


def make_augmentation(config: DictConfig, in_memory: bool) -> RandomGeometry:
    """The random changes of training batches; files are cropped where they are decoded."""
    augment = config.augment
    return RandomGeometry(
        rotate=augment.rotate,
        translate=augment.translate,
        zoom=augment.zoom,
        flip=augment.flip,
        crop_scale=augment.crop_scale if in_memory else None,
    )

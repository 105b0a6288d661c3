"""Everything that a configuration stands for, ready to go."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.console import Console

from lsc_continual.catalog import STRATEGIES
from lsc_continual.errors import CapacityError
from lsc_continual.images import StoredImages
from lsc_continual.novelty.evaluation import OpenWorldEvaluation
from lsc_continual.randomness import seed_everything
from lsc_continual.runs.build import model_spec, pick_device
from lsc_continual.runs.model import ModelSpec
from lsc_continual.runs.progress import TrainingProgress
from lsc_continual.scenarios import (
    Source,
    class_order,
    experience_sizes,
    load_images,
    make_stream,
)
from lsc_continual.strategies import LSC


@dataclass
class Trial:
    """A run that has not begun."""

    config: DictConfig
    """With class order and unknown prior filled in."""
    spec: ModelSpec
    stream: Any
    """The Avalanche benchmark."""
    strategy: LSC
    evaluation: OpenWorldEvaluation
    progress: TrainingProgress
    summary: str
    """One line on data and targets."""
    fingerprint: str
    """Of the data."""


def prepare(config: DictConfig, console: Console) -> Trial:
    """Load the data and build stream and strategy; writes nothing.

    Raises:
        LSCError: something the user can mend.
    """
    device = pick_device(config.train.device)
    seed_everything(config.seed)
    scenario = config.scenario
    data = load_images(scenario.name, source_of(config))
    data = data.limited(config.data.train_per_class)
    classes = len(data.class_names)
    sizes = experience_sizes(
        classes, scenario.experiences, scenario.increment, scenario.base_classes
    )
    order = class_order(classes, scenario.class_order, config.seed)
    spec = model_spec(config, data)
    evaluation, progress = OpenWorldEvaluation(), TrainingProgress(console, len(sizes))
    build = STRATEGIES.load(config.strategy.name)
    in_memory = isinstance(data.train, StoredImages)
    strategy: LSC = build(config, spec, device, [evaluation, progress], in_memory)
    head = strategy.model.head
    if classes > head.system.size:
        raise CapacityError.of(head.system, classes)

    config.scenario.class_order = order
    config.loss.unknown_prior = head.unknown_prior
    summary = (
        f"{scenario.name}: {classes} classes in {len(sizes)} experiences, {len(data.train):,} "
        f"training images; {head.system.size:,} targets of {head.system.name} in "
        f"{head.system.dim} dimensions"
    )
    return Trial(
        config,
        spec,
        make_stream(data, order, sizes),
        strategy,
        evaluation,
        progress,
        summary,
        data.fingerprint(),
    )


def source_of(config: DictConfig) -> Source:
    """Where the configuration says that the images are."""
    data = config.data
    return Source(
        root=Path(data.root),
        download=data.download,
        resolution=data.resolution,
        classes=None if data.classes is None else tuple(data.classes),
        test_fraction=data.test_fraction,
        on_error=data.on_error,
        memory=data.memory,
        seed=config.seed,
    )

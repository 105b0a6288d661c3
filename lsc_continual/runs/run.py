"""One run: data in at one end, a run folder at the other."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from avalanche.benchmarks.scenarios.deprecated.new_classes import NCScenario
from omegaconf import DictConfig
from rich.console import Console

from lsc_continual.catalog import STRATEGIES
from lsc_continual.errors import CapacityError, LSCError
from lsc_continual.experiences import arriving_classes
from lsc_continual.novelty.evaluation import OpenWorldEvaluation
from lsc_continual.runs.build import model_spec, pick_device
from lsc_continual.runs.folder import RunFolder
from lsc_continual.runs.model import ModelSpec
from lsc_continual.runs.progress import TrainingProgress
from lsc_continual.runs.recorder import Recorder
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
    """Everything that a configuration stands for, ready to go."""

    config: DictConfig
    """With class order and unknown prior filled in."""
    spec: ModelSpec
    stream: NCScenario
    strategy: LSC
    evaluation: OpenWorldEvaluation
    progress: TrainingProgress
    summary: str
    """One line on data and targets."""


def run(config: DictConfig, console: Console) -> Path:
    """Train and evaluate as configured; returns the run folder.

    Everything the user may have got wrong is refused before the folder is made. After each
    experience, metrics and model are on disk.

    Raises:
        LSCError: something the user can mend.
    """
    trial = prepare(config, console)
    scenario, strategy = config.scenario.name, config.strategy.name
    folder = RunFolder(config.run.dir, f"{scenario}-{strategy}-seed{config.seed}")
    console.print(trial.summary, soft_wrap=True, highlight=False)
    with Recorder(folder, trial.config, trial.spec, trial.strategy.device, console) as recorder:
        for index, experience in enumerate(trial.stream.train_stream):
            try:
                trial.strategy.train(experience)
            except LSCError as error:
                if not index:
                    folder.discard()
                    raise
                raise type(error)(f"{error}; what was learned before is in {folder.path}") from None
            finally:
                trial.progress.close()
            trial.strategy.eval(trial.stream.test_stream)
            result = trial.evaluation.result(index)
            arriving = arriving_classes(experience)
            recorder.record(arriving, trial.strategy.model, result, trial.progress)
        recorder.finish(trial.strategy.model)
    return folder.path


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
    strategy: LSC = build(config, spec, device, [evaluation, progress])
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
    stream = make_stream(data, order, sizes)
    return Trial(config, spec, stream, strategy, evaluation, progress, summary)


def source_of(config: DictConfig) -> Source:
    """Where the configuration says that the images are."""
    data = config.data
    return Source(
        root=Path(data.root),
        download=data.download,
        resolution=data.resolution,
        test_fraction=data.test_fraction,
        on_error=data.on_error,
        classes=None if data.classes is None else tuple(data.classes),
        memory=data.memory,
        seed=config.seed,
    )


def seed_everything(seed: int) -> None:
    """Seed Python, numpy and torch. On one machine, CPU runs are then reproducible to the bit."""
    random.seed(seed)
    np.random.seed(seed)  # Avalanche draws from the global generator
    torch.manual_seed(seed)

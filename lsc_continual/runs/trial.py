"""Everything that a configuration stands for, ready to go."""

from __future__ import annotations

from dataclasses import dataclass

from omegaconf import DictConfig
from rich.console import Console

from lsc_continual import distributed
from lsc_continual.catalog import STRATEGIES
from lsc_continual.errors import CapacityError
from lsc_continual.novelty import NoveltyDetector
from lsc_continual.randomness import seed_everything
from lsc_continual.runs.build import attach_detector, model_spec, pick_device
from lsc_continual.runs.model import ModelSpec
from lsc_continual.runs.progress import TrainingProgress
from lsc_continual.runs.stream import Stream, load_others, open_stream
from lsc_continual.strategies import LSC
from lsc_continual.strategies.evaluation import LSCScores, OpenWorldEvaluation


@dataclass
class Trial:
    """A run that has not begun."""

    config: DictConfig
    """With class order and unknown prior filled in."""
    spec: ModelSpec
    stream: Stream
    strategy: LSC
    evaluation: OpenWorldEvaluation
    detector: NoveltyDetector | None
    progress: TrainingProgress
    summary: str
    """One line on data and targets."""


def prepare(config: DictConfig, console: Console) -> Trial:
    """Load the data and build stream and strategy; writes nothing.

    Raises:
        LSCError: something the user can mend.
    """
    device = pick_device(config.train.device)
    seed_everything(config.seed)
    stream = distributed.one_first(lambda: open_stream(config))
    spec = model_spec(config, stream)
    experiences = stream.benchmark.train_stream
    progress = TrainingProgress(console, len(experiences))
    build = STRATEGIES.load(config.strategy.name)
    strategy: LSC = build(config, spec, device, [progress], stream.in_memory)
    detector = attach_detector(strategy, config.novelty, stream.held_out)
    others = distributed.one_first(lambda: load_others(config, stream.input_shape, stream.inverted))
    evaluation = OpenWorldEvaluation(LSCScores(detector), others)
    strategy.plugins.append(evaluation)
    head, classes = strategy.model.head, len(stream.class_names)
    if classes > head.system.size:
        raise CapacityError.of(head.system, classes)

    config.scenario.class_order = stream.class_order
    config.loss.unknown_prior = head.unknown_prior
    images = sum(len(experience.dataset) for experience in experiences)
    summary = (
        f"{config.scenario.name}: {classes} classes in {len(experiences)} experiences, {images:,} "
        f"training images; {head.system.size:,} targets of {head.system.name} in "
        f"{head.system.dim} dimensions"
    )
    return Trial(config, spec, stream, strategy, evaluation, detector, progress, summary)

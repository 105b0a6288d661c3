"""Everything that a configuration stands for, ready to go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from avalanche.benchmarks.utils import AvalancheDataset
from omegaconf import DictConfig
from rich.console import Console

from lsc_continual.catalog import PEERS, STRATEGIES
from lsc_continual.classifier.folder import ModelSpec
from lsc_continual.experiences.loader import Feeds
from lsc_continual.machine import distributed
from lsc_continual.machine.devices import pick_device
from lsc_continual.machine.randomness import seed_everything
from lsc_continual.novelty import NoveltyDetector
from lsc_continual.runs.build import attach_detector, model_spec
from lsc_continual.runs.peers import add_scores, build_peer
from lsc_continual.runs.progress import TrainingProgress
from lsc_continual.runs.stream import Stream, load_others, open_stream
from lsc_continual.strategies import LSC, CollapseMetrics, EmbeddingReplay, NoveltyCalibration
from lsc_continual.strategies.evaluation import LSCScores, OpenWorldEvaluation

Others = dict[str, AvalancheDataset]
"""Data sets of unknown inputs, by name."""


@dataclass(kw_only=True)
class Trial:
    """A run that has not begun."""

    config: DictConfig
    """With class order and unknown prior filled in."""
    stream: Stream
    rounds: Sequence[Sequence[Any]]
    """The experiences that the strategy is trained on between two evaluations: one, as a rule."""
    strategy: Any
    evaluation: OpenWorldEvaluation
    score: str
    """The novelty score that speaks for the run."""
    progress: TrainingProgress
    summary: str
    """One line on data and targets."""
    feeds: Sequence[Feeds]
    """What keeps the data that the strategy is trained and evaluated on."""
    memory: Any = None
    """Stored images, with an attribute `buffer`; None where there are none."""
    floats: int = 0
    """Numbers stored beside each image."""
    beside_model: Callable[[], list[torch.Tensor]] = list
    """Tensors that belong to the model and are not in it."""
    spec: ModelSpec | None = None
    """Of a model that can be saved."""
    detector: NoveltyDetector | None = None
    calibration: Any = None
    """Its held-out images, with an attribute `buffer`."""
    collapse: CollapseMetrics | None = None
    """What measures neural collapse."""

    def sizes(self) -> dict[str, int]:
        """How large network and stores are now.

        parameters: trained numbers of the network; state_bytes: of its parameters and buffers;
        stored_bytes: of images for replay, their labels and what is stored beside them;
        calibration_bytes: of held-out images for novelty detection. An image counts as 8-bit
        pixels with a 64-bit label, however it is held.
        """
        model = self.strategy.model
        tensors = [*model.state_dict().values(), *self.beside_model()]
        image = prod(self.stream.input_shape) + 8
        return {
            "parameters": sum(p.numel() for p in model.parameters()),
            "state_bytes": sum(t.numel() * t.element_size() for t in tensors),
            "stored_bytes": _count(self.memory) * (image + 4 * self.floats),
            "calibration_bytes": _count(self.calibration) * image,
        }


def _count(store: Any) -> int:
    return 0 if store is None else len(store.buffer)


def prepare(config: DictConfig, console: Console) -> Trial:
    """Load the data and build stream and strategy; writes nothing.

    Raises:
        LSCError: something the user can mend.
    """
    device = pick_device(config.train.device)
    seed_everything(config.seed)
    stream = distributed.one_first(lambda: open_stream(config))
    others = distributed.one_first(lambda: load_others(config, stream.input_shape, stream.inverted))
    config.scenario.class_order = stream.class_order
    make = _peer if config.strategy.name in PEERS else _lsc
    return make(config, stream, others, device, console)


def _lsc(
    config: DictConfig, stream: Stream, others: Others, device: torch.device, console: Console
) -> Trial:
    experiences = stream.benchmark.train_stream
    progress = TrainingProgress(console, len(experiences))
    spec = model_spec(config, stream)
    build = STRATEGIES.load(config.strategy.name)
    strategy: LSC = build(config, spec, device, [progress], stream.in_memory)
    detector = attach_detector(strategy, config.novelty, stream.held_out)
    evaluation = OpenWorldEvaluation(LSCScores(detector), others)
    strategy.plugins.append(evaluation)
    head, classes = strategy.model.head, len(stream.class_names)
    head.system.require_capacity(classes)
    config.loss.unknown_prior = head.unknown_prior
    targets = f"{head.system.size:,} targets of {head.system.name} in {head.system.dim} dimensions"
    stores = [p.storage_policy for p in strategy.plugins if isinstance(p, EmbeddingReplay)]
    collapse = [m for m in strategy.evaluator.metrics if isinstance(m, CollapseMetrics)]
    held_out = [p.store for p in strategy.plugins if isinstance(p, NoveltyCalibration)]
    return Trial(
        config=config,
        stream=stream,
        rounds=[[experience] for experience in experiences],
        strategy=strategy,
        evaluation=evaluation,
        score=config.novelty.score,
        progress=progress,
        summary=f"{_about(config, stream)}; {targets}",
        feeds=[strategy.feeds],
        memory=next(iter(stores), None),
        spec=spec,
        detector=detector,
        calibration=next(iter(held_out), None),
        collapse=next(iter(collapse), None),
    )


def _peer(
    config: DictConfig, stream: Stream, others: Others, device: torch.device, console: Console
) -> Trial:
    experiences = list(stream.benchmark.train_stream)
    progress = TrainingProgress(console, len(experiences))
    peer = build_peer(config, stream, device, progress)
    rounds = [experiences] if peer.at_once else [[experience] for experience in experiences]
    progress.experiences = len(rounds)
    scores, score = add_scores(peer)
    evaluation = OpenWorldEvaluation(scores, others)
    peer.strategy.plugins.append(evaluation)
    entry = PEERS[config.strategy.name]
    return Trial(
        config=config,
        stream=stream,
        rounds=rounds,
        strategy=peer.strategy,
        evaluation=evaluation,
        score=score,
        progress=progress,
        summary=f"{_about(config, stream)}; {config.strategy.name}, {entry.line}",
        feeds=peer.batches.all_feeds,
        memory=peer.memory,
        floats=peer.floats,
        beside_model=peer.beside_model,
    )


def _about(config: DictConfig, stream: Stream) -> str:
    """One line on the data."""
    experiences = stream.benchmark.train_stream
    images = sum(len(experience.dataset) for experience in experiences)
    return (
        f"{config.scenario.name}: {len(stream.class_names)} classes in {len(experiences)} "
        f"experiences, {images:,} training images"
    )

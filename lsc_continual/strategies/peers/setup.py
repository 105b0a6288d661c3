"""What a peer is built from under the conditions of a run, and the assembly that comes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import wraps
from typing import Any, NamedTuple

import torch
from avalanche.core import BasePlugin
from avalanche.training.plugins import EvaluationPlugin
from torch import Tensor, nn

from lsc_continual.errors import LSCError, first_line
from lsc_continual.experiences.feeds import Loading
from lsc_continual.machine import distributed
from lsc_continual.strategies.assembly import Assembly, Conditions, Scores
from lsc_continual.strategies.augmentation import BatchAugmentation
from lsc_continual.strategies.divergence import StopOnDivergence
from lsc_continual.strategies.names import find_strategy
from lsc_continual.strategies.peers.batches import EqualBatches
from lsc_continual.strategies.peers.masking import LogitScores, MaskUnseen
from lsc_continual.strategies.peers.network import Features, LinearNetwork
from lsc_continual.strategies.schedule import CosineDecay


@dataclass(frozen=True, kw_only=True)
class Setup(Conditions):
    """The conditions of a run, as Avalanche's strategies are built from them."""

    features: Features
    """The encoder, flattened, as `LSC` runs it."""

    @classmethod
    def under(cls, conditions: Conditions) -> Setup:
        """With a new encoder."""
        encoder, bf16 = conditions.encoder(), conditions.precision == "bf16"
        if conditions.device.type == "cuda":
            encoder.to(memory_format=torch.channels_last)
        given = conditions.settings.encoder
        shape = conditions.data.input_shape
        features = Features(encoder, shape, bf16, given.standardize, given.hidden)
        return cls(
            features=features, **{f.name: getattr(conditions, f.name) for f in fields(conditions)}
        )

    @property
    def classes(self) -> int:
        """How many classes the whole stream has."""
        return len(self.data.class_names)

    @property
    def options(self) -> Mapping[str, Any]:
        """Keyword arguments of the peer's class in Avalanche."""
        return self.settings.strategy.options

    @property
    def stored(self) -> int:
        """How many images the peer is to store.

        Raises:
            LSCError: none.
        """
        if not self.settings.replay.size:
            raise LSCError("this strategy learns from stored images: set replay.size above 0")
        return self.settings.replay.size

    @property
    def batching(self) -> tuple[int, int, Loading, torch.device]:
        """The arguments of `EqualBatches`."""
        settings = self.settings
        return settings.train.batch_size, settings.replay.size, self.loading, self.device

    def avalanche_arguments(
        self, batches: EqualBatches, *plugins: BasePlugin, changed: bool = True
    ) -> dict[str, Any]:
        """Keyword arguments that all gradient-trained strategies of Avalanche share.

        Args:
            batches: what fills the batches.
            plugins: of the method itself; they come first.
            changed: whether arriving images are changed at random as soon as they are there.
        """
        own: list[BasePlugin] = [*plugins, batches]
        if changed and self.augmentation:
            own.append(BatchAugmentation(self.augmentation))
        if self.settings.train.schedule == "cosine":
            own.append(CosineDecay())
        own += [StopOnDivergence("train.lr"), self.progress]
        return {**self.base(), "train_epochs": self.settings.train.epochs, "plugins": own}

    def base(self) -> dict[str, Any]:
        """The keyword arguments that every strategy has."""
        return {
            "train_mb_size": self.settings.train.batch_size,
            "eval_mb_size": 256,
            "device": self.device,
            "evaluator": EvaluationPlugin(),
        }

    def changed(self, images: Tensor) -> Tensor:
        """Images changed at random once more, as another view of them."""
        change = self.augmentation
        return change(images, int(torch.randint(2**62, ()))) if change else images


class Memory(NamedTuple):
    """Stored images, for what asks for an attribute `buffer`."""

    of: Callable[[], Any]

    @property
    def buffer(self) -> Any:
        return self.of()


@dataclass(frozen=True)
class Peer:
    """A strategy of Avalanche's, ready to go, and what has to be known about it."""

    strategy: Any
    batches: EqualBatches
    memory: Any = None
    """Stored images, with an attribute `buffer`; None where there are none."""
    floats: int = 0
    """Numbers stored beside each image."""
    beside_model: Callable[[], list[Tensor]] = list
    """Tensors that belong to the model and are not in it."""
    at_once: bool = False
    """Whether it learns all experiences together."""

    @property
    def features(self) -> Features:
        """The part of the network that comes before its head."""
        return next(part for part in self.strategy.model.modules() if isinstance(part, Features))

    @property
    def classifier(self) -> nn.Linear | None:
        """The last layer, where it is linear."""
        model = self.strategy.model
        return model.classifier if isinstance(model, LinearNetwork) else None


def peer(build: Callable[[Setup], Peer]) -> Callable[[Conditions], Assembly]:
    """A builder of strategies from one of peers."""

    @wraps(build)
    def assembled(conditions: Conditions) -> Assembly:
        _check(conditions)
        try:
            built = build(Setup.under(conditions))
        except AssertionError as error:  # how Avalanche refuses a combination of options
            name = conditions.settings.strategy.name
            raise LSCError(f"strategy.options do not fit {name}: {first_line(error)}") from error
        return _assembly(built, conditions)

    return assembled


def _check(conditions: Conditions) -> None:
    """Refuse streams, and ways of learning, that peers cannot do with.

    Raises:
        LSCError: the sentence says which.
    """
    name = conditions.settings.strategy.name
    if distributed.world_size() > 1:
        raise LSCError(f"strategy={name} trains in one process: start it without torchrun")
    if conditions.precision == "fp16":
        raise LSCError(f"strategy={name} has no train.precision=fp16: use bf16 or fp32")
    parts = conditions.data.experiences
    if not all(hasattr(part.dataset, "targets_task_labels") for part in parts):
        raise LSCError(
            f"strategy={name} needs a benchmark with task labels, though all of them be 0, as "
            "Avalanche's nc_benchmark gives them"
        )


def _assembly(built: Peer, conditions: Conditions) -> Assembly:
    """With novelty scores: those of pytorch-ood where it is installed, else msp and energy.

    Of its scores, vim and Mahalanobis distances are among the best (docs/novelty.md); vim needs a
    linear last layer.
    """
    settings, plugins = conditions.settings, built.strategy.plugins
    mask = MaskUnseen()
    plugins.append(mask)
    scores: Scores = LogitScores(mask)
    score = "msp"
    try:
        from lsc_continual.strategies.peers.ood_scores import OODScores
    except ModuleNotFoundError:
        pass
    else:
        fitted = OODScores(built.features, built.classifier, built.memory)
        plugins.append(fitted)
        scores, score = fitted, "mahalanobis" if built.classifier is None else "vim"
    line = find_strategy(settings.strategy.name).line
    return Assembly(
        settings=settings,
        data=conditions.data,
        strategy=built.strategy,
        scores=scores,
        score=score,
        about=f"{settings.strategy.name}, {line}",
        feeds=built.batches.all_feeds,
        at_once=built.at_once,
        memory=built.memory,
        floats=built.floats,
        beside_model=built.beside_model,
    )

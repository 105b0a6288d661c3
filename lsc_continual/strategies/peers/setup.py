"""The conditions under which a peer learns, and what comes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from avalanche.core import BasePlugin
from avalanche.training.plugins import EvaluationPlugin
from torch import Tensor, nn
from torch.optim import Optimizer

from lsc_continual.errors import LSCError
from lsc_continual.experiences.loader import Loading
from lsc_continual.inputs.geometry import RandomGeometry
from lsc_continual.strategies.augmentation import BatchAugmentation
from lsc_continual.strategies.divergence import StopOnDivergence
from lsc_continual.strategies.peers.batches import EqualBatches
from lsc_continual.strategies.peers.network import Features, LinearNetwork
from lsc_continual.strategies.schedule import CosineDecay


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What is the same for all strategies of a comparison, and the peer's own options."""

    features: Features
    classes: int
    """Of the whole stream."""
    make_optimizer: Callable[[nn.Module], Optimizer]
    batch_size: int
    epochs: int
    memory_size: int
    """Images that `LSC` would store."""
    pretrained: bool = False
    """Whether the encoder comes with weights."""
    device: torch.device
    loading: Loading = field(default_factory=Loading)
    change: RandomGeometry = field(default_factory=RandomGeometry)
    """Of training images, at random."""
    cosine: bool = True
    """Whether the learning rate decays within an experience."""
    train_stream: Any
    progress: BasePlugin
    options: Mapping[str, Any]
    """Keyword arguments of the peer's class in Avalanche."""

    @property
    def stored(self) -> int:
        """Images that the peer is to store.

        Raises:
            LSCError: none.
        """
        if not self.memory_size:
            raise LSCError("this strategy learns from stored images: set replay.size above 0")
        return self.memory_size

    @property
    def batching(self) -> tuple[int, int, Loading, torch.device]:
        """The arguments of `EqualBatches`."""
        return self.batch_size, self.memory_size, self.loading, self.device

    def arguments(
        self, batches: EqualBatches, *plugins: BasePlugin, changed: bool = True
    ) -> dict[str, Any]:
        """Keyword arguments that all gradient-trained strategies of Avalanche share.

        Args:
            batches: what fills the batches.
            plugins: of the method itself; they come first.
            changed: whether arriving images are changed at random as soon as they are there.
        """
        own: list[BasePlugin] = [*plugins, batches]
        if changed and self.change:
            own.append(BatchAugmentation(self.change))
        if self.cosine:
            own.append(CosineDecay())
        own += [StopOnDivergence("train.lr"), self.progress]
        return {**self.base(), "train_epochs": self.epochs, "plugins": own}

    def base(self) -> dict[str, Any]:
        """Those that every strategy has."""
        return {
            "train_mb_size": self.batch_size,
            "eval_mb_size": 256,
            "device": self.device,
            "evaluator": EvaluationPlugin(),
        }

    def changed(self, images: Tensor) -> Tensor:
        """Images changed at random once more, as another view of them."""
        return self.change(images, int(torch.randint(2**62, ()))) if self.change else images


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

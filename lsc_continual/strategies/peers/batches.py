"""Batches for peers: as many steps, and as many images forwarded in each, as `LSC` takes.

In an experience of N images, `LSC` takes ⌈N/B⌉ steps an epoch, B = `train.batch_size`; each has its
share of the N images, and as many stored ones as there are, B at most. Peers that have no stored
images fill their batches with arriving ones, which they then see more often.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from avalanche.core import SupervisedPlugin
from torch import Tensor

from lsc_continual.experiences.feeds import Feeds, Loading
from lsc_continual.experiences.loader import BatchLoader
from lsc_continual.experiences.plan import Draws, Plan
from lsc_continual.inputs.geometry import RandomGeometry
from lsc_continual.strategies.stages import Stage, Staged


class Budget(NamedTuple):
    """What `LSC` would do in an epoch."""

    steps: int
    new: int
    """Arriving images forwarded."""
    stored: int
    """Stored images forwarded."""

    @property
    def images(self) -> int:
        return self.new + self.stored

    @classmethod
    def of(cls, arriving: int, earlier: int, batch_size: int, memory_size: int) -> Budget:
        """The budget for `arriving` images after `earlier` ones."""
        steps = -(-arriving // batch_size)
        return cls(steps, arriving, steps * min(batch_size, memory_size, earlier))


Part = tuple[Any, int]
"""A data set, and how many of its samples an epoch takes."""


class EqualBatches(Staged, SupervisedPlugin, supports_distributed=False):  # type: ignore[call-arg]
    """Gives an Avalanche strategy the loader of `LSC` and batches within its budget.

    For strategies that train on their `adapted_dataset` alone. Put it after plugins that replace
    the loader.

    Args:
        batch_size: arriving images a step.
        memory_size: images that `LSC` would store.
        loading: how samples get to the device.
        device: where that is.
    """

    stage = Stage.LOADER

    def __init__(
        self, batch_size: int, memory_size: int, loading: Loading, device: torch.device
    ) -> None:
        super().__init__()
        self.batch_size = batch_size
        self.memory_size = memory_size
        self.feeds = Feeds(loading, device)
        self.all_feeds = [self.feeds]
        self._earlier = 0  # images of earlier experiences

    def budget(self, strategy: Any) -> Budget:
        """What `LSC` would do in an epoch of the present experience."""
        arriving = len(strategy.experience.dataset)
        return Budget.of(arriving, self._earlier, self.batch_size, self.memory_size)

    def parts(self, strategy: Any, budget: Budget) -> list[Part]:
        """What the batches consist of."""
        return [(strategy.adapted_dataset, budget.images)]

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        budget = self.budget(strategy)
        parts = self.parts(strategy, budget)
        strategy.dataloader = loader(parts, budget.steps, self.feeds)

    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        self._earlier += len(strategy.experience.dataset)

    def before_eval_exp(self, strategy: Any, **kwargs: Any) -> None:
        plan = Plan(len(strategy.adapted_dataset), strategy.eval_mb_size, shuffle=False)
        strategy.dataloader = BatchLoader(
            [strategy.adapted_dataset], plan, self.feeds, training=False
        )


class MixedBatches(EqualBatches, supports_distributed=False):  # type: ignore[call-arg]
    """For strategies whose batches are arriving and stored images together.

    Args:
        memory: with an attribute `buffer`.
        views: how often the strategy forwards each image of a batch; batches have fewer images
            then.

    The other arguments are those of `EqualBatches`.
    """

    def __init__(self, *arguments: Any, memory: Any = None, views: int = 1) -> None:
        super().__init__(*arguments)
        self.memory = memory
        self.views = views

    def parts(self, strategy: Any, budget: Budget) -> list[Part]:
        parts = [(strategy.adapted_dataset, budget.new), (self.memory.buffer, budget.stored)]
        return [(data, images // self.views) for data, images in parts if len(data) and images]


class SeparateBatches(EqualBatches, supports_distributed=False):  # type: ignore[call-arg]
    """For strategies that take stored images from a `replay_loader` of their own.

    Avalanche's would leave their images as they are; these are changed at random, as arriving ones.

    Args:
        change: what changes them.
        beside: an attribute of stored samples that goes with them, such as "logits".

    The other arguments are those of `EqualBatches`.
    """

    def __init__(self, *arguments: Any, change: RandomGeometry, beside: str | None = None) -> None:
        super().__init__(*arguments)
        self.change = change
        self.beside = beside
        # Of its own: workers that read files serve one loader at a time.
        self._stored_feeds = Feeds(self.feeds.loading, self.feeds.device)
        self.all_feeds.append(self._stored_feeds)

    def parts(self, strategy: Any, budget: Budget) -> list[Part]:
        return [(strategy.adapted_dataset, budget.new)]

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        super().before_training_exp(strategy, **kwargs)
        budget, stored = self.budget(strategy), strategy.storage_policy.buffer
        strategy.replay_loader = None
        if budget.stored:
            strategy.replay_loader = self._replayed(strategy, stored, budget)

    def _replayed(self, strategy: Any, stored: Any, budget: Budget) -> Iterator[list[Tensor]]:
        """Stored images, labels, task labels and what is beside them, for ever."""
        batches = loader([(stored, budget.stored)], budget.steps, self._stored_feeds)
        beside = [] if self.beside is None else [torch.stack(list(getattr(stored, self.beside)))]
        while True:
            for images, *rest in batches:
                assert batches.step is not None
                changed = self.change(images, batches.step.seed) if self.change else images
                strategy.batch_size_mem = len(images)  # fewer where files cannot be read
                yield [changed, *rest, *(values[batches.samples] for values in beside)]


class OnePass(EqualBatches, supports_distributed=False):  # type: ignore[call-arg]
    """For strategies that see every arriving image once."""

    def parts(self, strategy: Any, budget: Budget) -> list[Part]:
        return [(strategy.adapted_dataset, budget.new)]


class AllData(EqualBatches, supports_distributed=False):  # type: ignore[call-arg]
    """For strategies that pass over all data so far in every epoch, which is more than `LSC` does.

    The batches are as large as those of the others.
    """

    def budget(self, strategy: Any) -> Budget:
        equal = super().budget(strategy)
        images = len(strategy.adapted_dataset)
        return Budget(-(-images * equal.steps // equal.images), images, 0)


class WholeStream(EqualBatches, supports_distributed=False):  # type: ignore[call-arg]
    """For strategies that learn all experiences at once, with the budget of all of them.

    Args:
        sizes: images of each experience.

    The other arguments are those of `EqualBatches`.
    """

    def __init__(self, *arguments: Any, sizes: Sequence[int]) -> None:
        super().__init__(*arguments)
        self.sizes = sizes

    def budget(self, strategy: Any) -> Budget:
        each = [
            Budget.of(size, sum(self.sizes[:number]), self.batch_size, self.memory_size)
            for number, size in enumerate(self.sizes)
        ]
        return Budget(*(sum(column) for column in zip(*each, strict=True)))


def loader(parts: Sequence[Part], steps: int, feeds: Feeds) -> BatchLoader:
    """Training batches of so many samples an epoch from each data set."""
    sources = tuple((len(data), images) for data, images in parts)
    draws = Draws(sources, steps, seed=int(torch.randint(2**62, ())))
    return BatchLoader([data for data, _ in parts], draws, feeds, training=True)

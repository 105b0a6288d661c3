"""The batches of an experience, in one process or shared by several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from avalanche.benchmarks.utils import AvalancheDataset
from torch import Tensor

from lsc_continual.experiences.feeds import Batch, Feeds, Order
from lsc_continual.experiences.located import integers
from lsc_continual.experiences.plan import Draws, Plan, batch_seed, share
from lsc_continual.machine import distributed


class Step(NamedTuple):
    """One batch's place in training."""

    seed: int
    """The seed of random changes of its inputs."""
    start: int
    """Where this process's part of the batch starts."""
    size: int
    """Samples of this process's part."""
    labels: Tensor
    """The labels of the whole batch, over all processes: LongTensor[batch]."""


class BatchLoader:
    """The batches of an experience, one epoch an iteration; what a strategy's `dataloader` is.

    Args:
        parts: the arriving samples and, if any are replayed, the stored ones.
        plan: of their order.
        feeds: keeps what is costly to set up from one experience to the next.
        training: whether images are cropped at random.
    """

    def __init__(
        self, parts: Sequence[AvalancheDataset], plan: Plan | Draws, feeds: Feeds, training: bool
    ) -> None:
        self.plan = plan
        self.epoch = 0
        """The epoch under way."""
        self.done = 0
        """Batches of it that were handed out."""
        self.step: Step | None = None
        """Where the latest batch stands."""
        self.samples = torch.empty(0, dtype=torch.long)
        """Which samples of the parts, one after another, this process's latest batch is made of."""
        self._rows, self._feed = feeds.of(parts, training)
        self._values = [
            torch.cat([integers(getattr(part, name)) for part in parts])
            for name in ("targets", "targets_task_labels")
            if all(hasattr(part, name) for part in parts)
        ]
        """Of each sample: its label, and its task label where there are any."""

    def __len__(self) -> int:
        return len(self.plan)

    def __iter__(self) -> Iterator[Batch]:
        """The batches of the epoch under way that were not handed out yet."""
        steps: list[tuple[Step, Tensor]] = []
        for number, batch in enumerate(self.plan.epoch(self.epoch)):
            start, mine = share(batch, distributed.rank(), distributed.world_size())
            seed = batch_seed(self.plan.seed, self.epoch, number)
            steps.append((Step(seed, start, len(mine), self._values[0][batch]), mine))
        steps = [(step, mine) for step, mine in steps[self.done :] if len(mine)]
        orders = [Order(self._rows[mine].numpy(), step.seed, step.start) for step, mine in steps]
        for (step, mine), (parts, kept) in zip(steps, self._feed.serve(orders), strict=True):
            self.step, self.done = step, self.done + 1
            self.samples = mine if kept is None else mine[kept]
            if len(parts) == 1:
                parts += [values[self.samples].to(parts[0].device) for values in self._values]
            yield parts
        self.epoch, self.done = self.epoch + 1, 0


def batch_labels(strategy: Any) -> tuple[Tensor, Tensor]:
    """Labels of the whole batch and of this process's part of it, on the CPU.

    On a GPU, asking the labels themselves would make the host wait for the device.
    """
    mine, step = strategy.mb_y, getattr(strategy.dataloader, "step", None)
    if not isinstance(step, Step):
        mine = mine.cpu()
        return mine, mine
    own = step.labels[step.start : step.start + len(mine)]
    # Files that cannot be read leave gaps in what was planned.
    planned = len(own) == step.size == len(mine)
    return step.labels, own if planned else mine.cpu()

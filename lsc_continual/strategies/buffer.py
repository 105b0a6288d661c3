"""The replay buffer."""

from __future__ import annotations

from typing import Any

import torch
from avalanche.training.storage_policy import ClassBalancedBuffer, ReservoirSamplingBuffer


class BalancedBuffer(ClassBalancedBuffer):
    """Equally many samples of every class seen, each class a reservoir.

    Avalanche's own class-balanced buffer adds task labels to what it stores, so that its samples
    cannot be batched with those of a benchmark without task labels; here they stay as they are.
    """

    def __init__(self, max_size: int) -> None:
        super().__init__(max_size=max_size)

    def update_from_dataset(self, new_data: Any, strategy: Any = None) -> None:
        """Store samples of the arriving classes; make room by shortening the others."""
        labels = torch.tensor([int(label) for label in new_data.targets])
        arriving = labels.unique().tolist()
        self.seen_classes.update(arriving)
        lengths = self.get_group_lengths(len(self.seen_classes))
        length_of = dict(zip(sorted(self.seen_classes), lengths, strict=True))
        for label in arriving:
            group = self.buffer_groups.setdefault(label, ReservoirSamplingBuffer(0))
            group.max_size = length_of[label]
            group.update_from_dataset(new_data.subset((labels == label).nonzero()[:, 0].tolist()))
        for label, group in self.buffer_groups.items():
            group.resize(strategy, length_of[label])

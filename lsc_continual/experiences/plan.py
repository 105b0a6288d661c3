"""Which samples make up each batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Plan:
    """The batches of an experience's epochs, a pure function of seed and epoch.

    So an interrupted epoch can be taken up at any batch, and several processes can share the
    batches without a word to each other.

    Args:
        new: number of samples that arrive; an epoch passes over each once.
        batch_size: most new samples a batch; batches differ by at most one, so that none is tiny.
        stored: number of replayed samples; they are numbered after the new ones.
        stored_batch: replayed samples a batch.
        seed: of all order.
        shuffle: False for the new samples in their own order, the same in every epoch.
    """

    new: int
    batch_size: int
    stored: int = 0
    stored_batch: int = 0
    seed: int = 0
    shuffle: bool = True

    def __len__(self) -> int:
        """Batches an epoch."""
        return -(-self.new // self.batch_size)

    def epoch(self, number: int) -> list[Tensor]:
        """One LongTensor[batch] of sample numbers for each batch."""
        if not self.shuffle:
            return list(torch.arange(self.new).tensor_split(len(self)))
        generator = torch.Generator().manual_seed(batch_seed(self.seed, number, -1))
        batches = list(torch.randperm(self.new, generator=generator).tensor_split(len(self)))
        take = min(self.stored_batch, self.stored)
        if not take:
            return batches
        # The memory is dealt out like a deck of cards that is shuffled anew whenever it runs out.
        decks = -(-take * len(self) // self.stored)
        cards = [torch.randperm(self.stored, generator=generator) for _ in range(decks)]
        replayed = self.new + torch.cat(cards)[: take * len(self)].view(len(self), take)
        mixed = [torch.cat(pair) for pair in zip(batches, replayed, strict=True)]
        # New and replayed samples mix, so that each process gets its share of both.
        return [batch[torch.randperm(len(batch), generator=generator)] for batch in mixed]


@dataclass(frozen=True)
class Draws:
    """So many samples an epoch from each of several sources, in batches.

    Every source is dealt out like a deck of cards that is shuffled anew whenever it runs out, over
    the bounds of epochs. A pure function of seed and epoch.

    Args:
        sources: for each source, the number of its samples and how many an epoch takes. Samples
            are numbered through, one source after another.
        steps: batches an epoch.
        seed: of all order.

    >>> draws = Draws(((4, 6), (3, 4)), steps=2)
    >>> [len(batch) for batch in draws.epoch(0)]
    [5, 5]
    >>> torch.cat([*draws.epoch(0), *draws.epoch(1)]).bincount().tolist()
    [3, 3, 3, 3, 3, 3, 2]
    """

    sources: tuple[tuple[int, int], ...]
    steps: int
    seed: int = 0

    def __len__(self) -> int:
        return self.steps

    def epoch(self, number: int) -> list[Tensor]:
        """One LongTensor[batch] of sample numbers for each batch."""
        parts, offset = [], 0
        for source, (count, _) in enumerate(self.sources):
            parts.append((offset + self._cards(source, number)).tensor_split(self.steps))
            offset += count
        return [torch.cat(pieces) for pieces in zip(*parts, strict=True)]

    def _cards(self, source: int, epoch: int) -> Tensor:
        """What an epoch takes from a source: LongTensor[images]."""
        count, images = self.sources[source]
        first = epoch * images
        decks = range(first // count, -(-(first + images) // count))
        generator = torch.Generator()
        cards = []
        for deck in decks:
            generator.manual_seed(batch_seed(self.seed, deck, source))
            cards.append(torch.randperm(count, generator=generator))
        start = first - decks.start * count
        return torch.cat(cards)[start : start + images]


def batch_seed(seed: int, epoch: int, batch: int) -> int:
    """A seed for one batch of one epoch, different for each.

    >>> len({batch_seed(7, epoch, batch) for epoch in range(100) for batch in range(100)})
    10000
    """
    mixed = seed
    for part in (epoch, batch):  # splitmix64's finalizer
        mixed = (mixed + (part + 2) * 0x9E3779B97F4A7C15) % 2**64
        mixed = ((mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9) % 2**64
        mixed = ((mixed ^ mixed >> 27) * 0x94D049BB133111EB) % 2**64
        mixed ^= mixed >> 31
    return mixed >> 1


def share(batch: Tensor, rank: int, world_size: int) -> tuple[int, Tensor]:
    """One process's part of a batch: where it starts, and LongTensor[part]."""
    bounds = [len(batch) * r // world_size for r in (rank, rank + 1)]
    return bounds[0], batch[bounds[0] : bounds[1]]

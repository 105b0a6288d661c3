"""Sets of as many classes as asked for, out of real images; nothing is stored but these.

An image is a function of its class and its number, whatever else is in a batch: those of training
have numbers from 0 on, those of tests negative ones.
"""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from experiments.data import Data, Part
from lsc_continual.inputs.geometry import RandomGeometry, grid
from lsc_continual.systems.numbering import Numbering

_DRAWS = 9  # that `RandomGeometry.maps` takes
_QUARTERS = 4
_PLASTIC = 1.2207440846057596
"""The real root of x⁴ = x + 1. Multiples of its inverse powers, mod 1, fill a cube evenly."""


class ManyClasses(Protocol):
    """Images by class and number."""

    shape: tuple[int, int, int]
    """Of an image: channels, height, width."""

    def __call__(self, labels: Tensor, numbers: Tensor | int) -> Tensor:
        """LongTensor[batch] twice (or one number for all) -> FloatTensor[batch, *shape]."""


class Views:
    """Classes 0, 1, 2, … without end: each is a source image in a view of its own.

    Of S sources, class c is number c mod S in view c div S. View 0 is the source as it is. Further
    views turn it by any angle, zoom and mirror it, by terms of a Kronecker sequence, so that they
    lie apart from each other however many there are. Image 0 of a class is the view; the others
    differ from it by small changes, hashed from the class and the image's number.

    Args:
        sources: FloatTensor[S, channels, height, width].
        side: of the square images that are made; by default the sources' height.
        jitter: the largest of the small changes.
    """

    view = RandomGeometry(rotate=180, zoom=0.3, flip=True)

    def __init__(
        self,
        sources: Tensor,
        side: int | None = None,
        jitter: RandomGeometry = RandomGeometry(rotate=5, translate=0.05, zoom=0.05),
    ) -> None:
        self.sources = sources
        self.jitter = jitter
        self.side = side or sources.shape[-1]
        self.shape = (sources.shape[1], self.side, self.side)

    def __call__(self, labels: Tensor, numbers: Tensor | int) -> Tensor:
        views = self.view.maps(_spread(labels // len(self.sources)))
        draws = _hashed(labels, numbers)
        unchanged = torch.as_tensor(numbers, device=labels.device).expand_as(labels) == 0
        small = self.jitter.maps(draws.masked_fill(unchanged[:, None], 0.5))
        # From the output through the small map, then through the view: both are [batch, 2, 3].
        turned = views[:, :, :2] @ small
        maps = torch.cat([turned[:, :, :2], turned[:, :, 2:] + views[:, :, 2:]], -1)
        sources = self.sources[labels % len(self.sources)]
        return F.grid_sample(sources, grid(maps, self.side, self.side), align_corners=False)


class Shuffled:
    """Classes of other ones in mixed order: the first thousand are a random sample of all.

    Args:
        size: how many there are.
    """

    def __init__(self, classes: ManyClasses, size: int) -> None:
        self._classes = classes
        self._numbering = Numbering.drawn(size, seed=0)
        self.shape = classes.shape

    def __call__(self, labels: Tensor, numbers: Tensor | int) -> Tensor:
        return self._classes(self._numbering.addresses(labels), numbers)


class Pairs:
    """Two handwritten characters, each in one of four orientations, on a channel each.

    Of C characters that makes (4 C)² classes: 42 million of Omniglot's 1,623. Different people
    wrote the characters of training and test images, so that a test asks for more than memory.

    Args:
        data: grey images of characters.
    """

    def __init__(self, data: Data) -> None:
        self.shape = (2, *data.shape[1:])
        self._symbols = _QUARTERS * data.classes
        self.size = self._symbols**2  # classes
        self._train, self._test = (_Written(part) for part in data)

    def __call__(self, labels: Tensor, numbers: Tensor | int) -> Tensor:
        numbers = torch.as_tensor(numbers, device=labels.device).expand_as(labels)
        symbols = torch.stack([labels // self._symbols, labels % self._symbols], 1)
        draws = _hashed(labels, numbers)[:, :2]
        seen, other = (part.draw(symbols // _QUARTERS, draws) for part in (self._train, self._test))
        images = torch.where((numbers >= 0)[:, None, None, None], seen, other)
        turned = torch.stack([images.rot90(turns, (2, 3)) for turns in range(_QUARTERS)])
        turns = symbols % _QUARTERS
        rows, channels = torch.meshgrid(*map(torch.arange, turns.shape), indexing="ij")
        return turned[turns, rows.to(turns), channels.to(turns)]


class _Written:
    """Characters by several people."""

    def __init__(self, part: Part) -> None:
        self._images = part.images[part.labels.argsort(stable=True), 0]
        self._counts = part.labels.bincount()
        self._begins = self._counts.cumsum(0) - self._counts

    def draw(self, characters: Tensor, draws: Tensor) -> Tensor:
        """LongTensor[...], FloatTensor[...] in [0, 1) that pick a person -> images, [..., h, w]."""
        person = (draws * self._counts[characters]).long()
        return self._images[self._begins[characters] + person]


def _spread(views: Tensor) -> Tensor:
    """Draws for `RandomGeometry.maps`, far apart; view 0 is the centre, which changes nothing.

    LongTensor[batch] -> FloatTensor[batch, 9].
    """
    draws = torch.full((len(views), _DRAWS), 0.5, device=views.device)
    for power, column in enumerate((0, 1, 8), start=1):  # angle, zoom, mirror
        draws[:, column] = ((0.5 + views.double() / _PLASTIC**power) % 1).float()
    return draws


def _hashed(labels: Tensor, numbers: Tensor | int) -> Tensor:
    """Draws in [0, 1) from (class, number of the image) alone: FloatTensor[batch, 9]."""
    numbers = torch.as_tensor(numbers, device=labels.device).expand_as(labels)
    state = _mixed(_mixed(labels) + numbers)[:, None]
    state = _mixed(state + torch.arange(_DRAWS, device=labels.device))
    return ((state >> 40) & (2**24 - 1)).float() / 2**24


def _mixed(state: Tensor) -> Tensor:
    """A step of splitmix64 (Steele, Lea and Flood, OOPSLA 2014), a bijection of 64-bit integers.

    LongTensor[...] -> LongTensor[...]; products wrap around, shifts bring in zeros.
    """
    state = state - 0x61C8864680B583EB
    for shift, mixer in ((30, -0x40A7B892E31B1A47), (27, -0x6B2FB644ECCEEE15), (31, 1)):
        state = (state ^ ((state >> shift) & (2 ** (64 - shift) - 1))) * mixer
    return state

"""Sets of as many classes as asked for, made of real images whenever some are needed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import pi

import torch
import torch.nn.functional as F
from torch import Tensor

from lsc_continual.inputs.geometry import RandomGeometry, grid
from lsc_continual.systems.numbering import Numbering
from reproduce.data import Data, Part

_TURNS = 11  # odd, so that none is by 180°, which would bring many things onto themselves
_NOISE = 0.05
_QUARTERS = 4


class ManyClasses(ABC):
    """Images of classes 0 … size − 1. Nothing is held but the images that they are made of.

    A class is a combination of its parts, numbered in mixed order: classes of consecutive numbers
    have nothing in common, and the first thousand are a random sample of all.

    Args:
        size: number of combinations.
        shape: of an image: channels, height, width.
    """

    def __init__(self, size: int, shape: tuple[int, int, int]) -> None:
        self.size = size
        self.shape = shape
        self._numbering = Numbering.drawn(size, seed=0)

    def combinations(self, classes: Tensor) -> Tensor:
        """Which combination a class is, a bijection: LongTensor[batch] -> LongTensor[batch]."""
        return self._numbering.addresses(classes)

    @abstractmethod
    def training(self, classes: Tensor, seed: int) -> Tensor:
        """An image of each class to train on: LongTensor[batch] -> FloatTensor[batch, *shape].

        Args:
            seed: of what is drawn.
        """

    @abstractmethod
    def test(self, classes: Tensor, seed: int) -> Tensor:
        """The same, of images that are never trained on."""


class EveryImage(ManyClasses):
    """Every image is a class of its own, as in the largest experiment of arXiv 2510.04090.

    A class is a source image, turned by one of eleven angles, with bright and dark exchanged or
    not: 22 classes from each source. There is one image of it to train on. In a test it is shifted
    by up to one pixel either way and has noise.

    Args:
        sources: FloatTensor[count, channels, height, width] in [0, 1].
    """

    def __init__(self, sources: Tensor) -> None:
        channels, height, width = sources.shape[1:]
        super().__init__(2 * _TURNS * len(sources), (channels, height, width))
        self._sources = sources
        self._shift = RandomGeometry(translate=1 / width)

    def training(self, classes: Tensor, seed: int = 0) -> Tensor:
        return self._images(classes, torch.zeros(len(classes), 2))

    def test(self, classes: Tensor, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        draws = torch.rand(len(classes), 9, generator=generator)
        images = self._images(classes, self._shift.maps(draws)[:, :, 2])
        noise = torch.randn(images.shape, generator=generator).to(images)
        return images + _NOISE * noise

    def _images(self, classes: Tensor, shifts: Tensor) -> Tensor:
        """`shifts`: where the centre of each image comes from, FloatTensor[batch, 2]."""
        kind, source = self._divide(self.combinations(classes), len(self._sources))
        inverted, turn = self._divide(kind, _TURNS)
        angle = turn * (2 * pi / _TURNS)
        cos, sin = torch.cos(angle), torch.sin(angle)
        turns = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], 1)
        maps = torch.cat([turns, shifts.to(turns).unsqueeze(-1)], -1)  # [batch, 2, 3]
        where = grid(maps, *self.shape[1:])
        images = F.grid_sample(self._sources[source], where, align_corners=False)
        return torch.where(inverted.bool()[:, None, None, None], 1 - images, images)

    @staticmethod
    def _divide(numbers: Tensor, by: int) -> tuple[Tensor, Tensor]:
        """Quotient and remainder."""
        return numbers // by, numbers % by


class Pairs(ManyClasses):
    """Two handwritten characters, each in one of four orientations, on a channel each.

    Of C characters that makes (4 C)² classes: 42 million of Omniglot's 1,623. Different people
    wrote the characters of training and test images, so that a test asks for more than memory.

    Args:
        data: grey images of characters.
    """

    def __init__(self, data: Data) -> None:
        _, height, width = data.shape
        self._symbols = _QUARTERS * int(data.train.labels.max() + 1)
        super().__init__(self._symbols**2, (2, height, width))
        self._train, self._test = (_Written(part) for part in data)

    def training(self, classes: Tensor, seed: int) -> Tensor:
        return self._images(self._train, classes, seed)

    def test(self, classes: Tensor, seed: int) -> Tensor:
        return self._images(self._test, classes, seed)

    def _images(self, written: _Written, classes: Tensor, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        pairs = self.combinations(classes)
        symbols = torch.stack([pairs // self._symbols, pairs % self._symbols], 1)
        draws = torch.rand(symbols.shape, generator=generator).to(classes.device)
        images = written.draw(symbols // _QUARTERS, draws)  # [batch, 2, height, width]
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

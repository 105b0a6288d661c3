"""As many classes as asked for, out of real images: each class is a source image in a view."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lsc_continual.inputs.geometry import RandomGeometry, grid

_DRAWS = 9  # that `RandomGeometry.maps` takes
_PLASTIC = 1.2207440846057596
"""The real root of x⁴ = x + 1. Multiples of its inverse powers, mod 1, fill a cube evenly."""


class SyntheticClasses:
    """Images of classes 0, 1, 2, … without end; an image is a function of its class and number.

    Of S sources, class c is number c mod S in view c div S. View 0 is the source as it is. Further
    views turn it by any angle, zoom and mirror it, by terms of a Kronecker sequence, so that they
    lie apart from each other however many there are. Each image of a class differs by a small turn,
    shift and zoom, hashed from the class and the image's number. So nothing depends on what else is
    in a batch, and nothing is stored but the sources.

    Args:
        sources: FloatTensor[S, channels, height, width].
        side: of the square images that are made; by default the sources' height.
    """

    view = RandomGeometry(rotate=180, zoom=0.3, flip=True)
    jitter = RandomGeometry(rotate=5, translate=0.05, zoom=0.05)

    def __init__(self, sources: Tensor, side: int | None = None) -> None:
        self.sources = sources
        self.side = side or sources.shape[-1]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of an image: channels, height, width."""
        return self.sources.shape[1], self.side, self.side

    def __call__(self, labels: Tensor, numbers: Tensor | int) -> Tensor:
        """LongTensor[batch] twice (or one number for all) -> FloatTensor[batch, *shape].

        Training takes the numbers from 0 on, tests the negative ones.
        """
        views = self.view.maps(_spread(labels // len(self.sources)))
        small = self.jitter.maps(_hashed(labels, numbers))
        # From the output through the small map, then through the view: both are [batch, 2, 3].
        turned = views[:, :, :2] @ small
        maps = torch.cat([turned[:, :, :2], turned[:, :, 2:] + views[:, :, 2:]], -1)
        sources = self.sources[labels % len(self.sources)]
        return F.grid_sample(sources, grid(maps, self.side, self.side), align_corners=False)


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

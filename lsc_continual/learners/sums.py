"""What ridge regression needs of the samples: sums, so that none has to be kept."""

from __future__ import annotations

import torch
from torch import Tensor

from lsc_continual.errors import LSCError

_CHUNK = 1024  # rows that are added at once; fewer leave the processor waiting for memory
_LEAST_SPREAD = 1e-8  # of the squares
_BLOCK = 1000  # columns of the triangle that one product fills


class Sums:
    """The moments MᵀM of M = [1 X Y] over all samples, for inputs X [N, D] and outputs Y [N, n].

    They are (1 + D + n)² numbers in float64, whatever N. Sums do not depend on the order of their
    terms, so neither does what is solved from them, up to rounding.

    Args:
        features: D.
        outputs: n.
    """

    def __init__(self, features: int, outputs: int) -> None:
        self.features = features
        self.outputs = outputs
        size = 1 + features + outputs
        self.moments = torch.zeros(size, size, dtype=torch.float64)
        """MᵀM, the lower triangle (in blocks; what is above is not used)."""

    @property
    def count(self) -> int:
        """N."""
        return int(self.moments[0, 0])

    @property
    def gram(self) -> Tensor:
        """X̃ᵀX̃ of X̃ = [1 X]: DoubleTensor[1 + D, 1 + D], the lower triangle."""
        size = 1 + self.features
        return self.moments[:size, :size]

    @property
    def cross(self) -> Tensor:
        """X̃ᵀY: DoubleTensor[1 + D, n]."""
        size = 1 + self.features
        return self.moments[size:, :size].T

    @property
    def outer(self) -> Tensor:
        """YᵀY: DoubleTensor[n, n]."""
        size = 1 + self.features
        lower = self.moments[size:, size:].tril()
        return lower + lower.tril(-1).T

    @property
    def mean_spread(self) -> float:
        """‖X − x̄‖²/D, the mean eigenvalue of what the penalty is added to.

        At least a hundred-millionth of ‖X‖²/D: below, it is rounding.
        """
        gram = self.gram
        squares = float(gram.diagonal()[1:].sum())
        spread = squares - float(gram[1:, 0].square().sum()) / self.count
        return max(spread, _LEAST_SPREAD * squares) / self.features

    def add(self, x: Tensor, y: Tensor, sign: int = 1) -> None:
        """Take samples in, or out again.

        Args:
            x: FloatTensor[count, D].
            y: FloatTensor[count, n].
            sign: 1 for samples that come, −1 for those that go.

        Raises:
            LSCError: one of them is not finite; nothing is added then.
        """
        if not x.isfinite().all():
            raise LSCError(
                "some features are infinite or not numbers, and would spoil all sums: look for "
                "such values in the data and in the encoder's weights"
            )
        for some, outputs in zip(x.split(_CHUNK), y.split(_CHUNK), strict=True):
            m = torch.cat([some.new_ones(len(some), 1), some, outputs.to(some)], 1)
            m = m.to(self.moments)
            for start in range(0, len(self.moments), _BLOCK):
                columns = slice(start, start + _BLOCK)
                self.moments[start:, columns].addmm_(m[:, start:].T, m[:, columns], alpha=sign)

    def merge(self, other: Sums) -> None:
        """Add all samples of another one of the same size."""
        self.moments += other.moments

    def clear(self) -> None:
        """Forget everything."""
        self.moments.zero_()

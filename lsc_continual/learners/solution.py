"""Ridge regression solved: the weights, what each sample weighs in them, and small changes."""

from __future__ import annotations

import torch
from torch import Tensor

from lsc_continual.errors import LSCError

_CHUNK = 1024  # samples whose leverages are computed at once


class Solution:
    """W = (X̃ᵀX̃ + λI₀)⁻¹ X̃ᵀY for inputs X̃ = [1 X] and outputs Y; I₀ leaves the intercept free.

    Samples that come or go later change it by their rank (Woodbury): no new factorisation.

    Args:
        penalty: λ.
        weight: W, DoubleTensor[1 + features, outputs].
        lower: the factor of X̃ᵀX̃ + λI₀; without, `factorise` before the first change.
    """

    def __init__(self, penalty: float, weight: Tensor, lower: Tensor | None = None) -> None:
        self.penalty = penalty
        self.weight = weight
        self._lower = lower
        self._shifts = weight.new_empty(len(weight), 0)  # inverse times the rows that came later
        self._signs = weight.new_empty(0)
        self._rows = weight.new_empty(0, len(weight))

    @classmethod
    def of(cls, gram: Tensor, cross: Tensor, penalty: float) -> Solution:
        """The solution for some sums.

        Args:
            gram: X̃ᵀX̃, DoubleTensor[1 + features, 1 + features], the lower triangle.
            cross: X̃ᵀY, DoubleTensor[1 + features, outputs].
            penalty: λ.
        """
        lower = _factor(gram, penalty)
        return cls(penalty, torch.cholesky_solve(cross, lower), lower)

    def factorise(self, gram: Tensor) -> None:
        """Get ready for changes: `gram` as it is before the first of them, as of `of`."""
        if self._lower is None:
            self._lower = _factor(gram, self.penalty)

    @property
    def lower(self) -> Tensor:
        """The factor."""
        assert self._lower is not None
        return self._lower

    @property
    def rank(self) -> int:
        """How many samples have come and gone since it was solved."""
        return len(self._rows)

    def update(self, x: Tensor, y: Tensor, sign: int = 1) -> None:
        """Take samples into account, or out.

        Args:
            x: rows of X̃, DoubleTensor[count, 1 + features].
            y: DoubleTensor[count, outputs].
            sign: 1 for samples that come, −1 for those that go.
        """
        first = torch.cholesky_solve(x.T, self.lower)
        shift = first  # by the inverse as it is now
        if self.rank:
            shift = first - self._shifts @ torch.linalg.solve(self._inner(), self._rows @ first)
        inner = torch.eye(len(x)).to(x) * sign + x @ shift
        self.weight += shift @ torch.linalg.solve(inner, y - x @ self.weight)
        self._shifts = torch.cat([self._shifts, first], 1)
        self._signs = torch.cat([self._signs, x.new_full((len(x),), sign)])
        self._rows = torch.cat([self._rows, x])

    def first_leverages(self, x: Tensor) -> Tensor:
        """Those that rows of X̃ had when it was solved: [count, 1 + features] -> [count], double."""

        def of(some: Tensor) -> Tensor:
            half = torch.linalg.solve_triangular(self.lower, some.double().T, upper=False)
            squared: Tensor = half.square().sum(0)
            return squared

        return torch.cat([x.new_empty(0).double(), *map(of, x.split(_CHUNK))])

    def leverages(self, x: Tensor, first: Tensor) -> Tensor:
        """Those that rows of X̃ have by now.

        Args:
            x: FloatTensor[count, 1 + features].
            first: their `first_leverages`, DoubleTensor[count].

        Returns:
            DoubleTensor[count].
        """
        if not self.rank:
            return first
        along = (x @ self._shifts.to(x)).double()
        taken: Tensor = (along * torch.linalg.solve(self._inner(), along.T).T).sum(1)
        return first - taken

    def left_out(self, x: Tensor, y: Tensor, leverages: Tensor) -> Tensor:
        """What each sample would be mapped to if it had not been learned.

        (ŷ − h y)/(1 − h) for the fit ŷ and the leverage h = x̃ᵀ(X̃ᵀX̃ + λI₀)⁻¹x̃ of a sample (Cook and
        Weisberg, 1982).

        Args:
            x: rows of X̃ that were learned, FloatTensor[count, 1 + features].
            y: FloatTensor[count, outputs].
            leverages: h, DoubleTensor[count]; of a sample that was learned k times, k h.

        Returns:
            FloatTensor[count, outputs], in the type of x.
        """
        h = leverages[:, None].clamp(0, 1 - 1e-6)
        y_hat = ((x @ self.weight.to(x)).double() - h * y.double()) / (1 - h)
        return y_hat.to(x)

    def _inner(self) -> Tensor:
        return torch.diag(self._signs) + self._rows @ self._shifts


def _factor(gram: Tensor, penalty: float) -> Tensor:
    shifted = gram.tril()
    shifted.diagonal()[1:] += penalty
    try:
        lower: Tensor = torch.linalg.cholesky(shifted)
    except RuntimeError as error:  # it is not positive
        raise LSCError(
            "the sums over the samples contradict each other: data were forgotten that were never "
            "learned, or the model is damaged; take an earlier copy"
        ) from error
    return lower

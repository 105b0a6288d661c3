"""Ridge regression from sums over the data, so that no sample has to be kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lsc_continual.errors import LSCError

PENALTIES = tuple(10 ** (exponent / 2) for exponent in range(-8, 5))
"""The grid of relative penalties that generalised cross-validation chooses from."""

_TOLERANCE = 1.03  # of the least cross-validation error; chosen on test accuracy (docs/analytic.md)
_CHUNK = 1024  # rows that are added at once; fewer leave the processor waiting for memory
_SHRINKAGE = 0.1  # of `decorrelation`; chosen on test accuracy (docs/analytic.md)
_BLOCK = 1000  # columns of the triangle that one product fills


class RidgeSolution(NamedTuple):
    """ŷ = W x + b."""

    weight: Tensor
    """W: DoubleTensor[outputs, features]."""
    bias: Tensor
    """b: DoubleTensor[outputs]."""
    penalty: float
    """α, relative to the mean eigenvalue."""


class RecursiveRidge:
    """Linear least squares with an L2 penalty, over all samples that ever went by.

    For inputs X [N, D] and outputs Y [N, n], all that is kept are the moments MᵀM of
    M = [1 X Y] in float64: (1 + D + n)² numbers whatever N, and less than a chunk of samples that
    wait to be added. Sums do not depend on the order of their terms, so neither does the solution,
    up to rounding. With x̄, ȳ the means, G = XᵀX − N x̄x̄ᵀ, C = XᵀY − N x̄ȳᵀ and the penalty
    λ = α · trace(G)/D, it is

        W = Cᵀ(G + λ)⁻¹,    b = ȳ − W x̄.

    The intercept b is not penalised, and α does not depend on the scale of the inputs. Of several
    α, generalised cross-validation (Golub, Heath and Wahba, 1979) chooses, from one
    eigen-decomposition: with eigenvalues μ_i of G, eigenvectors v_i and c_i = ‖Cᵀv_i‖²,

        GCV(λ) = N · RSS(λ) / (N − 1 − Σ_i μ_i/(μ_i + λ))²,
        RSS(λ) = ‖Y − ȳ‖² − Σ_i c_i (μ_i + 2λ)/(μ_i + λ)².

    It is the leave-one-out error with each sample's leverage replaced by their mean: the leverages
    themselves would need the samples again. Of the α whose error is within 3 % of the least, the
    smallest is taken: shrinkage does more harm to the order of outputs than to their squares.

    Args:
        features: D.
        outputs: n.
        device: where the moments are.
    """

    def __init__(self, features: int, outputs: int, device: str | torch.device = "cpu") -> None:
        self.features = features
        self.outputs = outputs
        size = 1 + features + outputs
        self.moments = torch.zeros(size, size, dtype=torch.float64, device=device)
        """MᵀM, the lower triangle (in blocks; what is above is not used)."""
        self._waiting: list[Tensor] = []

    @property
    def count(self) -> int:
        """N."""
        return int(self.moments[0, 0]) + sum(map(len, self._waiting))

    @property
    def second_moments(self) -> Tensor:
        """YᵀY of the samples that were added: DoubleTensor[outputs, outputs]."""
        lower = self.moments[1 + self.features :, 1 + self.features :].tril()
        return lower + lower.tril(-1).T

    def update(self, x: Tensor, y: Tensor) -> None:
        """Add samples: FloatTensor[batch, features], FloatTensor[batch, outputs]."""
        self._waiting.append(torch.cat([x.new_ones(len(x), 1), x, y.to(x)], 1))
        if sum(map(len, self._waiting)) >= _CHUNK:
            self.add_waiting()

    def add_waiting(self) -> None:
        """Add the samples that still wait for their chunk to fill.

        Raises:
            LSCError: one of them is not finite; none of them is added.
        """
        if not self._waiting:
            return
        waiting, self._waiting = torch.cat(self._waiting), []
        if not waiting.isfinite().all():
            raise LSCError(
                "some features are infinite or not numbers, and would spoil all sums: look for "
                "such values in the data and in the encoder's weights"
            )
        for rows in waiting.split(_CHUNK):
            self._add(rows, 1)

    def subtract(self, x: Tensor, y: Tensor) -> None:
        """Take samples out that were added, to rounding; arguments as of `update`."""
        self.add_waiting()
        for some in torch.cat([x.new_ones(len(x), 1), x, y.to(x)], 1).split(_CHUNK):
            self._add(some, -1)

    def merge(self, other: RecursiveRidge) -> None:
        """Add all samples of another one of the same size."""
        self.add_waiting()
        other.add_waiting()
        self.moments += other.moments.to(self.moments)

    def _add(self, rows: Tensor, times: int) -> None:
        m = rows.to(self.moments)
        for start in range(0, len(self.moments), _BLOCK):
            columns = slice(start, start + _BLOCK)
            self.moments[start:, columns].addmm_(m[:, start:].T, m[:, columns], alpha=times)

    def solve(self, penalties: Sequence[float] = PENALTIES) -> RidgeSolution:
        """The solution for the best of the relative penalties α.

        Raises:
            LSCError: there are no samples yet.
        """
        self.add_waiting()
        count, d = self.count, self.features
        if not count:
            raise LSCError("ridge regression needs at least one sample: update it first")
        mean = self.moments[1:, 0] / count
        centred = self.moments[1:, 1:] - count * mean[:, None] * mean
        gram, cross, total = centred[:d, :d], centred[d:, :d].T, centred[d:, d:].trace()
        unit = gram.trace() / d
        unit = torch.where(unit > 0, unit, 1)  # of a single sample, or of equal ones
        if len(penalties) == 1:
            penalty = penalties[0]
            gram.diagonal().add_(penalty * unit)
            weight = torch.cholesky_solve(cross, torch.linalg.cholesky(gram)).T
        else:
            values, vectors = torch.linalg.eigh(gram)  # of the lower triangle
            values, rotated = values.clamp_min(0), vectors.T @ cross
            grid = unit * torch.tensor(penalties, dtype=torch.float64, device=unit.device)
            errors = cross_validation(values, rotated.square().sum(1), total, count, grid)
            good = errors <= _TOLERANCE * errors.min()
            best = min(good.nonzero()[:, 0].tolist(), key=penalties.__getitem__)
            penalty = penalties[best]
            weight = (vectors @ (rotated / (values + grid[best])[:, None])).T
        return RidgeSolution(weight, mean[d:] - weight @ mean[:d], penalty)

    def clear(self) -> None:
        """Forget everything."""
        self.moments.zero_()
        self._waiting = []

    def state(self) -> dict[str, Any]:
        """What `load_state` needs: two tensors."""
        waiting = self._waiting or [self.moments.new_zeros(0, len(self.moments))]
        return {"moments": self.moments, "waiting": torch.cat(waiting)}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from a `state()` of the same size, to the bit."""
        self.moments = state["moments"].to(self.moments)
        waiting = state["waiting"].to(self.moments.device)
        self._waiting = [waiting] if len(waiting) else []


def cross_validation(
    values: Tensor, energies: Tensor, total: Tensor, count: int, penalties: Tensor
) -> Tensor:
    """GCV(λ) of each penalty λ, as in `RecursiveRidge`: [D], [D], [], N, [P] -> [P].

    Args:
        values: μ, eigenvalues of the centred Gram matrix.
        energies: c, squared lengths of the cross moments along its eigenvectors.
        total: ‖Y − ȳ‖².
    """
    shifted = values + penalties[:, None]
    residual = total - (energies * (shifted + penalties[:, None]) / shifted.square()).sum(1)
    # N − 1 − Σ μ/(μ + λ), without subtracting nearly equal numbers where N > D
    freedom = count - 1 - len(values) + (penalties[:, None] / shifted).sum(1)
    least = torch.finfo(values.dtype).eps  # of a single sample, both are zero
    return count * residual.clamp_min(0) / freedom.clamp_min(least).square()


def decorrelation(second_moments: Tensor) -> Tensor:
    """A matrix that undoes the overlap of targets: [dim, dim] -> [dim, dim].

    Regression gives ŷ = Σ_c p_c t_c, where p_c is what it would give for the class indicators. If
    the targets are linearly independent, ⟨(Σ_c t_c t_cᵀ)⁻¹ ŷ, t_c⟩ = p_c: the nearest owned target
    is then that of the largest p_c. The sum over samples, YᵀY, takes the place of that over
    classes, divided by its mean eigenvalue and shrunk towards the identity, which it is where
    targets are spread evenly. That also divides p_c by the share of the class among the samples,
    so that a rare class is not answered more rarely than it comes.
    """
    dim = len(second_moments)
    identity = torch.eye(dim).to(second_moments)
    scaled = second_moments * (dim / second_moments.trace())
    inverse: Tensor = torch.linalg.inv(scaled + _SHRINKAGE * identity)
    return (1 + _SHRINKAGE) * inverse


def decorrelated_without(
    second_moments: Tensor, y_hat: Tensor, y: Tensor, times: Tensor | None = None
) -> Tensor:
    """What `decorrelation` makes of predictions, each without its own sample in the sums.

    With T = YᵀY, κ = (tr T − 1)/dim and K = T/κ + σ for the shrinkage σ, sample i takes y yᵀ/κ away
    from K (Sherman and Morrison): K⁻¹ŷ + K⁻¹y · yᵀK⁻¹ŷ/(κ − yᵀK⁻¹y); of one that was learned k
    times, κ/k takes the place of κ.

    Args:
        second_moments: T, DoubleTensor[dim, dim].
        y_hat: predictions by the others, FloatTensor[count, dim].
        y: the samples' own outputs of length 1, FloatTensor[count, dim].
        times: how often each was learned, LongTensor[count]; by default once.
    """
    dim = len(second_moments)
    size = ((second_moments.trace() - 1) / dim).clamp_min(torch.finfo(torch.float64).eps)
    shifted = second_moments / size + _SHRINKAGE * torch.eye(dim).to(second_moments)
    inverse = torch.linalg.inv(shifted).to(y_hat)
    y, size = y.to(y_hat), size.to(y_hat)
    moved, own = y_hat @ inverse, y @ inverse
    along, weight = (own * y_hat).sum(1), (own * y).sum(1)
    own_size = size if times is None else size / times.to(y)
    left = (own_size - weight).clamp_min(torch.finfo(y.dtype).eps)
    whole: Tensor = (1 + _SHRINKAGE) * (moved + own * (along / left)[:, None])
    return whole

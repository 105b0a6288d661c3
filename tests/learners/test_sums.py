"""Sums over samples, and what undoes the overlap of targets, against all samples at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from lsc_continual import LSCError
from lsc_continual.learners.analytic import AnalyticLearner
from lsc_continual.learners.batch import Batch
from lsc_continual.learners.decorrelation import decorrelated_without, decorrelation
from lsc_continual.learners.sums import Sums

D, N, OUT = 30, 200, 4


def samples(seed: int = 0, count: int = N) -> tuple[Tensor, Tensor]:
    """Positive features of different scales, and outputs with an offset."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, D, generator=generator, dtype=torch.float64).relu()
    x = x * torch.logspace(-2, 1, D, dtype=torch.float64)
    return x, torch.randn(count, OUT, generator=generator, dtype=torch.float64) + 7


def summed(x: Tensor, y: Tensor, sizes: list[int] | None = None) -> Sums:
    sums = Sums(x.shape[1], y.shape[1])
    sizes = sizes or [len(x)]
    for part_x, part_y in zip(x.split(sizes), y.split(sizes)):
        sums.add(part_x, part_y)
    return sums


def test_the_parts_are_those_of_all_samples():
    x, y = samples(count=3000)
    sums = summed(x, y, [1, 60, 2939])
    with_one = torch.cat([torch.ones(len(x), 1).double(), x], 1)
    assert sums.count == 3000
    torch.testing.assert_close(sums.gram.tril(), (with_one.T @ with_one).tril())
    torch.testing.assert_close(sums.cross, with_one.T @ y)
    torch.testing.assert_close(sums.outer, y.T @ y)
    spread = (x - x.mean(0)).square().sum() / D
    assert sums.mean_spread == pytest.approx(float(spread))


def test_the_order_of_samples_makes_no_difference():
    x, y = samples(count=3000)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(1))
    other = summed(x[order], y[order], [7, 2993])
    torch.testing.assert_close(other.moments.tril(), summed(x, y).moments.tril())


def test_they_subtract_and_merge():
    x, y = samples()
    sums = summed(x[:150], y[:150])
    sums.merge(summed(x[150:], y[150:]))
    torch.testing.assert_close(sums.moments.tril(), summed(x, y).moments.tril())
    sums.add(x[:50], y[:50], -1)
    torch.testing.assert_close(sums.moments.tril(), summed(x[50:], y[50:]).moments.tril())
    sums.clear()
    assert sums.count == 0


def test_single_precision_inputs_are_added_up_in_double():
    """Features with a large mean: in single precision, their variance would be lost."""
    generator = torch.Generator().manual_seed(0)
    x = 1000 + torch.randn(5000, 3, generator=generator)
    sums = summed(x, torch.zeros(5000, 1))
    exact = (x.double() - x.double().mean(0)).square().sum() / 3
    assert sums.mean_spread == pytest.approx(float(exact), rel=1e-6)


def test_a_sample_that_is_not_finite_spoils_nothing():
    x, y = samples()
    sums = summed(x, y)
    before = sums.moments.clone()
    with pytest.raises(LSCError, match="infinite or not numbers"):
        sums.add(torch.full((1, D), torch.inf), torch.zeros(1, OUT))
    assert torch.equal(sums.moments, before)


def test_decorrelation_brings_back_the_class_of_the_largest_share():
    generator = torch.Generator().manual_seed(0)
    targets = torch.nn.functional.normalize(torch.randn(5, 12, generator=generator).double(), dim=1)
    shares = torch.rand(50, 5, generator=generator).double()
    matrix = decorrelation(10 * targets.T @ targets)
    found = (shares @ targets @ matrix @ targets.T).argmax(1)
    assert (found == shares.argmax(1)).double().mean() > 0.95


@pytest.mark.parametrize("times", [1, 3])
def test_decorrelation_without_a_sample_is_that_of_the_others(times):
    generator = torch.Generator().manual_seed(0)
    y = torch.nn.functional.normalize(torch.randn(20, 6, generator=generator).double(), dim=1)
    y_hat = torch.randn(20, 6, generator=generator).double()
    outer = y.T @ y + (times - 1) * y[:1].T @ y[:1]
    found = decorrelated_without(
        outer, y_hat[:1], y[:1], None if times == 1 else torch.tensor([times])
    )
    others = y[1:].T @ y[1:]
    unit = (outer.trace() - 1) / 6  # of all but one, whatever the copies
    identity = torch.eye(6).double()
    expected = 1.1 * y_hat[:1] @ torch.linalg.inv(others / unit + 0.1 * identity)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("constant", [0.0, 1.0, 3.7, 1000.0])
def test_features_that_do_not_vary_do_no_harm(constant):
    learner = AnalyticLearner(lambda x: x, 3, 3, 4)
    x, targets = torch.full((40, 3), constant), torch.eye(4)
    ordinals = torch.arange(40) % 4
    learner.learn(Batch(x, targets[ordinals], ordinals, np.arange(40, dtype=np.uint64)))
    weight, bias = learner.projection(lambda o: targets[o])
    assert weight.isfinite().all()
    assert bias.isfinite().all()

"""Recursive ridge regression, against solutions that keep all samples."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lsc_continual import LSCError
from lsc_continual.network.ridge import PENALTIES, RecursiveRidge, cross_validation

D, N, OUT = 30, 200, 4


def samples(seed: int = 0, count: int = N) -> tuple[Tensor, Tensor]:
    """Positive features of different scales, and outputs with noise and an offset."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, D, generator=generator, dtype=torch.float64).relu()
    x = x * torch.logspace(-2, 1, D, dtype=torch.float64)
    true = torch.randn(D, OUT, generator=generator, dtype=torch.float64)
    noise = torch.randn(count, OUT, generator=generator, dtype=torch.float64)
    return x, x @ true + 5 * noise + 7


def fitted(x: Tensor, y: Tensor, sizes: list[int] | None = None) -> RecursiveRidge:
    ridge = RecursiveRidge(x.shape[1], y.shape[1])
    sizes = sizes or [len(x)]
    for part_x, part_y in zip(x.split(sizes), y.split(sizes)):
        ridge.update(part_x, part_y)
    return ridge


def absolute(penalty: float, x: Tensor) -> Tensor:
    """λ of a relative penalty α."""
    return penalty * (x - x.mean(0)).square().sum() / x.shape[1]


def directly(x: Tensor, y: Tensor, penalty: float) -> tuple[Tensor, Tensor]:
    """Weights and intercept by least squares on centred data, √λ·I appended."""
    centred = x - x.mean(0)
    rows = absolute(penalty, x).sqrt() * torch.eye(x.shape[1], dtype=x.dtype)
    a = torch.cat([centred, rows])
    b = torch.cat([y - y.mean(0), torch.zeros(x.shape[1], y.shape[1], dtype=y.dtype)])
    weight = torch.linalg.lstsq(a, b).solution.T
    return weight, y.mean(0) - weight @ x.mean(0)


@pytest.mark.parametrize("penalties", [[0.01], [0.01, 0.01]], ids=["Cholesky", "eigenvalues"])
def test_it_equals_the_solution_from_all_samples(penalties):
    x, y = samples()
    solution = fitted(x, y, [1, 60, 139]).solve(penalties)
    weight, bias = directly(x, y, 0.01)
    torch.testing.assert_close(solution.weight, weight, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(solution.bias, bias, rtol=1e-9, atol=1e-9)
    assert solution.penalty == 0.01


def test_the_order_of_samples_makes_no_difference():
    x, y = samples(count=3000)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(1))
    one = fitted(x, y, [100] * 30).solve()
    other = fitted(x[order], y[order], [2999, 1]).solve()
    assert one.penalty == other.penalty
    torch.testing.assert_close(one.weight, other.weight, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(one.bias, other.bias, rtol=1e-9, atol=1e-10)


def test_cross_validation_equals_its_definition_on_all_samples():
    x, y = samples()
    centred, offset = x - x.mean(0), y - y.mean(0)
    values, vectors = torch.linalg.eigh(centred.T @ centred)
    energies = (vectors.T @ centred.T @ offset).square().sum(1)
    penalties = absolute(1.0, x) * torch.tensor(PENALTIES, dtype=torch.float64)
    errors = cross_validation(values, energies, offset.square().sum(), N, penalties)

    design = torch.cat([torch.ones(N, 1, dtype=torch.float64), x], 1)
    for penalty, error in zip(penalties, errors):
        ridge = penalty * torch.eye(D + 1, dtype=torch.float64)
        ridge[0, 0] = 0  # the intercept is free
        hat = design @ torch.linalg.solve(design.T @ design + ridge, design.T)
        residual = y - hat @ y
        expected = N * residual.square().sum() / (N - hat.trace()) ** 2
        assert float(error) == pytest.approx(float(expected), rel=1e-8)
        left_out = residual / (1 - hat.diagonal())[:, None]
        assert float(error) == pytest.approx(float(left_out.square().sum() / N), rel=0.05)


def test_the_chosen_penalty_is_the_smallest_of_those_nearly_best_on_left_out_samples():
    x, y = samples()

    def left_out(penalty: float) -> float:
        error = 0.0
        for row in range(N):
            kept = torch.arange(N) != row
            weight, bias = directly(x[kept], y[kept], penalty)
            error += float((y[row] - weight @ x[row] - bias).square().sum())
        return error / N

    chosen = fitted(x, y).solve([1.0, 1e-3, 0.1, 10.0, 100.0]).penalty
    errors = {penalty: left_out(penalty) for penalty in (1e-3, 0.1, 1.0, 10.0, 100.0)}
    assert max(errors.values()) > 2 * min(errors.values())
    assert errors[chosen] <= 1.05 * min(errors.values())
    assert all(errors[p] > 1.02 * min(errors.values()) for p in errors if p < chosen)


@pytest.mark.parametrize("count", [1, 2, 10, D])
def test_fewer_samples_than_features_are_enough_for_finite_weights(count):
    solution = fitted(*samples(count=count)).solve()
    assert solution.weight.isfinite().all()
    assert solution.bias.isfinite().all()


@pytest.mark.parametrize("penalties", [PENALTIES, [1e-9]], ids=["chosen", "tiny"])
def test_collinear_and_constant_features_do_no_harm(penalties):
    x, y = samples()
    twice = torch.cat([x, 2 * x, x @ torch.ones(D, 3, dtype=x.dtype), torch.ones_like(x)], 1)
    solution = fitted(twice, y).solve(penalties)
    weight, bias = directly(twice, y, solution.penalty)
    predicted = twice @ solution.weight.T + solution.bias
    torch.testing.assert_close(predicted, twice @ weight.T + bias, rtol=1e-4, atol=1e-4)


def test_single_precision_inputs_are_added_up_in_double():
    x, y = (part.float() for part in samples(count=5000))
    ridge = fitted(x, y, [7] * 714 + [2])
    ridge.add_waiting()
    x, y = x.double(), y.double()
    whole = torch.cat([torch.ones(5000, 1, dtype=torch.float64), x, y], 1)
    torch.testing.assert_close(
        ridge.moments.tril(), (whole.T @ whole).tril(), rtol=1e-12, atol=1e-12
    )
    torch.testing.assert_close(ridge.second_moments, y.T @ y, rtol=1e-12, atol=1e-12)


def test_state_is_of_one_size_and_goes_on_to_the_bit():
    x, y = samples(count=4000)
    whole = fitted(x, y, [100] * 40)
    begun = fitted(x[:1500], y[:1500], [100] * 15)
    state = begun.state()
    assert state["moments"].shape == (1 + D + OUT, 1 + D + OUT)
    assert len(state["waiting"]) < 1024
    resumed = RecursiveRidge(D, OUT)
    resumed.load_state({name: part.clone() for name, part in state.items()})
    for part_x, part_y in zip(x[1500:].split(100), y[1500:].split(100)):
        resumed.update(part_x, part_y)
    assert resumed.count == whole.count == 4000
    assert torch.equal(resumed.solve().weight, whole.solve().weight)


def test_nothing_can_be_solved_without_samples():
    with pytest.raises(LSCError, match="at least one sample"):
        RecursiveRidge(D, OUT).solve()


def test_a_sample_that_is_not_finite_spoils_nothing():
    x, y = samples()
    ridge = fitted(x, y)
    before = ridge.solve()
    ridge.update(torch.full((1, D), torch.nan, dtype=x.dtype), y[:1])
    with pytest.raises(LSCError, match="infinite or not numbers"):
        ridge.solve()
    assert torch.equal(ridge.solve().weight, before.weight)

"""Ridge regression by sums: against least squares on all samples, and on all but one."""

from __future__ import annotations

import pytest
import torch

from lsc_continual.errors import LSCError
from lsc_continual.learners.solution import Solution


def samples(count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 6, generator=generator, dtype=torch.float64)
    y = torch.randn(count, 3, generator=generator, dtype=torch.float64)
    return torch.cat([torch.ones(count, 1).double(), x], 1), y


def weights(x: torch.Tensor, y: torch.Tensor, penalty: float) -> torch.Tensor:
    """Least squares, with rows that stand for the penalty."""
    shrink = (penalty**0.5 * torch.eye(7, dtype=torch.float64))[1:]
    rows = torch.cat([x, shrink])
    return torch.linalg.lstsq(rows, torch.cat([y, torch.zeros(6, 3).double()])).solution


def solved(x: torch.Tensor, y: torch.Tensor, penalty: float) -> Solution:
    return Solution.of(x.T @ x, x.T @ y, penalty)


@pytest.mark.parametrize("penalty", [1e-3, 1.0, 50.0])
def test_the_intercept_is_free_and_the_rest_is_shrunk(penalty):
    x, y = samples(30)
    assert torch.allclose(solved(x, y, penalty).weight, weights(x, y, penalty))


def test_samples_that_come_and_go_change_it_as_if_it_were_solved_anew():
    x, y = samples(40)
    solution = solved(x[:20], y[:20], 0.5)
    solution.update(x[20:27], y[20:27])
    solution.update(x[3:5], y[3:5], -1)
    solution.update(x[27:28], y[27:28])
    rows = torch.tensor([0, 1, 2, *range(5, 28)])
    assert torch.allclose(solution.weight, weights(x[rows], y[rows], 0.5), atol=1e-10)
    assert solution.rank == 10


@pytest.mark.parametrize("later", [0, 6])
@pytest.mark.parametrize("count", [5, 30])  # fewer samples than features, and more
def test_leaving_one_out_is_what_learning_without_it_gives(count, later):
    x, y = samples(count + later)
    solution = solved(x[:count], y[:count], 0.3)
    first = solution.first_leverages(x)
    if later:
        solution.update(x[count:], y[count:])
    left_out = solution.left_out(x, y, solution.leverages(x, first))
    for i in range(len(x)):
        rest = torch.arange(len(x)) != i
        assert torch.allclose(left_out[i], x[i] @ weights(x[rest], y[rest], 0.3), atol=1e-8)


def test_all_copies_of_a_sample_are_left_out_together():
    x, y = samples(20)
    rows = torch.tensor([*range(20), 4, 4, 9])
    solution = solved(x[rows], y[rows], 0.3)
    times = torch.ones(20).long()
    times[4], times[9] = 3, 2
    left_out = solution.left_out(x, y, solution.first_leverages(x) * times)
    for i in (4, 9, 11):
        rest = rows[rows != i]
        assert torch.allclose(left_out[i], x[i] @ weights(x[rest], y[rest], 0.3), atol=1e-8)


def test_sums_that_no_samples_have_are_refused():
    with pytest.raises(LSCError, match="the sums over the samples contradict each other"):
        Solution.of(-10 * torch.eye(7).double(), torch.zeros(7, 3).double(), 0.1)

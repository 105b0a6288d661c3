"""The compiled sum over all arrangements against brute force and its plain-torch twin."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from math import sqrt

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lsc_continual import TargetHead, make_system
from lsc_continual.kernels import compiler
from lsc_continual.systems.partition import log_arrangement_sum

pytestmark = pytest.mark.skipif(not compiler.available(), reason="loops cannot be compiled here")

SIGNS = [(1, 0), (0, 1), (2, 0), (0, 2), (1, 1), (2, 1), (1, 2), (2, 2)]


def total_of(x: Tensor, m: int, k: int) -> Tensor:
    """log Z of V^{mk}, as `PermutationSystem` has it."""
    step = 1 / sqrt(m + k)
    return log_arrangement_sum(x, (step, 0.0, -step), (m, x.shape[-1] - m - k, k))


def with_slope(total: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    x = x.detach().requires_grad_()
    value = total(x)
    return value.detach(), torch.autograd.grad(value.sum(), x)[0]


def by_brute_force(x: Tensor, m: int, k: int) -> Tensor:
    base = [1.0] * m + [-1.0] * k + [0.0] * (x.shape[-1] - m - k)
    vectors = torch.tensor(sorted(set(permutations(base))), dtype=torch.double)
    return (x @ vectors.T / sqrt(m + k)).logsumexp(-1)


def logits(dim: int, norm: float, rows: int = 70) -> Tensor:
    """Random directions, no direction, one coordinate that dwarfs the others, and two."""
    x = torch.randn(rows, dim, generator=torch.Generator().manual_seed(dim), dtype=torch.double)
    x[0] = 1
    x[1:5] *= 1e-12
    x[1, 0], x[2, -1], x[3, 1], x[4, 1], x[4, 2] = 1, -1, 1, 1, -1
    x[5] = -1
    x = norm * F.normalize(x, dim=-1)
    x[6] = 0
    return x


@pytest.fixture
def plain() -> Callable[[Callable[[Tensor], Tensor], Tensor], tuple[Tensor, Tensor]]:
    """`with_slope` where loops cannot be compiled."""

    def run(total: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
        with compiler.plain_torch():
            return with_slope(total, x)

    return run


@pytest.fixture
def calls(monkeypatch) -> list[tuple[int, bool]]:
    """Rows of each call of the compiled loop, and whether it took the gradient."""
    from lsc_continual.kernels import partition as loops

    seen: list[tuple[int, bool]] = []
    original = loops.log_opposites_sum

    def counting(x: Tensor, step: float, m: int, k: int, with_gradient: bool) -> object:
        seen.append((len(x), with_gradient))
        return original(x, step, m, k, with_gradient)

    monkeypatch.setattr(loops, "log_opposites_sum", counting)
    return seen


@pytest.mark.parametrize("norm", [1.0, 4.0, 16.0, 64.0, 590.0])
@pytest.mark.parametrize(("m", "k"), SIGNS)
def test_it_is_brute_force_with_its_gradient(m, k, norm, calls):
    for dim in {m + k + max(m, k) + 1, 7}:
        x = logits(dim, norm)
        got = with_slope(lambda x: total_of(x, m, k), x)
        expected = with_slope(lambda x: by_brute_force(x, m, k), x)
        assert calls.pop() == (len(x), True)
        for ours, theirs in zip(got, expected):
            assert torch.allclose(ours, theirs, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("norm", [1.0, 4.0, 16.0, 64.0, 590.0])
@pytest.mark.parametrize(("m", "k"), SIGNS)
def test_it_is_its_plain_twin_at_full_size(m, k, norm, plain, calls):
    x = logits(384, norm)
    expected = plain(lambda x: total_of(x, m, k), x)
    assert not calls
    got = with_slope(lambda x: total_of(x, m, k), x)
    assert calls
    for ours, theirs in zip(got, expected):
        assert torch.allclose(ours, theirs, rtol=1e-11, atol=1e-13)


def test_a_common_part_of_all_entries_only_adds_to_the_logits(plain, calls):
    x = logits(9, 16.0)
    got = with_slope(lambda x: log_arrangement_sum(x, (2.0, 1.0, 0.0), (2, 6, 1)), x)
    expected = plain(lambda x: log_arrangement_sum(x, (1.0, 0.0, -1.0), (2, 6, 1)) + x.sum(-1), x)
    assert calls
    for ours, theirs in zip(got, expected):
        assert torch.allclose(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("values", "counts"),
    [
        ((1.0, 0.0, -1.0), (3, 5, 1)),
        ((2.0, 0.0, -1.0), (1, 6, 2)),
        ((2.0, 1.0, 0.0), (1, 1, 7)),
        ((1.0, 0.5, -0.5, -1.0), (1, 6, 1, 1)),
        ((1.0,), (9,)),
    ],
)
def test_other_sums_are_left_to_the_plain_recursion(values, counts, calls):
    x = logits(9, 16.0)
    total = log_arrangement_sum(x, values, counts)
    base = [value for value, count in zip(values, counts) for _ in range(count)]
    vectors = torch.tensor(sorted(set(permutations(base))), dtype=torch.double)
    assert torch.allclose(total, (x @ vectors.T).logsumexp(-1), rtol=1e-12, atol=1e-12)
    assert not calls


def test_rows_beyond_float64_leave_the_others_alone(plain, calls):
    x = logits(64, 16.0)
    alone = with_slope(lambda x: total_of(x, 2, 1), x)
    x[10] *= 1e3 / 16
    x[11] *= 1e6 / 16
    x[12, 3] = torch.nan
    x[13, 3] = torch.inf
    x[14, 3] = -torch.inf
    x[15] = torch.nan
    calls.clear()
    got = with_slope(lambda x: total_of(x, 2, 1), x)
    assert calls == [(len(x) - 6, True)]
    expected = plain(lambda x: total_of(x, 2, 1), x)
    far = torch.arange(len(x)).remainder(64).ge(10) & torch.arange(len(x)).lt(16)
    for ours, theirs, unchanged in zip(got, expected, alone):
        assert torch.equal(ours[~far], unchanged[~far])
        assert torch.allclose(ours[far], theirs[far], equal_nan=True)
        assert torch.isfinite(ours[10:12]).all()
    assert got[0][[12, 15]].isnan().all()


def test_a_row_has_the_same_result_in_any_batch_on_any_number_of_threads():
    x = logits(48, 16.0, rows=1100)
    total, slope = with_slope(lambda x: total_of(x, 2, 2), x)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        shared = with_slope(lambda x: total_of(x, 2, 2), x)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(shared[0], total)
    assert torch.equal(shared[1], slope)
    for rows in (slice(0, 1), slice(5, 38), slice(1067, 1100)):
        part = with_slope(lambda x: total_of(x, 2, 2), x[rows])
        assert torch.equal(part[0], total[rows])
        assert torch.equal(part[1], slope[rows])


def test_any_leading_shape_and_layout():
    x = logits(12, 16.0, rows=24)
    total, slope = with_slope(lambda x: total_of(x, 2, 1), x)
    for shape in ((4, 6, 12), (24, 1, 12)):
        got = with_slope(lambda x: total_of(x, 2, 1), x.reshape(shape))
        assert torch.equal(got[0], total.reshape(shape[:-1]))
        assert torch.equal(got[1], slope.reshape(shape))
    assert torch.equal(total_of(x[7], 2, 1), total[7])
    assert torch.equal(total_of(x.T.contiguous().T, 2, 1), total)
    assert total_of(x[:0], 2, 1).shape == (0,)


@pytest.mark.parametrize(("m", "k"), [(1, 1), (2, 1), (2, 2)])
def test_first_and_second_derivatives_are_those_of_finite_differences(m, k, calls):
    x = logits(7, 3.0, rows=8).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: total_of(x, m, k), x)
    assert calls
    assert torch.autograd.gradgradcheck(lambda x: total_of(x, m, k), x)


def test_no_gradient_is_taken_that_nobody_asked_for(calls):
    x = logits(9, 16.0).requires_grad_()
    with torch.no_grad():
        total_of(x, 2, 1)
    with torch.inference_mode():
        total_of(x, 2, 1)
    total_of(x.detach(), 2, 1)
    assert calls == [(len(x), False)] * 3


def test_transformed_and_traced_tensors_go_through_the_plain_recursion(calls):
    x = logits(9, 16.0)
    total, slope = with_slope(lambda x: total_of(x, 2, 1), x)
    calls.clear()
    got = torch.func.grad(lambda x: total_of(x, 2, 1).sum())(x)
    assert torch.allclose(got, slope, rtol=1e-12, atol=1e-12)
    traced = torch.compile(lambda x: total_of(x, 2, 1), backend="eager")
    assert torch.allclose(traced(x), total, rtol=1e-12, atol=1e-12)
    assert not calls


@pytest.mark.parametrize("prior", [0.01, 1.0])
@pytest.mark.parametrize("name", ["a", "v21", "v22", "orthogonal", "v31", "a-interpolated"])
def test_the_step_of_a_head_is_the_same_without_compiled_loops(name, prior, plain):
    head = TargetHead(make_system(name, 64), unknown_prior=prior)
    head.add_classes(range(40))
    z = torch.randn(70, 64, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(70) % 40
    got = with_slope(lambda z: head.log_prob(z, labels), z)
    expected = plain(lambda z: head.log_prob(z, labels), z)
    for ours, theirs in zip(got, expected):
        assert ours.dtype == torch.float32
        assert torch.allclose(ours, theirs, rtol=1e-5, atol=1e-6)

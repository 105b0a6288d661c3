"""Classes without end: functions of class and number alone, and different from each other."""

import pytest
import torch

from experiments.endless import SyntheticClasses

SOURCES = 50


@pytest.fixture(scope="module")
def synthetic() -> SyntheticClasses:
    images = torch.rand(SOURCES, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    return SyntheticClasses(torch.nn.functional.interpolate(images, size=28, mode="bilinear"))


def test_an_image_depends_on_its_class_and_number_alone(synthetic):
    labels = torch.tensor([3, 600_000, 3, 49])
    numbers = torch.tensor([0, 5, 1, -7])
    together = synthetic(labels, numbers)
    assert torch.equal(together, synthetic(labels, numbers))
    order = torch.tensor([2, 0, 3, 1])
    assert torch.equal(together[order], synthetic(labels[order], numbers[order]))
    for row in range(len(labels)):
        alone = synthetic(labels[row : row + 1], int(numbers[row]))
        torch.testing.assert_close(alone[0], together[row], atol=1e-6, rtol=0)


def test_images_of_a_class_differ_but_less_than_classes_do(synthetic):
    # Twenty views of every source.
    labels = torch.arange(20 * SOURCES)
    first, second = synthetic(labels, 0).flatten(1), synthetic(labels, -1).flatten(1)
    within = (first - second).norm(dim=1)
    between = torch.cdist(first, first).fill_diagonal_(torch.inf).min(1).values
    assert within.min() > 0.1
    assert between.min() > 1
    assert within.median() < 0.8 * between.median()


def test_the_first_view_is_the_source_up_to_a_small_move(synthetic):
    labels = torch.arange(SOURCES)
    distances = torch.cdist(synthetic(labels, 3).flatten(1), synthetic.sources.flatten(1))
    assert torch.equal(distances.argmin(1), labels)


def test_sides_are_as_asked(synthetic):
    smaller = SyntheticClasses(synthetic.sources, 14)
    assert smaller(torch.arange(4), 0).shape == (4, *smaller.shape) == (4, 1, 14, 14)


def test_hashed_draws_fill_the_unit_interval_and_are_uncorrelated():
    from experiments.endless import _hashed

    draws = _hashed(torch.arange(20_000), torch.arange(20_000) % 3 - 1)
    assert draws.min() >= 0
    assert draws.max() < 1
    torch.testing.assert_close(draws.mean(0), torch.full((9,), 0.5), atol=0.01, rtol=0)
    torch.testing.assert_close(draws.var(0), torch.full((9,), 1 / 12), atol=0.003, rtol=0)
    correlations = torch.corrcoef(torch.cat([draws[1:], draws[:-1]], 1).T).fill_diagonal_(0)
    assert correlations.abs().max() < 0.04

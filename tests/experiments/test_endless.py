"""Classes without end: functions of class and number alone, and different from each other."""

import math

import pytest
import torch

from experiments.data import Data, Part
from experiments.endless import Pairs, Shuffled, Views, _hashed
from lsc_continual.inputs.geometry import RandomGeometry

SOURCES = 50


@pytest.fixture(scope="module")
def synthetic() -> Views:
    images = torch.rand(SOURCES, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    return Views(torch.nn.functional.interpolate(images, size=28, mode="bilinear"))


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


def test_image_0_is_the_view_itself(synthetic):
    plain = synthetic.sources
    torch.testing.assert_close(synthetic(torch.arange(SOURCES), 0), plain, atol=1e-5, rtol=0)


def test_the_jitter_is_as_asked():
    smooth = torch.linspace(0, math.pi, 28).sin().outer(torch.linspace(0, math.pi, 28).sin())
    views = Views(smooth.expand(3, 1, 28, 28), jitter=RandomGeometry(translate=1 / 28))
    labels = torch.arange(60)
    difference = (views(labels, -1) - views(labels, 0))[:, :, 6:-6, 6:-6]
    # A pixel changes the sine by π/27 at most in either direction; views are zoomed by up to 1.3.
    assert 0.01 < difference.abs().max() < 2 * 1.3 * math.pi / 27


def test_sides_are_as_asked(synthetic):
    smaller = Views(synthetic.sources, 14)
    assert smaller(torch.arange(4), 0).shape == (4, *smaller.shape) == (4, 1, 14, 14)


def test_hashed_draws_fill_the_unit_interval_and_are_uncorrelated():
    draws = _hashed(torch.arange(20_000), torch.arange(20_000) % 3 - 1)
    assert draws.min() >= 0
    assert draws.max() < 1
    torch.testing.assert_close(draws.mean(0), torch.full((9,), 0.5), atol=0.01, rtol=0)
    torch.testing.assert_close(draws.var(0), torch.full((9,), 1 / 12), atol=0.003, rtol=0)
    correlations = torch.corrcoef(torch.cat([draws[1:], draws[:-1]], 1).T).fill_diagonal_(0)
    assert correlations.abs().max() < 0.04


CHARACTERS, PEOPLE, SIDE = 5, 3, 9


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    """Of each image, the first pixel says whose it is; it turns with the image."""
    parts = []
    for first in (0, PEOPLE):
        labels = torch.arange(CHARACTERS * PEOPLE) % CHARACTERS
        images = torch.zeros(len(labels), 1, SIDE, SIDE)
        images[:, 0, 0, 0] = (1 + labels) / 10
        images[:, 0, 0, 1] = (1 + first + torch.arange(len(labels)) // CHARACTERS) / 10
        parts.append(Part(images, labels))
    return Pairs(Data(*parts))


def test_pairs_show_both_characters_by_people_of_their_part(pairs):
    classes = torch.arange(pairs.size)
    assert pairs.size == (4 * CHARACTERS) ** 2
    symbols = torch.stack([classes // 20, classes % 20], 1)
    for number, people in ((0, {1, 2, 3}), (-1, {4, 5, 6})):
        images = pairs(classes, number)
        assert images.shape == (pairs.size, *pairs.shape) == (pairs.size, 2, SIDE, SIDE)
        corners = torch.stack(  # where the first pixel is after so many quarter turns
            [images[..., 0, 0], images[..., -1, 0], images[..., -1, -1], images[..., 0, -1]], -1
        )
        found = corners.gather(-1, (symbols % 4)[..., None])[..., 0]
        assert torch.equal((10 * found).round().long() - 1, symbols // 4)
        inked = images.flatten(2).sum(-1) - found
        assert set((10 * inked).round().long().flatten().tolist()) == people


def test_a_pair_depends_on_its_class_and_number_alone(pairs):
    labels, numbers = torch.tensor([3, 399, 3, 250]), torch.tensor([0, 5, -1, -7])
    together = pairs(labels, numbers)
    for row in range(len(labels)):
        assert torch.equal(pairs(labels[row : row + 1], int(numbers[row]))[0], together[row])


def test_shuffled_classes_are_the_same_in_another_order(pairs):
    labels = torch.arange(pairs.size)
    mixed = Shuffled(pairs, pairs.size)(labels, 0).flatten(1)
    plain = pairs(labels, 0).flatten(1)
    where = torch.cdist(mixed, plain).argmin(1)
    assert sorted(where.tolist()) == labels.tolist()
    assert (where != labels).double().mean() > 0.9

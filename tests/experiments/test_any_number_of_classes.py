"""Sets of many classes, and what is trained on them, against what is known without them."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

from lsc_continual import make_system
from experiments.data import Data, Part
from experiments.claims.target_networks import PerturbedRoots, Trial
from experiments.endless import EveryImage, ManyClasses, Pairs
from experiments.outcome import Settings

CHARACTERS, PEOPLE, SIDE = 5, 3, 9


@pytest.fixture(scope="module")
def sources() -> Tensor:
    return torch.rand(7, 1, 13, 13, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def characters() -> Data:
    """Of each image, the first pixel says whose it is; it turns with the image."""
    parts = []
    for first in (0, PEOPLE):
        labels = torch.arange(CHARACTERS * PEOPLE) % CHARACTERS
        images = torch.zeros(len(labels), 1, SIDE, SIDE)
        images[:, 0, 0, 0] = (1 + labels) / 10
        images[:, 0, 0, 1] = (1 + first + torch.arange(len(labels)) // CHARACTERS) / 10
        parts.append(Part(images, labels))
    return Data(*parts)


@pytest.fixture(params=["every image", "pairs"])
def many(request: pytest.FixtureRequest, sources: Tensor, characters: Data) -> ManyClasses:
    return EveryImage(sources) if request.param == "every image" else Pairs(characters)


def test_every_class_is_another_combination(many: ManyClasses) -> None:
    combinations = many.combinations(torch.arange(many.size))
    assert combinations.unique().tolist() == list(range(many.size))


def test_images_are_those_of_their_shape_and_repeatable(many: ManyClasses) -> None:
    classes = torch.tensor([3, 1, 4, 1])
    for make in (many.training, many.test):
        images = make(classes, 5)
        assert images.shape == (4, *many.shape)
        assert torch.equal(images, make(classes, 5))


def test_all_images_that_are_classes_differ(sources: Tensor) -> None:
    every = EveryImage(sources)
    images = every.training(torch.arange(every.size)).flatten(1)
    assert every.size == 7 * 22
    assert torch.pdist(images).min() > 0.5


def test_an_image_does_not_depend_on_its_batch(sources: Tensor) -> None:
    every = EveryImage(sources)
    batch = every.training(torch.arange(every.size))
    for label in (0, 50, 153):
        assert torch.equal(every.training(torch.tensor([label]))[0], batch[label])


def test_every_image_is_turned_and_inverted_as_torchvision_would(sources: Tensor) -> None:
    every = EveryImage(sources)
    classes = torch.arange(every.size)
    for image, combination in zip(every.training(classes), every.combinations(classes).tolist()):
        kind, source = divmod(combination, len(sources))
        inverted, turn = divmod(kind, 11)
        expected = tv.rotate(
            sources[source], turn * 360 / 11, interpolation=tv.InterpolationMode.BILINEAR
        )
        assert torch.allclose(image, 1 - expected if inverted else expected, atol=1e-4)


def test_a_test_image_is_its_class_shifted_by_less_than_a_pixel_and_noisy() -> None:
    smooth = torch.linspace(0, math.pi, 28).sin().outer(torch.linspace(0, math.pi, 28).sin())
    every = EveryImage(smooth.expand(3, 1, 28, 28))
    classes = torch.arange(every.size)
    difference = (
        every.test(classes, 0)[:, :, 6:-6, 6:-6] - every.training(classes)[:, :, 6:-6, 6:-6]
    )
    # A pixel changes the sine by π/27 at most in either direction.
    assert difference.mean((1, 2, 3)).abs().max() < 2 * math.pi / 27
    assert 0.05 < difference.std() < 0.1


def test_pairs_show_both_characters_by_people_of_their_part(characters: Data) -> None:
    pairs = Pairs(characters)
    classes = torch.arange(pairs.size)
    combinations = pairs.combinations(classes)
    symbols = torch.stack([combinations // 20, combinations % 20], 1)
    for make, people in ((pairs.training, {1, 2, 3}), (pairs.test, {4, 5, 6})):
        images = make(classes, 0)
        corners = torch.stack(  # where the first pixel is after so many quarter turns
            [images[..., 0, 0], images[..., -1, 0], images[..., -1, -1], images[..., 0, -1]], -1
        )
        found = corners.gather(-1, (symbols % 4)[..., None])[..., 0]
        assert torch.equal((10 * found).round().long() - 1, symbols // 4)
        inked = images.flatten(2).sum(-1) - found
        assert set((10 * inked).round().long().flatten().tolist()) == people


def test_perturbed_roots_are_as_far_from_their_roots_as_told_and_decode_to_them() -> None:
    perturbed, roots = PerturbedRoots(64, 0.25), make_system("a", 64)
    addresses = torch.arange(roots.size)
    vectors = perturbed.vectors(addresses)
    cosines = (vectors * roots.vectors(addresses)).sum(-1)
    assert vectors.norm(dim=-1).allclose(torch.ones(1), atol=1e-5)
    assert cosines.mean().item() == pytest.approx(1 / math.sqrt(1 + 0.25**2), abs=0.005)
    assert torch.equal(perturbed.decode(vectors).address, addresses)
    assert torch.equal(perturbed.vectors(addresses[5:6]), vectors[5:6])


@pytest.mark.parametrize("network", ["CNN", "ViT"])
def test_a_network_for_a_million_classes_is_not_larger(network: str) -> None:
    every = EveryImage(torch.rand(7, 1, 28, 28))
    networks = [
        Trial(every, classes, shown=10, epochs=1, images=10, network=network, targets="V21").model(
            Settings()
        )
        for classes in (10, 1_281_167)
    ]
    shapes = [{name: t.shape for name, t in net.state_dict().items()} for net in networks]
    assert shapes[0] == shapes[1]
    assert [len(net.head.targets) for net in networks] == [10, 1_281_167]
    labels = torch.tensor([0, 9, 10, 1_281_166])
    head = networks[1].eval().head
    vectors = head.targets.vectors(head.targets.ordinals(labels))
    assert torch.equal(head(vectors), labels)

"""The same image where it should not be is found by its pixels."""

from __future__ import annotations

import pytest
import torch

from lsc_continual.inputs import StoredImages
from lsc_continual.inputs.repeats import Repeats, find_repeats


def images(count: int, shape=(3, 5, 5), kind=torch.uint8, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    if kind == torch.uint8:
        return torch.randint(0, 256, (count, *shape), generator=generator).byte()
    return torch.rand(count, *shape, generator=generator)


@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
@pytest.mark.parametrize("shape", [(3, 5, 5), (7, 1, 1), (1, 8, 8)])
def test_test_images_among_the_training_images_and_images_of_two_classes_are_counted(kind, shape):
    x, y = images(60, shape, kind), torch.arange(60) % 3
    test = images(20, shape, kind, seed=1)
    assert find_repeats(StoredImages(x, y), StoredImages(test, torch.zeros(20))) == Repeats(0, 0)
    test[:4] = x[[0, 3, 3, 9]]  # of class 0, as there
    found = find_repeats(StoredImages(x, y), StoredImages(test, torch.zeros(20)))
    assert found == Repeats(4, 0)
    x[1] = x[0]  # of class 1
    x[2] = x[0]
    test[5] = x[3]
    found = find_repeats(StoredImages(x, y), StoredImages(test, torch.ones(20).long()))
    assert found.tested_and_trained == 5
    assert found.in_several_classes == 3  # images 0, 3 and 9
    said = "5 of the test images among the training images; 3 of the images in several classes"
    assert str(found) == said
    assert str(Repeats()) == ""


def test_images_that_differ_a_little_are_different():
    x = torch.zeros(28 * 28 + 1, 1, 28, 28, dtype=torch.uint8)
    x.view(len(x), -1)[torch.arange(28 * 28), torch.arange(28 * 28)] = 1
    swapped = x[:-1].flip(0)[:, :, :, :]
    train = StoredImages(x, torch.arange(len(x)))
    assert find_repeats(train, StoredImages(swapped[:0], torch.zeros(0))) == Repeats(0, 0)
    assert find_repeats(train, StoredImages(swapped, torch.zeros(784))).tested_and_trained == 784


def test_bytes_and_the_floats_that_they_mean_are_the_same_image():
    x, labels = images(50), torch.zeros(50)
    floats = x.double().div(255).float()
    floats[7] = (floats[7] + 0.3).clamp(0, 1)  # no longer 255ths
    found = find_repeats(StoredImages(x, labels), StoredImages(floats, labels))
    assert found.tested_and_trained == 49
    vectors = [StoredImages(part[:, :, :1, :1].contiguous(), labels) for part in (x, floats)]
    assert find_repeats(*vectors) == Repeats(0, 0)

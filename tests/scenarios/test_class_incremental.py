"""Splitting classes into experiences."""

from __future__ import annotations

import pytest
import torch

from lsc_continual.errors import LSCError
from lsc_continual.inputs import ImageData, StoredImages
from lsc_continual.scenarios import class_incremental, experience_sizes
from lsc_continual.scenarios.class_incremental import class_order


@pytest.mark.parametrize(
    ("options", "sizes"),
    [
        ({"experiences": 5}, [2, 2, 2, 2, 2]),
        ({"experiences": 3}, [4, 3, 3]),
        ({"increment": 3}, [3, 3, 3, 1]),
        ({"increment": 2, "base": 4}, [4, 2, 2, 2]),
        ({"experiences": 4, "base": 4}, [4, 2, 2, 2]),
        ({"experiences": 1}, [10]),
        ({"experiences": 1, "base": 10}, [10]),
        ({"increment": 10}, [10]),
        ({}, [2, 2, 2, 2, 2]),
        ({"base": 4}, [4, 2, 2, 1, 1]),
        ({"base": 8}, [8, 1, 1]),
        ({"base": 10}, [10]),
    ],
)
def test_sizes(options, sizes):
    assert experience_sizes(10, **options) == sizes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"experiences": 2, "increment": 2}, "set one of"),
        ({"experiences": 11}, "10 classes cannot fill 11 experiences"),
        ({"experiences": 1, "base": 4}, "6 classes cannot fill 0 experiences"),
        ({"experiences": 2, "base": 11}, "does not fit a scenario of 10 classes"),
        ({"increment": 11}, "not between 1 and 10"),
    ],
)
def test_impossible_sizes_are_refused(options, message):
    with pytest.raises(LSCError, match=message):
        experience_sizes(10, **options)


TEN = [str(label) for label in range(10)]


def test_orders_are_seeded_and_complete():
    assert class_order(TEN, None, seed=3) == class_order(TEN, None, seed=3)
    assert class_order(TEN, None, seed=3) != class_order(TEN, None, seed=4)
    assert sorted(class_order(TEN, None, seed=3)) == list(range(10))


@pytest.mark.parametrize(
    ("names", "given", "order"),
    [
        ("cat dog eel", "eel cat dog", [2, 0, 1]),
        ("cat dog eel", "2 0 1", [2, 0, 1]),  # numbers, as earlier versions wrote
        ("10 2 3", "2 3 10", [1, 2, 0]),  # names, though all are numbers
        ("0 1 10 2", "10 2 1 0", [2, 3, 1, 0]),
        ("1 2 3", "2 0 1", "twice '1'; missing '3'"),  # the class called 1, and the first one
        ("cat dog eel", "eel eel dog", "twice 'eel'; missing 'cat'"),
        ("cat dog eel", "eel elk dog", "there is no 'elk'; missing 'cat'"),
        ("cat dog eel", "0 1 3", "there is no '3'; missing 'eel'"),
    ],
)
def test_an_order_is_given_by_names(names, given, order):
    if isinstance(order, str):
        with pytest.raises(LSCError, match=f"class_order names each class once: {order}"):
            class_order(names.split(), given.split(), seed=0)
    else:
        assert class_order(names.split(), given.split(), seed=0) == order


def images(labels: list[int]) -> StoredImages:
    pixels = torch.arange(len(labels) * 4, dtype=torch.uint8).reshape(-1, 1, 2, 2)
    return StoredImages(pixels, torch.tensor(labels))


def test_a_stream_brings_each_class_in_its_experience():
    data = ImageData(images([0, 1, 2, 0, 1, 2]), images([2, 1, 0]), ["a", "b", "c"]).check()
    stream = class_incremental(data, [2, 0, 1], [2, 1])
    arriving = [sorted(e.classes_in_this_experience) for e in stream.train_stream]
    assert arriving == [[0, 2], [1]]
    image, label, task = stream.train_stream[1].dataset[0]
    assert (label, task) == (1, 0)
    assert torch.allclose(image * 255, torch.tensor([[[4.0, 5.0], [6.0, 7.0]]]))
    assert [sorted(e.classes_in_this_experience) for e in stream.test_stream] == arriving


def test_data_that_cannot_be_learned_is_refused():
    with pytest.raises(LSCError, match="class 'c', which is never trained on"):
        ImageData(images([0, 1]), images([2]), ["a", "b", "c"]).check()
    with pytest.raises(LSCError, match="class 'c' has no training images"):
        ImageData(images([0, 1]), images([1]), ["a", "b", "c"]).check()
    with pytest.raises(LSCError, match="class 'a' has no test images"):
        ImageData(images([0, 1]), images([1]), ["a", "b"]).check()
    with pytest.raises(LSCError, match="not finite"):
        StoredImages(torch.full((2, 1, 2, 2), torch.nan), torch.tensor([0, 1]))


def test_training_images_can_be_limited_by_class():
    data = ImageData(images([0, 1, 0, 0, 1]), images([0, 1]), ["a", "b"])
    assert data.limited(2).train.targets == [0, 1, 0, 1]
    assert data.limited(None) is data

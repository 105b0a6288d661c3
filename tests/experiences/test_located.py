"""From Avalanche's nested views back to the images."""

from __future__ import annotations

import pytest
import torch
from avalanche.benchmarks import nc_benchmark
from avalanche.benchmarks.utils import as_classification_dataset, make_avalanche_dataset
from avalanche.benchmarks.utils.transform_groups import TransformGroups
from torch.utils.data import TensorDataset
from torchvision.transforms import v2

from lsc_continual.experiences.feeds import Feeds, Loading
from lsc_continual.experiences.loader import BatchLoader
from lsc_continual.experiences.located import located
from lsc_continual.experiences.plan import Plan
from lsc_continual.inputs import StoredImages
from tests.conftest import blobs


class Foreign(TensorDataset):
    """Images of somebody else's."""

    @property
    def targets(self) -> list[int]:
        return self.tensors[1].tolist()


def read(dataset) -> list[tuple[torch.Tensor, int]]:
    return [tuple(dataset[i][:2]) for i in range(len(dataset))]


def assert_located(dataset, images: StoredImages) -> None:
    """Rows say what the samples say, before and after samples have been read."""
    for _ in range(2):
        place = located(dataset)
        assert place is not None
        assert place[0] is images
        samples = read(dataset)
        assert len(samples) == len(place[1]) > 0
        for (image, label), row in zip(samples, place[1].tolist(), strict=True):
            assert torch.equal(image, images.images[row])
            assert int(label) == images.targets[row]


@pytest.mark.parametrize("task_labels", [False, True])
def test_experiences_of_a_benchmark(task_labels):
    train, test = blobs()
    stream = nc_benchmark(train, test, 3, task_labels=task_labels, seed=3)
    for experience in stream.train_stream:
        assert_located(experience.dataset, train)
        assert_located(experience.dataset.train(), train)
    for experience in stream.test_stream:
        assert_located(experience.dataset.eval(), test)


def test_subsets_and_concatenations_of_one_source():
    train, test = blobs()
    stream = nc_benchmark(train, test, 3, task_labels=False, seed=3).train_stream
    first, second = (experience.dataset for experience in stream[:2])
    part = first.subset([30, 2, 2, 7])
    assert_located(part, train)
    assert_located(part.subset([3, 0]), train)
    assert_located(as_classification_dataset(train).subset([9, 1]), train)
    both = part.concat(second.subset([5, 1]))
    assert_located(both, train)
    assert_located(both.subset([4, 0, 5]).concat(first), train)


def test_nothing_is_located_where_inputs_are_changed():
    train, test = blobs()
    flip = v2.RandomHorizontalFlip()
    stream = nc_benchmark(
        train, test, 3, task_labels=False, train_transform=flip, eval_transform=flip
    )
    for dataset in (stream.train_stream[0].dataset, stream.test_stream[0].dataset):
        assert located(dataset) is None
        dataset[0]
        assert located(dataset) is None
        assert located(dataset.subset([1, 2])) is None
        assert located(dataset.concat(dataset)) is None
    groups = TransformGroups({"train": (v2.RandomHorizontalFlip(), None), "eval": None})
    plain = make_avalanche_dataset(train, transform_groups=groups)
    assert located(plain.train()) is None
    assert_located(plain.eval(), train)
    frozen = as_classification_dataset(train, transform_groups=groups).freeze_transforms()
    assert located(frozen) is None


def test_a_transform_added_later_is_seen():
    train, _ = blobs()
    dataset = as_classification_dataset(train)
    dataset[0]
    changed = dataset.replace_current_transform_group(lambda x: x + 1)
    assert located(changed) is None
    assert torch.equal(changed[0][0], dataset[0][0] + 1)
    assert_located(dataset, train)


def test_labels_are_those_of_the_data_set_where_it_maps_them():
    train, test = blobs()
    stream = nc_benchmark(
        train,
        test,
        3,
        task_labels=True,
        class_ids_from_zero_in_each_exp=True,
        fixed_class_order=[4, 1, 0, 5, 3, 2],
    )
    for experience in stream.train_stream:
        dataset = experience.dataset
        images, rows = located(dataset)
        assert images is train
        assert {int(label) for label in dataset.targets} == {0, 1}
        loader = BatchLoader(
            [dataset],
            Plan(len(dataset), 16, seed=1),
            Feeds(Loading(), torch.device("cpu")),
            training=True,
        )
        by_image = {tuple(image.flatten().tolist()): int(label) for image, label in read(dataset)}
        count = 0
        for inputs, labels, tasks in loader:
            for image, label, task in zip(inputs, labels, tasks, strict=True):
                assert by_image[tuple(image.flatten().tolist())] == label
                assert task == experience.current_experience
                count += 1
        assert count == len(rows)


def test_foreign_and_mixed_data_are_left_to_others():
    train, test = blobs()
    foreign = Foreign(train.images, torch.tensor(train.targets))
    assert located(as_classification_dataset(foreign)) is None
    one, other = as_classification_dataset(train), as_classification_dataset(test)
    assert located(one.concat(other)) is None
    assert located(one.concat(other).subset([1, len(one) + 5])) is None
    images, rows = located(one.concat(other).subset([len(one) + 5, len(one)]))
    assert images is test
    assert rows.tolist() == [5, 0]

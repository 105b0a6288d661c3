"""Batches on their way to the device, from memory and from files."""

from __future__ import annotations

import os
import random
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from avalanche.benchmarks.utils import as_classification_dataset
from PIL import Image
from torch.utils.data import Dataset

from lsc_continual import LSCError
from lsc_continual.experiences.feeds import Feeds, Loading
from lsc_continual.experiences.loader import BatchLoader
from lsc_continual.experiences.plan import Plan
from lsc_continual.inputs import ImageFiles, Images, StoredImages

CPU = torch.device("cpu")
COUNT, SIDE = 23, 8


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    pixels = np.random.default_rng(0).integers(0, 256, (COUNT, SIDE, SIDE, 3), dtype=np.uint8)
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"{number:02}.png")
    return folder


def files(root: Path, spoilt: tuple[int, ...] = ()) -> ImageFiles:
    paths = [f"{'missing' if n in spoilt else ''}{n:02}.png" for n in range(COUNT)]
    return ImageFiles(root, paths, torch.arange(COUNT) * 3 % 7, SIDE)


def stored(root: Path) -> StoredImages:
    source = files(root)
    images = torch.stack([source.pixels(index) for index in range(COUNT)])
    return StoredImages(images, torch.tensor(source.targets))


def loader(
    images: Images, plan: Plan | None = None, feeds: Feeds | None = None, **loading
) -> BatchLoader:
    """Over the images from the fifth on as new ones, and the first four as replayed ones."""
    whole = as_classification_dataset(images)
    parts = [whole.subset(range(4, COUNT)), whole.subset(range(4))]
    plan = plan or Plan(COUNT - 4, 6, stored=4, stored_batch=2, seed=11)
    return BatchLoader(parts, plan, feeds or Feeds(Loading(**loading), CPU), training=True)


def epochs(loader: BatchLoader, number: int = 2) -> list[list[torch.Tensor]]:
    return [batch for _ in range(number) for batch in loader]


def assert_same(one: list[list[torch.Tensor]], other: list[list[torch.Tensor]]) -> None:
    assert len(one) == len(other) > 0
    for a, b in zip(one, other, strict=True):
        assert len(a) == len(b)
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("workers", [0, 2])
def test_memory_and_files_give_the_same_batches(root, workers):
    from_memory = epochs(loader(stored(root)))
    assert_same(epochs(loader(files(root), workers=workers)), from_memory)
    images = stored(root)
    table = {tuple(image.flatten().tolist()): label for image, label in read(images)}
    seen = [
        (table[tuple(image.flatten().tolist())], int(label))
        for inputs, labels, *_ in from_memory
        for image, label in zip(inputs, labels, strict=True)
    ]
    assert all(true == given for true, given in seen)
    assert len(seen) == 2 * (COUNT - 4 + 4 * 2)
    assert from_memory[0][0].dtype == torch.float32


def read(images: Images) -> list[tuple[torch.Tensor, int]]:
    return [images[index] for index in range(len(images))]


def test_a_batch_is_what_the_plan_says(root):
    plan = Plan(COUNT - 4, 6, stored=4, stored_batch=2, seed=11)
    batches = loader(stored(root), plan)
    labels = torch.tensor(stored(root).targets)
    order = torch.cat([torch.arange(4, COUNT), torch.arange(4)])
    for epoch in range(3):
        for planned, (_, given, *_) in zip(plan.epoch(epoch), batches, strict=True):
            assert torch.equal(given, labels[order[planned]])
            assert torch.equal(batches.step.labels, given)
            assert (batches.step.start, batches.step.size) == (0, len(given))


@pytest.mark.parametrize("kind", ["memory", "files", "workers", "foreign"])
@pytest.mark.parametrize("done", [0, 1, 3, 4])
def test_an_epoch_is_taken_up_where_it_was_left(root, kind, done):
    def make() -> BatchLoader:
        if kind == "foreign":
            return loader(Noisy(stored(root)))
        images = stored(root) if kind == "memory" else files(root)
        return loader(images, workers=2 * (kind == "workers"), crop_scale=0.3)

    expected = epochs(make(), 3)
    per_epoch = len(expected) // 3
    assert per_epoch == 4
    later = make()
    later.epoch, later.done = 1, done
    assert_same(epochs(later), expected[per_epoch + done :])
    assert (later.epoch, later.done) == (3, 0)


def test_it_counts_what_was_handed_out(root):
    batches = loader(stored(root))
    iterator = iter(batches)
    for done in (1, 2, 3, 4):
        next(iterator)
        assert (batches.epoch, batches.done) == (0, done)
    assert list(iterator) == []
    assert (batches.epoch, batches.done) == (1, 0)


@pytest.mark.parametrize("workers", [0, 2])
def test_files_that_cannot_be_read_leave_gaps(root, workers):
    spoilt = (2, 5, 9)
    good = epochs(loader(files(root), workers=workers))
    feeds = Feeds(Loading(workers=workers), CPU)
    gaps = loader(files(root, spoilt), feeds=feeds)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        batches = epochs(gaps)
    messages = [str(warning.message) for warning in caught if "left out" in str(warning.message)]
    assert len(messages) == len(spoilt)  # once each, though every epoch comes across them
    for number in spoilt:
        (message,) = (text for text in messages if f"missing{number:02}.png" in text)
        assert message.endswith("; it is left out")
    assert len(feeds.skipped) == len(spoilt)
    lost = {tuple(files(root).pixels(number).flatten().tolist()) for number in spoilt}
    for whole, rest in zip(good, batches, strict=True):
        kept = [tuple((255 * image).round().flatten().tolist()) not in lost for image in whole[0]]
        assert all(torch.equal(a[torch.tensor(kept)], b) for a, b in zip(whole, rest, strict=True))
    assert sum(len(batch[0]) for batch in batches) < sum(len(batch[0]) for batch in good)


@pytest.mark.parametrize("workers", [0, 2])
def test_files_that_cannot_be_read_can_be_refused(root, workers):
    with pytest.raises(LSCError, match=r"missing05\.png cannot be read .* data\.on_error=skip"):
        epochs(loader(files(root, (5,)), workers=workers, on_error="raise"))


@pytest.mark.filterwarnings("ignore:.*left out")
def test_a_batch_without_any_image_is_an_error(root):
    batches = loader(files(root, tuple(range(COUNT))))
    with pytest.raises(LSCError, match=r"no image of a batch can be read .*repair the data"):
        list(batches)


def test_random_crops_do_not_depend_on_who_makes_them(root):
    alone = epochs(loader(files(root), crop_scale=0.2))
    assert_same(epochs(loader(files(root), crop_scale=0.2, workers=2)), alone)
    other = Plan(COUNT - 4, 6, stored=4, stored_batch=2, seed=12)
    uncropped = epochs(loader(files(root)))
    assert not torch.equal(alone[0][0], uncropped[0][0])
    assert torch.equal(alone[0][1], uncropped[0][1])
    assert str(epochs(loader(files(root), other, crop_scale=0.2))) != str(alone)


def test_a_picture_is_cropped_anew_in_every_epoch_and_at_every_place(root):
    plan = Plan(COUNT - 4, 6, stored=4, stored_batch=4, seed=11)
    batches = epochs(loader(files(root), plan, crop_scale=0.2))
    images = [tuple(image.flatten().tolist()) for batch in batches for image in batch[0]]
    assert len(images) == 2 * (COUNT - 4 + 4 * 4)
    assert len(set(images)) > 0.9 * len(images)  # small images have few parts, so some meet again


class Pids(Images):
    """Says who reads it."""

    def __init__(self, count: int) -> None:
        super().__init__(torch.zeros(count, dtype=torch.long))

    @property
    def shape(self) -> tuple[int, int, int]:
        return 1, 1, 1

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return torch.full((1, 1, 1), float(os.getpid())), 0

    def subset(self, rows: torch.Tensor) -> Pids:
        return Pids(len(rows))

    def fingerprint(self) -> str:
        return "pids"

    @property
    def digests(self) -> np.ndarray:
        return np.arange(len(self), dtype=np.uint64)


def pids(batches: BatchLoader) -> set[int]:
    return {int(pid) for batch in batches for pid in batch[0].unique()}


def test_workers_live_from_one_epoch_and_experience_to_the_next():
    feeds = Feeds(Loading(workers=2), CPU)
    images = Pids(COUNT)
    first = loader(images, feeds=feeds)
    workers = pids(first)
    assert len(workers) == 2
    assert os.getpid() not in workers
    assert pids(first) == workers
    assert pids(loader(images, feeds=feeds)) == workers  # the next experience
    assert pids(loader(Pids(COUNT), feeds=feeds)).isdisjoint(workers)  # other data
    assert pids(loader(images, workers=0)) == {os.getpid()}


class Noisy(Dataset):
    """Draws from all global generators, as transforms of users do."""

    def __init__(self, images: StoredImages) -> None:
        self.images = images
        self.targets = images.targets

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        image, label = self.images[index]
        return image + torch.rand(()) + random.random() + float(np.random.rand()), label


@pytest.mark.parametrize("kind", ["memory", "files", "foreign"])
@pytest.mark.parametrize("workers", [0, 2])
def test_iterating_leaves_the_global_generators_alone(root, kind, workers):
    images = {"memory": stored, "files": files, "foreign": lambda r: Noisy(stored(r))}[kind](root)
    batches = loader(images, workers=workers, crop_scale=0.3)
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    for _ in batches:
        assert torch.equal(torch.get_rng_state(), before[0])
        assert random.getstate() == before[1]
        assert (np.random.get_state()[1] == before[2]).all()
    assert batches.epoch == 1


def test_random_data_of_others_do_not_depend_on_who_reads_them(root):
    alone = epochs(loader(Noisy(stored(root))))
    torch.rand(3), random.random(), np.random.rand()
    assert_same(epochs(loader(Noisy(stored(root)), workers=2)), alone)
    assert alone[0][0].std() > 0.2


def test_test_images_are_not_cropped(root):
    dataset = as_classification_dataset(files(root))
    plan = Plan(COUNT, 6, shuffle=False)
    feeds = Feeds(Loading(crop_scale=0.2), CPU)
    batches = BatchLoader([dataset], plan, feeds, training=False)
    images = torch.cat([batch[0] for batch in batches])
    assert torch.equal(images, stored(root).images.float() / 255)

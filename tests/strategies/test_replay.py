"""EmbeddingReplay: its buffer, what it tells the head, its distillation, and its streams."""

from __future__ import annotations

import math

import pytest
import torch
from avalanche.benchmarks import (
    class_incremental_benchmark,
    nc_benchmark,
    split_online_stream,
)
from avalanche.benchmarks.utils import as_classification_dataset
from avalanche.core import SupervisedPlugin
from avalanche.evaluation.metrics import accuracy_metrics
from avalanche.training.plugins import EvaluationPlugin
from torch.optim import Adam

from lsc_continual import LSC, EmbeddingReplay, make_system
from lsc_continual.inputs import StoredImages
from lsc_continual.network.heads import origin_of
from lsc_continual.strategies.buffer import ReservoirBuffer
from tests.conftest import blobs, make_blob_stream, make_encoder


def make_strategy(*plugins: SupervisedPlugin, **options) -> LSC:
    torch.manual_seed(0)
    model = make_encoder()
    return LSC(
        model=model,
        optimizer=Adam(model.parameters(), 5e-3),
        system=make_system("v21", 32),
        train_mb_size=16,
        plugins=plugins,
        evaluator=EvaluationPlugin(accuracy_metrics(stream=True), loggers=[]),
        **options,
    )


def stream(kind: str):
    train, test = blobs()
    if kind == "without task labels":
        sets = {"train": as_classification_dataset(train), "test": as_classification_dataset(test)}
        benchmark = class_incremental_benchmark(sets, num_experiences=3)
        return benchmark.train_stream, benchmark.test_stream
    benchmark = nc_benchmark(train, test, 3, task_labels=kind == "with task labels", seed=0)
    if kind == "online":
        return split_online_stream(benchmark.train_stream, 20), benchmark.test_stream
    return benchmark.train_stream, benchmark.test_stream


@pytest.mark.parametrize("kind", ["one task", "with task labels", "without task labels", "online"])
def test_it_remembers_in_every_kind_of_stream(kind):
    strategy = make_strategy(EmbeddingReplay(60), train_epochs=6)
    experiences, tests = stream(kind)
    for experience in experiences:
        strategy.train(experience)
    accuracies = [
        v for k, v in strategy.eval(tests).items() if k.startswith("Top1_Acc_Stream/eval")
    ]
    assert min(accuracies) >= 0.9


def test_the_buffer_is_balanced_and_never_larger_than_asked():
    plugin = EmbeddingReplay(50)
    strategy = make_strategy(plugin)
    for index, experience in enumerate(make_blob_stream().train_stream):
        strategy.train(experience)
        labels = [int(label) for label in plugin.storage_policy.buffer.targets]
        counts = [labels.count(label) for label in range(2 * (index + 1))]
        assert sum(counts) == len(labels) == 50
        assert max(counts) - min(counts) <= 1


def filled(buffer: ReservoirBuffer, counts: list[dict[int, int]]) -> dict[int, int]:
    """How many samples of each class a buffer holds after experiences with so many of each."""
    for number, of_classes in enumerate(counts):
        labels = torch.tensor([c for c, n in of_classes.items() for _ in range(n)])
        data = StoredImages(torch.randn(len(labels), 1, 1, 1), labels)
        buffer.update_from_dataset(as_classification_dataset(data), number)
    return {c: int((buffer.labels == c).sum()) for c in buffer.seen_classes.tolist()}


def test_what_small_classes_leave_free_goes_to_the_others():
    kept = filled(ReservoirBuffer(50), [{0: 3, 1: 100, 2: 100}, {3: 5}])
    assert kept[0] == 3
    assert kept[3] == 5
    assert sorted([kept[1], kept[2]]) == [21, 21]


def test_fewer_places_than_classes_are_drawn_fairly_and_said():
    """Every class gets a place equally often, whatever its number, size and day of arrival."""
    places = torch.zeros(40)
    for seed in range(300):
        torch.manual_seed(seed)
        with pytest.warns(UserWarning, match="10 places for 20 classes"):
            kept = filled(
                ReservoirBuffer(10),
                [{c: 2 + c for c in range(20)}, dict.fromkeys(range(20, 40), 3)],
            )
        assert sum(kept.values()) == 10
        assert max(kept.values()) == 1
        places += torch.tensor([kept[c] for c in range(40)])
    expected = 300 * 10 / 40
    chi_squared = ((places - expected).square() / (expected * (1 - 10 / 40))).sum()
    assert chi_squared < 80  # 39 degrees of freedom: beyond 99.98 %


class Recorder(SupervisedPlugin):
    """Has the plugin do its part, and keeps what it knew and what it added to the loss."""

    def __init__(self, plugin: EmbeddingReplay) -> None:
        super().__init__()
        self.plugin = plugin
        self.added: list[float] = []
        self.expected: list[float] = []

    @staticmethod
    def among(head) -> torch.Tensor:
        return torch.arange(2)  # those of the first experience

    def before_training_exp(self, strategy, **kwargs) -> None:
        self.plugin.before_training_exp(strategy)

    def before_backward(self, strategy, **kwargs) -> None:
        before = strategy.loss.item()
        self.plugin.before_backward(strategy)
        self.added.append(strategy.loss.item() - before)
        if self.plugin._teacher is not None:
            with torch.no_grad():
                head, z = origin_of(strategy.mb_output)
                vectors = head.targets.vectors(self.among(head))
                now, then = (
                    (head.logits_per_coordinate(e) @ vectors.T).log_softmax(-1)
                    for e in (z, self.plugin._teacher(strategy.mb_x))
                )
                self.expected.append(2.0 / 2 * float((then.exp() * (then - now)).sum(-1).mean()))

    def after_training_exp(self, strategy, **kwargs) -> None:
        self.plugin.after_training_exp(strategy)


def test_arriving_images_too_are_held_to_what_they_resembled_of_the_old_classes():
    plugin = EmbeddingReplay(60, distillation=2.0)
    strategy = make_strategy(recorder := Recorder(plugin))
    experiences = make_blob_stream().train_stream
    strategy.train(experiences[0])
    assert not any(recorder.added)
    assert not recorder.expected
    recorder.added.clear()
    strategy.train(experiences[1])
    assert recorder.expected == pytest.approx(recorder.added, abs=1e-4)
    assert max(recorder.expected) > 1e-3


class Told(SupervisedPlugin):
    """Keeps how frequent the head took each class to be."""

    def __init__(self) -> None:
        super().__init__()
        self.latest: dict[int, float] | None = None

    def before_training_iteration(self, strategy, **kwargs) -> None:
        head, self.latest = strategy.model.head, None
        if head.frequencies is not None:
            self.latest = dict(zip(head.targets.labels, head.frequencies.tolist(), strict=True))


def new_images(experience) -> float:
    """Arriving images a step, with batches of at most 16."""
    count = len(experience.dataset)
    return count / math.ceil(count / 16)


def test_the_head_is_told_how_often_classes_are_seen():
    strategy = make_strategy(EmbeddingReplay(60, batch_size_mem=4), told := Told())
    experiences = make_blob_stream().train_stream
    strategy.train(experiences[0])
    assert told.latest is None
    for number, old in ((1, 2), (2, 4)):
        strategy.train(experiences[number])
        arriving = experiences[number].classes_in_this_experience
        new = new_images(experiences[number])
        ratio = (new / 2) / (4 / old)
        expected = {c: ratio if c in arriving else 1.0 for c in told.latest}
        assert told.latest == pytest.approx(expected)
    strategy.train(experiences[0])  # its classes arrive again, stored ones count with them
    arriving = experiences[0].classes_in_this_experience
    ratio = ((new_images(experiences[0]) + 4 / 3) / 2) / ((4 - 4 / 3) / 4)
    expected = {c: ratio if c in arriving else 1.0 for c in told.latest}
    assert told.latest == pytest.approx(expected)


def test_replayed_classes_can_be_the_frequent_ones():
    strategy = make_strategy(EmbeddingReplay(60, batch_size_mem=60), told := Told())
    experiences = make_blob_stream().train_stream
    for experience in experiences[:2]:
        strategy.train(experience)
    ratio = 60 / new_images(experiences[1])
    replayed = experiences[0].classes_in_this_experience
    expected = {c: ratio if c in replayed else 1.0 for c in told.latest}
    assert told.latest == pytest.approx(expected)


def test_each_class_is_as_frequent_as_its_own_images_are():
    """Arriving classes of 30 and 10 images, old ones of 20 and 4 stored, and one without any."""
    labels = torch.tensor([0] * 40 + [1] * 4 + [2] * 20 + [3] * 30 + [4] * 10)
    dataset = StoredImages(torch.randn(104, 12, 1, 1), labels)
    benchmark = nc_benchmark(
        dataset,
        dataset,
        2,
        task_labels=False,
        per_exp_classes={0: 3, 1: 2},
        fixed_class_order=range(5),
    )
    plugin = EmbeddingReplay(24, batch_size_mem=12)
    strategy = make_strategy(plugin, told := Told())
    for experience in benchmark.train_stream:
        strategy.train(experience)
    stored = {0: 10, 1: 4, 2: 10}  # of 24 places: what class 1 leaves free goes to the others
    steps = math.ceil(40 / 16)
    images = {c: 12 * n / 24 for c, n in stored.items()} | {3: 30 / steps, 4: 10 / steps}
    rarer = sum(images[c] for c in stored) / 3
    assert told.latest == pytest.approx({c: n / rarer for c, n in images.items()})


def test_frequencies_are_left_alone_on_request():
    strategy = make_strategy(EmbeddingReplay(60, balanced=False), told := Told())
    for experience in make_blob_stream().train_stream:
        strategy.train(experience)
        assert told.latest is None


def test_the_head_forgets_the_frequencies_after_the_experience():
    strategy = make_strategy(EmbeddingReplay(60, batch_size_mem=4), told := Told())
    for experience in make_blob_stream().train_stream[:2]:
        strategy.train(experience)
    assert told.latest is not None
    assert strategy.model.head.frequencies is None


def test_the_teacher_is_asked_about_classes_that_it_knew_only():
    plugin = EmbeddingReplay(60)
    strategy = make_strategy(plugin)
    experiences, _ = stream("online")
    for experience in experiences:
        strategy.train(experience)
        if plugin._teacher is not None:
            assert len(plugin._old) <= plugin._taught <= len(strategy.model.head.targets)
            assert (plugin._old < plugin._taught).all()

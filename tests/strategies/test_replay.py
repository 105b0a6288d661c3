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
from lsc_continual.network.heads import origin_of
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
    """Keeps the classes that the head took for the frequent ones, and how frequent."""

    def __init__(self) -> None:
        super().__init__()
        self.latest: tuple[list[int], float] | None = None

    def before_training_iteration(self, strategy, **kwargs) -> None:
        head, self.latest = strategy.model.head, None
        if head.training_prior is not None:
            labels = head.targets.labels_of(head.training_prior.ordinals)
            self.latest = sorted(labels.tolist()), head.training_prior.ratio


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
        labels, ratio = told.latest
        assert labels == sorted(experiences[number].classes_in_this_experience)
        new = new_images(experiences[number])
        assert ratio == pytest.approx((new / 2) / (4 / old))
    strategy.train(experiences[0])  # its classes arrive again, stored ones count with them
    labels, ratio = told.latest
    assert labels == sorted(experiences[0].classes_in_this_experience)
    new = new_images(experiences[0])
    assert ratio == pytest.approx(((new + 4 / 3) / 2) / ((4 - 4 / 3) / 4))


def test_replayed_classes_can_be_the_frequent_ones():
    strategy = make_strategy(EmbeddingReplay(60, batch_size_mem=60), told := Told())
    experiences = make_blob_stream().train_stream
    for experience in experiences[:2]:
        strategy.train(experience)
    labels, ratio = told.latest
    assert labels == sorted(experiences[0].classes_in_this_experience)
    new = new_images(experiences[1])
    assert ratio == pytest.approx(60 / new)


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
    assert strategy.model.head.training_prior is None


def test_the_teacher_is_asked_about_classes_that_it_knew_only():
    plugin = EmbeddingReplay(60)
    strategy = make_strategy(plugin)
    experiences, _ = stream("online")
    for experience in experiences:
        strategy.train(experience)
        if plugin._teacher is not None:
            assert len(plugin._old) <= plugin._taught <= len(strategy.model.head.targets)
            assert (plugin._old < plugin._taught).all()

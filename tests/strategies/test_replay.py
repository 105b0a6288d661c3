"""EmbeddingReplay: its buffer, its weights, its distillation, and the streams it works with."""

from __future__ import annotations

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
from torch.optim import SGD, Adam

from lsc_continual import LSC, EmbeddingReplay, LSCError, make_system
from lsc_continual.heads import origin_of
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
    """Keeps the loss before and after the plugin, and what it was made of."""

    def __init__(self, plugin: EmbeddingReplay) -> None:
        super().__init__()
        self.plugin = plugin
        self.rows: list[tuple[float, float, torch.Tensor, torch.Tensor, torch.Tensor]] = []

    def before_backward(self, strategy, **kwargs) -> None:
        before = strategy.loss.item()
        teacher = self.plugin._teacher
        self.plugin.before_backward(strategy)
        if teacher is not None:
            with torch.no_grad():
                z = origin_of(strategy.mb_output).embedding
                drift = 1 - torch.cosine_similarity(z, teacher(strategy.mb_x))
            output, labels = strategy.mb_output.detach(), strategy.mb_y
            each = -output.gather(1, labels[:, None])[:, 0]
            self.rows.append((before, strategy.loss.item(), each, labels, drift))


def test_classes_count_the_same_and_old_embeddings_are_held():
    plugin = EmbeddingReplay(60, distillation=2.0)
    recorder = Recorder(plugin)
    strategy = make_strategy(recorder)
    experiences = make_blob_stream().train_stream
    strategy.train(experiences[0])
    assert recorder.rows == []
    plugin.after_training_exp(_with(strategy, experiences[0]))
    strategy.dataloader = []

    class Mixed(SupervisedPlugin):
        def before_training_exp(self, strategy, **kwargs):
            plugin.before_training_exp(strategy)

    strategy.plugins.insert(0, Mixed())
    strategy.train(experiences[1])
    assert recorder.rows
    for before, after, each, labels, drift in recorder.rows:
        old = labels < 2
        assert before == pytest.approx(float(each.mean()), abs=1e-5)
        expected = each[old].mean() / 2 + each[~old].mean() / 2 + 2.0 * drift[old].mean()
        assert after == pytest.approx(float(expected), abs=1e-5)


def _with(strategy: LSC, experience) -> LSC:
    strategy.experience = experience
    return strategy


def test_a_criterion_without_a_reduction_is_refused():
    torch.manual_seed(0)
    model = make_encoder()
    strategy = LSC(
        model=model,
        optimizer=SGD(model.parameters(), 0.01),
        system=make_system("v21", 32),
        criterion=lambda output, labels: -output.gather(1, labels[:, None]).mean(),
        plugins=[EmbeddingReplay(20)],
        evaluator=None,
    )
    experiences = make_blob_stream().train_stream
    strategy.train(experiences[0])
    with pytest.raises(LSCError, match="needs a criterion with a `reduction`"):
        strategy.train(experiences[1])

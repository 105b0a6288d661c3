"""Streams that cannot be learned are refused in a sentence; the smallest that can be, are."""

from __future__ import annotations

import warnings

import pytest
import torch
from avalanche.benchmarks import nc_benchmark
from avalanche.training.plugins import EvaluationPlugin
from torch import nn
from torch.optim import SGD

from lsc_continual import LSC, EmbeddingReplay, LSCError, TargetHead, make_system
from lsc_continual.inputs import StoredImages
from lsc_continual.network.losses import CosineLoss, StructuredSoftmaxLoss
from lsc_continual.strategies import OpenWorldEvaluation
from lsc_continual.strategies.analytic import LSCAnalytic

warnings.filterwarnings("ignore")


def stream(experiences: int = 2, channels: int = 12):
    def draw(count: int) -> StoredImages:
        return StoredImages(torch.randn(count, channels, 1, 1), torch.arange(count) % 4)

    return nc_benchmark(draw(40), draw(8), experiences, task_labels=False)


def cut(experience, images: int):
    """The experience with fewer images."""
    experience.dataset = experience.dataset.subset(list(range(images)))
    return experience


def strategy(normalized: bool = True, batch_size: int = 16, **options) -> LSC:
    norm = nn.BatchNorm1d(16) if normalized else nn.Identity()
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 16), norm, nn.ReLU())
    return LSC(
        model=model,
        optimizer=SGD(model.parameters(), 0.01),
        system=make_system("v21", 16),
        train_mb_size=batch_size,
        evaluator=EvaluationPlugin(loggers=[]),
        **options,
    )


def analytic() -> LSCAnalytic:
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(12, 16))
    encoder.num_features = 16
    evaluator = EvaluationPlugin(loggers=[])
    return LSCAnalytic(
        model=encoder, system=make_system("v21", 16), features=30, evaluator=evaluator
    )


@pytest.mark.parametrize("make", [strategy, analytic])
def test_an_empty_experience_is_refused(make):
    benchmark = stream()
    learner = make()
    learner.train(benchmark.train_stream[0])
    with pytest.raises(LSCError, match="experience 2 of the stream is empty"):
        learner.train(cut(benchmark.train_stream[1], 0))
    with pytest.raises(LSCError, match="experience 1 of the stream is empty"):
        make().train(cut(benchmark.train_stream[0], 0))
    with pytest.raises(LSCError, match="experience 2 of the stream is empty"):
        learner.eval([cut(benchmark.test_stream[1], 0)])


def test_a_single_image_is_learned_unless_batch_normalisation_needs_two():
    experience = stream().train_stream[0]
    with pytest.raises(LSCError, match="raise the batch size"):
        strategy(batch_size=1).train(experience)
    single = cut(experience, 1)
    strategy(normalized=False).train(single)
    analytic().train(single)
    with pytest.raises(LSCError, match="a batch of a single image cannot be trained on"):
        strategy().train(single)


def test_images_of_another_shape_are_refused():
    with pytest.raises(LSCError, match=r"does not accept input of shape \(1, 5, 1, 1\)"):
        strategy().train(stream(channels=5).train_stream[0])
    learner = strategy()
    learner.train(stream().train_stream[0])
    with pytest.raises(LSCError, match=r"shape \(5, 1, 1\) do not go through .* \(12, 1, 1\)"):
        learner.train(stream(channels=5).train_stream[1])


def test_a_stream_of_one_experience_is_learned_and_measured():
    evaluation = OpenWorldEvaluation()
    learner = strategy(plugins=[EmbeddingReplay(20), evaluation])
    benchmark = stream(experiences=1)
    learner.train(benchmark.train_stream)
    learner.eval(benchmark.test_stream)
    result = evaluation.result(0)
    assert result.accuracy_by_experience == [result.accuracy_seen]
    assert result.accuracy_old is None
    assert result.novelty == {}


@pytest.mark.parametrize("wrong", [(16,), (3, 5), (2, 3, 16)])
def test_embeddings_of_another_shape_are_refused(wrong):
    head, z = TargetHead(make_system("v21", 16)), torch.randn(wrong)
    head.add_classes(range(4))
    system, targets = head.system, head.targets
    for ask in (head, head.predict, targets.nearest, targets.decode, system.decode):
        with pytest.raises(LSCError, match=r"expected .* for 'v21', got shape"):
            ask(z)
    with pytest.raises(LSCError, match=r"expected .* for 'v21', got shape"):
        targets.several_nearest(z, 2)


@pytest.mark.parametrize("loss", [StructuredSoftmaxLoss(), CosineLoss()])
@pytest.mark.parametrize("labels", [torch.tensor([0, 1]), torch.zeros(3), torch.zeros(3, 1).long()])
def test_a_loss_takes_one_integer_label_for_each_output(loss, labels):
    head = TargetHead(make_system("v21", 16))
    head.add_classes(range(4))
    with pytest.raises(LSCError, match=r"takes as many class labels, LongTensor\[3\]"):
        loss(head(torch.randn(3, 16)), labels)

"""LSCAnalytic: what it learns, and that neither order nor interruptions matter."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from avalanche.benchmarks import benchmark_from_datasets, split_online_stream
from avalanche.evaluation.metrics import accuracy_metrics
from avalanche.training.plugins import EvaluationPlugin
from sklearn.linear_model import Ridge
from torch import nn
from torch.optim import Adam

from lsc_continual import LSC, LSCAnalytic, LSCError, TargetClassifier, TargetHead, make_system
from lsc_continual.encoders.random_features import RandomFeatures
from lsc_continual.runs.memory import as_dataset
from lsc_continual.strategies import CosineDecay
from tests.conftest import blobs, make_blob_stream, make_encoder

FEATURES, DIM = 100, 16


def frozen() -> nn.Module:
    torch.manual_seed(0)
    encoder = make_encoder()
    encoder.num_features = 32
    return encoder


def make_strategy(encoder: nn.Module | None = None, **options) -> LSCAnalytic:
    settings = {"system": make_system("v21", DIM), "features": FEATURES, "evaluator": None}
    return LSCAnalytic(model=encoder or frozen(), train_mb_size=16, **(settings | options))


def trained(strategy: LSCAnalytic, stream) -> LSCAnalytic:
    for experience in stream:
        strategy.train(experience)
    return strategy


@torch.no_grad()
def predictions(strategy: LSCAnalytic) -> torch.Tensor:
    return strategy.model.eval()(blobs()[1].images).argmax(-1)


def test_it_learns_from_one_pass_and_forgets_nothing():
    strategy = make_strategy()
    labels, stream = torch.tensor(blobs()[1].targets), make_blob_stream()
    for index, experience in enumerate(stream.train_stream):
        strategy.train(experience)
        seen = labels < 2 * (index + 1)
        assert (predictions(strategy) == labels)[seen].double().mean() > 0.95


def test_it_answers_as_ridge_regression_onto_class_indicators_does():
    strategy = trained(make_strategy(penalties=[0.01]), make_blob_stream().train_stream)
    train, test = blobs()
    with torch.no_grad():
        x, z = (strategy.model.encoder(part.images).double() for part in (train, test))
    penalty = 0.01 * float((x - x.mean(0)).square().sum()) / FEATURES
    twin = Ridge(alpha=penalty).fit(x, F.one_hot(torch.tensor(train.targets)).double())
    assert (predictions(strategy) == torch.tensor(twin.predict(z)).argmax(1)).all()


@pytest.mark.parametrize("order", [[5, 4, 3, 2, 1, 0], [2, 5, 0, 3, 1, 4]])
def test_the_order_of_experiences_makes_no_difference(order):
    def embedded(order: list[int]) -> torch.Tensor:
        strategy = make_strategy()
        strategy.model.head.add_classes(range(6))  # or targets depend on the order of arrival
        trained(strategy, make_blob_stream(order=order).train_stream)
        with torch.no_grad():
            return strategy.model.eval().embed(blobs()[1].images)

    torch.testing.assert_close(embedded(order), embedded(list(range(6))), rtol=1e-5, atol=1e-5)


def test_small_parts_of_a_stream_make_no_difference():
    whole = trained(make_strategy(), make_blob_stream().train_stream)
    parts = split_online_stream(make_blob_stream().train_stream, 7)
    online = trained(make_strategy(), parts)
    assert (predictions(online) == predictions(whole)).all()


def test_memory_does_not_depend_on_the_number_of_classes():
    def numbers(classes: int) -> int:
        strategy = make_strategy()
        strategy.model.head.add_classes(range(classes))
        trained(strategy, make_blob_stream().train_stream)
        state = strategy.state()
        parts = [*state["model"].values(), *state["learner"].values()]
        tensors = [part for part in parts if isinstance(part, torch.Tensor)]
        assert state["optimizer"]["state"] == {}
        return sum(tensor.numel() for tensor in tensors)

    assert numbers(6) == numbers(500)


def test_a_rare_class_is_answered_as_often_as_it_comes():
    train, test = blobs(classes=6, per_class=200, features=4)
    labels = torch.tensor(train.targets)
    rows = torch.cat([(labels < 3).nonzero()[:, 0], (labels >= 3).nonzero()[::20, 0]])
    encoder = nn.Flatten()
    encoder.num_features = 4
    model = make_strategy(encoder)
    head, truth = model.model.head, torch.tensor(test.targets)
    head.add_classes(range(6))
    some = as_dataset(train.images[rows], labels[rows])
    trained(model, benchmark_from_datasets(train=[some]).train_stream)
    with torch.no_grad():
        answered = model.model.eval()(test.images).argmax(-1)
        features = model.model.encoder(test.images).double()
        plain = model.learner._solved(head.targets.vectors).weight
        z = features @ plain[1:] + plain[0]
    rare = truth >= 3
    balanced = (answered == truth)[rare].double().mean()
    assert balanced > (head.predict(z) == truth)[rare].double().mean() + 0.02


def test_the_base_experience_trains_the_encoder_as_lsc_does():
    def setup() -> tuple[TargetClassifier, Adam]:
        head = TargetHead(make_system("v21", DIM))
        torch.manual_seed(1)
        model = TargetClassifier(RandomFeatures(frozen(), FEATURES), head, standardize=False)
        return model, Adam(model.parameters(), 1e-3)

    experiences = make_blob_stream().train_stream
    model, optimizer = setup()
    options = {"train_mb_size": 16, "evaluator": None}
    torch.manual_seed(2)
    lsc = LSC(model=model, optimizer=optimizer, train_epochs=3, plugins=[CosineDecay()], **options)
    lsc.train(experiences[0])
    model, optimizer = setup()
    weights = copy.deepcopy(model.projection.state_dict())
    analytic = LSCAnalytic(
        model=model, optimizer=optimizer, base_epochs=3, plugins=[CosineDecay()], **options
    )
    analytic.model.projection.load_state_dict(weights)  # else drawn anew
    torch.manual_seed(2)
    analytic.train(experiences[0])
    after = {n: p.clone() for n, p in analytic.model.encoder.state_dict().items()}
    assert all(torch.equal(p, after[n]) for n, p in lsc.model.encoder.state_dict().items())
    trained(analytic, experiences[1:])
    assert all(torch.equal(p, after[n]) for n, p in analytic.model.encoder.state_dict().items())
    assert analytic.learner.count == 240
    assert (predictions(analytic) == torch.tensor(blobs()[1].targets)).double().mean() > 0.95


def test_solutions_are_computed_when_they_are_asked_for_only(monkeypatch):
    strategy = make_strategy()
    solved = []
    solve = strategy.learner.projection
    monkeypatch.setattr(strategy.learner, "projection", lambda v: solved.append(v) or solve(v))
    trained(strategy, make_blob_stream().train_stream)
    assert solved == []
    first, again = predictions(strategy), predictions(strategy)
    assert torch.equal(first, again)
    assert len(solved) == 1


def test_the_saved_weights_are_those_of_all_samples():
    strategy = trained(make_strategy(), make_blob_stream().train_stream)
    state = strategy.model.state_dict()
    head = TargetHead(make_system("v21", DIM))
    head.restore(strategy.model.head.targets)
    plain = TargetClassifier(
        RandomFeatures(frozen(), FEATURES, seed=3, beside=True), head, standardize=False
    )
    plain.load_state_dict(state)  # an ordinary projection, and the random features too
    with torch.no_grad():
        answers = plain.eval()(blobs()[1].images).argmax(-1)
    assert torch.equal(answers, predictions(strategy))


def test_avalanches_own_metrics_and_loggers_work(capsys):
    strategy = make_strategy(
        evaluator=EvaluationPlugin(
            accuracy_metrics(minibatch=True, epoch=True, experience=True, stream=True), loggers=[]
        )
    )
    stream = make_blob_stream()
    trained(strategy, stream.train_stream)
    results = strategy.eval(stream.test_stream)
    assert next(v for k, v in results.items() if k.startswith("Top1_Acc_Stream")) > 0.95


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base_epochs": 2}, "base epochs need an optimizer"),
        ({"penalties": []}, "positive numbers"),
        ({"penalties": [0.1, 0.0]}, "positive numbers"),
        ({"system": None}, "needs system="),
        ({"encoder": nn.Flatten()}, "num_features"),
    ],
)
def test_wrong_arguments_are_refused_in_a_sentence(options, message):
    with pytest.raises(LSCError, match=message):
        make_strategy(**options)

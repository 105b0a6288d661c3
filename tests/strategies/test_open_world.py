"""Evaluation and calibration while learning, for our strategy and for stock ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from avalanche.benchmarks.utils import as_classification_dataset
from avalanche.training.plugins import EvaluationPlugin, ReplayPlugin
from avalanche.training.supervised import Naive
from pytorch_ood.detector import RMD, Mahalanobis
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.optim import Adam

from lsc_continual import LSC, EmbeddingReplay, NoveltyDetector, make_system
from lsc_continual.inputs import StoredImages
from lsc_continual.novelty.names import SCORES
from lsc_continual.strategies import LSCScores, NoveltyCalibration, OpenWorldEvaluation
from lsc_continual.strategies.buffer import ReservoirBuffer
from lsc_continual.strategies.calibration import embeddings
from lsc_continual.strategies.peers.ood_scores import (
    OODScores,
    _AllAtOnce,
    _RelativeAllAtOnce,
)
from tests.conftest import blobs, make_blob_stream, make_encoder


def held_out_parts(experiences: int = 3, per_class: int = 80) -> list:
    """For each experience of `make_blob_stream`, further draws of its classes."""
    generator = torch.Generator().manual_seed(7)
    train, _ = blobs(per_class=1)
    centres = blobs(per_class=400)[0].images.unflatten(0, (6, 400)).mean(1)
    labels = torch.arange(6).repeat_interleave(per_class)
    images = centres[labels] + torch.randn(len(labels), 12, 1, 1, generator=generator)
    whole = as_classification_dataset(StoredImages(images, labels))
    assert train.shape == (12, 1, 1)
    rows = torch.arange(len(labels)).chunk(experiences)
    return [whole.subset(part.tolist()) for part in rows]


def noise(count: int = 60):
    images = 30 * torch.randn(count, 12, 1, 1, generator=torch.Generator().manual_seed(3))
    return as_classification_dataset(StoredImages(images, torch.zeros(count).long()))


def make_lsc(detector_size: int = 200):
    torch.manual_seed(0)
    model = make_encoder()
    replay = EmbeddingReplay(mem_size=60)
    strategy = LSC(
        model=model,
        optimizer=Adam(model.parameters(), 5e-3),
        system=make_system("v21", 32),
        train_epochs=10,
        plugins=[replay],
        evaluator=EvaluationPlugin(),
    )
    detector = NoveltyDetector(strategy.model.head)
    calibration = NoveltyCalibration(
        detector, held_out_parts(), detector_size, replay.storage_policy
    )
    evaluation = OpenWorldEvaluation(LSCScores(detector), {"noise": noise()})
    strategy.plugins += [calibration, evaluation]
    return strategy, detector, calibration, evaluation


def test_novelty_is_measured_and_calibrated_after_every_experience():
    strategy, detector, calibration, evaluation = make_lsc()
    stream = make_blob_stream()
    for index, experience in enumerate(stream.train_stream):
        strategy.train(experience)
        strategy.eval(stream.test_stream)
        result = evaluation.result(index)
        assert len(calibration.store.buffer) == min(200, 160 * (index + 1))
        assert torch.equal(detector.known, embeddings(strategy, calibration.store.buffer))
        assert set(result.others) == {"noise"}
        assert set(result.others["noise"]) == set(SCORES)
        assert result.others["noise"]["auto"]["auroc"] > 0.95
        assert result.flagged["known"] < 0.15
        assert result.flagged["noise"] > 0.8
        if index < 2:
            assert result.novelty["auto"]["auroc"] > 0.9
            assert set(result.flagged) == {"known", "to come", "noise"}
    assert result.novelty == {}


def test_forgotten_inputs_are_those_that_were_right_once():
    evaluation = OpenWorldEvaluation(lambda images, output: {"negative max": -output.amax(-1)})
    torch.manual_seed(0)
    model = nn.Sequential(make_encoder(), nn.Linear(32, 6))
    strategy = Naive(
        model=model,
        optimizer=Adam(model.parameters(), 5e-3),
        train_epochs=8,
        plugins=[evaluation],
        evaluator=EvaluationPlugin(),
    )
    stream = make_blob_stream()
    strategy.train(stream.train_stream[0])
    strategy.eval(stream.test_stream)
    assert evaluation.result(0).forgotten == {}
    first = stream.test_stream[0].dataset
    inputs = torch.stack([sample[0] for sample in first])
    labels = torch.tensor([sample[1] for sample in first])
    right_once = model(inputs).argmax(-1) == labels
    strategy.train(stream.train_stream[1])  # nothing is replayed
    strategy.eval(stream.test_stream)
    result = evaluation.result(1)

    seen = [sample for e in stream.test_stream[:2] for sample in e.dataset]
    with torch.no_grad():
        output = model(torch.stack([sample[0] for sample in seen]))
    right = output.argmax(-1) == torch.tensor([sample[1] for sample in seen])
    forgotten = ~right
    forgotten[: len(right_once)] &= right_once
    forgotten[len(right_once) :] = False
    assert forgotten.sum() > 30
    scores = -output.amax(-1)
    keep = right | forgotten
    expected = roc_auc_score(forgotten[keep].numpy(), scores[keep].numpy())
    assert result.forgotten["negative max"]["auroc"] == pytest.approx(expected, abs=1e-6)
    assert "oscr" not in result.forgotten["negative max"]
    assert result.accuracy_seen == pytest.approx(float(right.float().mean()))
    assert result.flagged == {}


def test_what_the_plugins_carry_survives_a_change_of_process():
    strategy, detector, calibration, evaluation = make_lsc(50)
    stream = make_blob_stream()
    for experience in stream.train_stream[:2]:
        strategy.train(experience)
        strategy.eval(stream.test_stream)
        evaluation.result(experience.current_experience)
    states = calibration.state(), evaluation.state()
    _, other, later, looking = make_lsc(50)
    other.head.restore(detector.head.targets)
    later.load_state(states[0], strategy, stream.train_stream)
    looking.load_state(states[1], strategy, stream.train_stream)
    z = torch.randn(100, 32)
    assert torch.equal(other.p_value(z), detector.p_value(z))
    assert torch.equal(later.store.places, calibration.store.places)
    assert looking.state()["seen"] == [0, 1, 2, 3]
    assert np.array_equal(looking.state()["learned"], evaluation.state()["learned"])


def test_too_few_held_out_inputs_are_a_warning_not_the_end():
    strategy, detector, calibration, evaluation = make_lsc()
    calibration.held_out = [part.subset(range(9)) for part in calibration.held_out]
    stream = make_blob_stream()
    with pytest.warns(UserWarning, match="not calibrated after this experience.*19 or more"):
        strategy.train(stream.train_stream[0])
    strategy.eval(stream.test_stream)
    assert detector.known is None
    assert evaluation.result(0).flagged == {}
    with pytest.warns(UserWarning, match="19 or more"):
        strategy.train(stream.train_stream[1])
    strategy.train(stream.train_stream[2])  # 27 by now
    assert detector.known is not None


def test_held_out_inputs_keep_their_proportions_in_the_store():
    labels = torch.cat([torch.zeros(9000), torch.ones(1000)]).long()
    images = torch.zeros(10_000, 1, 1, 1)
    dataset = as_classification_dataset(StoredImages(images, labels))
    torch.manual_seed(0)
    store = ReservoirBuffer(500, balanced=False)
    for part in range(5):
        store.update_from_dataset(dataset.subset(range(part, 10_000, 5)), part)
    assert len(store.buffer) == 500
    assert float(store.labels.float().mean()) == pytest.approx(0.1, abs=0.04)
    counts = store.places[:, 0].bincount(minlength=5)
    assert counts.min() > 70  # every experience has its share


@pytest.mark.parametrize(
    ("librarys", "ours"), [(Mahalanobis, _AllAtOnce), (RMD, _RelativeAllAtOnce)]
)
def test_distances_to_all_classes_at_once_are_the_librarys(librarys, ours):
    torch.manual_seed(0)
    labels = torch.arange(10).repeat(40)
    features = 2 * torch.randn(10, 24)[labels] + torch.randn(400, 24)
    others = 3 * torch.randn(50, 24)
    expected, told = (
        detector.fit_features(features, labels).predict_features(others)
        for detector in (librarys(None), ours(None))
    )
    assert torch.allclose(told, expected, rtol=1e-4, atol=1e-6)


def test_scores_of_others_rank_unknown_inputs_high_on_a_stock_strategy():
    torch.manual_seed(0)
    body, head = make_encoder(), nn.Linear(32, 6)
    model = nn.Sequential(body, head)
    replay = ReplayPlugin(60)
    scores = OODScores(body, head, replay.storage_policy)
    evaluation = OpenWorldEvaluation(scores, {"noise": noise()})
    strategy = Naive(
        model=model,
        optimizer=Adam(model.parameters(), 5e-3),
        train_epochs=8,
        plugins=[replay, scores, evaluation],
        evaluator=EvaluationPlugin(),
    )
    stream = make_blob_stream()
    names = {"msp", "max-logit", "energy", "entropy", "odin", "knn", "mahalanobis", "vim"}
    strategy.eval(stream.test_stream)  # before anything is learned
    for index, experience in enumerate(stream.train_stream[:2]):
        strategy.train(experience)
        training = {name: p.clone() for name, p in model.named_parameters()}
        strategy.eval(stream.test_stream)
        result = evaluation.result(index)
        assert set(result.novelty) == names | {"relative-mahalanobis"}
        assert result.novelty["knn"]["auroc"] > 0.8
        assert result.others["noise"]["mahalanobis"]["auroc"] > 0.9
        for metrics in result.novelty.values():
            assert all(math.isfinite(value) for value in metrics.values())
        assert all(torch.equal(p, training[name]) for name, p in model.named_parameters())
    assert result.accuracy_seen > 0.9

"""Novelty scores, their metrics and the detector."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lsc_continual import LSCError, NoveltyDetector, TargetHead, make_system
from lsc_continual.novelty import SCORES, novelty_metrics, novelty_scores


@pytest.fixture
def head() -> TargetHead:
    torch.manual_seed(0)
    head = TargetHead(make_system("v21", 12), scale=12.0)
    head.add_classes(range(8))
    return head


def embeddings(head: TargetHead, count: int, noise: float, known: bool) -> torch.Tensor:
    """Near owned targets, or in no particular place and shorter."""
    if not known:
        return 0.5 * torch.randn(count, head.system.dim)
    targets = head.targets.vectors(torch.randint(len(head.targets), (count,)))
    return 3 * targets + noise * torch.randn(count, head.system.dim)


def test_mass_and_ambiguity_are_their_definitions(head):
    z = torch.randn(40, 12)
    every = 12.0 * F.normalize(z, dim=-1) @ head.system.vectors(torch.arange(head.system.size)).T
    p = every.softmax(-1)
    scores = novelty_scores(head, z)
    assert torch.allclose(scores["mass"], -p[:, head.targets.addresses()].sum(-1).log(), atol=1e-4)
    assert torch.allclose(scores["ambiguity"], 1 - p.amax(-1), atol=1e-5)
    best = (every / 12.0).topk(2).values
    assert torch.allclose(scores["gap"], best[:, 1] - best[:, 0], atol=1e-5)


@pytest.mark.parametrize("name", SCORES)
def test_every_score_is_higher_for_what_is_unknown(name, head):
    known, unknown = embeddings(head, 500, 0.3, True), embeddings(head, 500, 0.3, False)
    scores = [SCORES[name](head, z).numpy() for z in (known, unknown)]
    assert novelty_metrics(*scores, np.ones(500, dtype=bool))["auroc"] > 0.8


def test_systems_without_a_partition_have_the_other_scores():
    head = TargetHead(make_system("permutohedron", 9), unknown_prior=0)
    head.add_classes([0, 1])
    assert set(novelty_scores(head, torch.randn(3, 9))) == {"gap", "max_cosine", "norm"}


def test_metrics_of_a_perfect_and_of_a_useless_score():
    known, unknown = np.linspace(0, 1, 200), np.linspace(2, 3, 100)
    correct = np.ones(200, dtype=bool)
    assert novelty_metrics(known, unknown, correct) == {"auroc": 1.0, "fpr95": 0.0, "oscr": 1.0}
    useless = novelty_metrics(known, known[::2], correct)
    assert useless["auroc"] == pytest.approx(0.5, abs=0.01)
    assert useless["fpr95"] == pytest.approx(0.95, abs=0.02)
    correct[::2] = False
    assert novelty_metrics(known, unknown, correct)["oscr"] == 0.5
    with pytest.raises(LSCError, match="need known and unknown"):
        novelty_metrics(known, unknown[:0], correct)


def test_oscr_is_the_area_under_the_curve_of_its_definition():
    rng = np.random.default_rng(0)
    known, unknown = rng.normal(0, 1, 300), rng.normal(1, 1, 200)
    correct = rng.random(300) < 0.8
    thresholds = np.sort(np.concatenate([known, unknown, [np.inf]]))
    ccr = [(correct & (known <= t)).mean() for t in thresholds]
    fpr = [(unknown <= t).mean() for t in thresholds]
    area = float(np.trapezoid([0, *ccr], [0, *fpr]))
    assert novelty_metrics(known, unknown, correct)["oscr"] == pytest.approx(area, abs=1e-9)


@pytest.mark.parametrize("fpr", [0.05, 0.2])
@pytest.mark.parametrize("score", SCORES)
def test_the_detector_keeps_its_false_alarm_rate_on_known_inputs(head, score, fpr):
    detector = NoveltyDetector(head, score, fpr).calibrate(embeddings(head, 4000, 0.8, True))
    alarms = (detector.predict(embeddings(head, 4000, 0.8, True)) == -1).float().mean()
    assert float(alarms) == pytest.approx(fpr, abs=0.015)


def test_the_detector_flags_the_unknown_and_labels_the_rest(head):
    detector = NoveltyDetector(head).calibrate(embeddings(head, 1000, 0.3, True))
    labels = torch.arange(8)
    assert torch.equal(detector.predict(3 * head.targets.vectors()), labels)
    unknown = embeddings(head, 500, 0.3, False)
    assert (detector.predict(unknown) == -1).float().mean() > 0.7
    assert (detector.p_value(unknown) <= 1).all()
    assert (detector.p_value(unknown) > 0).all()


def test_misuse_of_the_detector_is_refused(head):
    with pytest.raises(LSCError, match="did you mean 'mass'"):
        NoveltyDetector(head, "mas")
    with pytest.raises(LSCError, match="between 0 and 1"):
        NoveltyDetector(head, fpr=0)
    with pytest.raises(LSCError, match=r"call calibrate\(\) first"):
        NoveltyDetector(head).p_value(torch.zeros(1, 12))
    with pytest.raises(LSCError, match="19 or more known inputs"):
        NoveltyDetector(head).calibrate(torch.randn(18, 12))

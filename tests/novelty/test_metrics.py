"""Metrics of novelty scores."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_curve

from lsc_continual import LSCError
from lsc_continual.novelty import novelty_metrics


def test_metrics_of_a_perfect_and_of_a_useless_score():
    known, unknown = np.linspace(0, 1, 200), np.linspace(2, 3, 100)
    correct = np.ones(200, dtype=bool)
    perfect = {"auroc": 1.0, "fpr95": 0.0, "fpr95_known_positive": 0.0, "aupr": 1.0, "oscr": 1.0}
    assert novelty_metrics(known, unknown, correct) == perfect
    useless = novelty_metrics(known, known[::2], correct)
    assert useless["auroc"] == pytest.approx(0.5, abs=0.01)
    assert useless["fpr95"] == pytest.approx(0.95, abs=0.02)
    assert useless["aupr"] == pytest.approx(1 / 3, abs=0.02)  # the share of unknown inputs
    correct[::2] = False
    assert novelty_metrics(known, unknown, correct)["oscr"] == 0.5
    with pytest.raises(LSCError, match="need known and unknown"):
        novelty_metrics(known, unknown[:0], correct)


def test_scores_that_are_not_finite_count_as_the_most_novel():
    known, unknown = np.array([0.1, 0.2, np.nan]), np.array([np.inf, 0.5])
    correct = np.ones(3, dtype=bool)
    finite = novelty_metrics(np.array([0.1, 0.2, 9.0]), np.array([9.0, 0.5]), correct)
    assert novelty_metrics(known, unknown, correct) == finite


def test_oscr_is_the_area_under_the_curve_of_its_definition():
    rng = np.random.default_rng(0)
    known, unknown = rng.normal(0, 1, 300), rng.normal(1, 1, 200)
    correct = rng.random(300) < 0.8
    thresholds = np.sort(np.concatenate([known, unknown, [np.inf]]))
    ccr = [(correct & (known <= t)).mean() for t in thresholds]
    fpr = [(unknown <= t).mean() for t in thresholds]
    area = float(np.trapezoid([0, *ccr], [0, *fpr]))
    assert novelty_metrics(known, unknown, correct)["oscr"] == pytest.approx(area, abs=1e-9)


@pytest.mark.parametrize("known_count", [1, 2, 19, 20, 21, 40, 100, 399, 400])
@pytest.mark.parametrize("unknown_count", [1, 3, 20, 60, 101])
@pytest.mark.parametrize("values", [3, 20, 10**9])  # few: most scores tie
def test_fpr95_is_that_of_pytorch_ood_and_scikit_learn(known_count, unknown_count, values):
    rng = np.random.default_rng(known_count * unknown_count)
    known = rng.integers(0, values, known_count) / values
    unknown = rng.integers(0, values, unknown_count) / values + rng.choice([0, 0.2])
    metrics = novelty_metrics(known, unknown, np.ones(known_count, dtype=bool))
    scores = np.concatenate([known, unknown])
    novel = np.arange(len(scores)) >= known_count
    ood = pytest.importorskip("pytorch_ood.metrics.functional")
    theirs = ood.fpr_at_tpr(torch.tensor(scores), torch.tensor(np.where(novel, -1, 0)))
    assert metrics["fpr95"] == pytest.approx(float(theirs), abs=1e-12)
    for name, positive, score in [
        ("fpr95", novel, scores),
        ("fpr95_known_positive", ~novel, -scores),
    ]:
        fpr, tpr, _ = roc_curve(positive, score, drop_intermediate=False)
        assert metrics[name] == pytest.approx(fpr[np.argmax(tpr >= 0.95)], abs=1e-12)

"""ROC curves, of scores with many thresholds and with one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from experiments.claims.new_classes import Curve, compare
from experiments.claims.occupancy import PAPERS_LOSS, Embedded, Placement
from lsc_continual import TargetHead, make_system
from lsc_continual.novelty import available_scores, novelty_metrics


def test_the_area_is_the_auroc_of_the_package():
    draw = torch.Generator().manual_seed(0)
    known = torch.randn(300, generator=draw).round(decimals=1)
    unknown = 1 + torch.randn(200, generator=draw).round(decimals=1)
    expected = novelty_metrics(known.numpy(), unknown.numpy(), np.ones(300, dtype=bool))
    assert Curve.of(known, unknown).area == pytest.approx(expected["auroc"])


def test_detection_at_a_rate_is_that_of_its_threshold():
    known, unknown = torch.arange(100.0), torch.tensor([94.5, 95.5, 200.0, 50.0])
    curve = Curve.of(known, unknown)
    assert curve.detected_at(0.05) == 0.75  # five known ones lie above 94.5
    assert curve.detected_at(0.0) == 0.25
    assert curve.detected_at(1.0) == 1.0


def test_between_the_thresholds_of_a_binary_score_one_draws_lots():
    known, unknown = torch.zeros(100), torch.zeros(100)
    known[:20], unknown[:60] = 1, 1
    curve = Curve.of(known, unknown)
    assert curve.detected_at(0.2) == pytest.approx(0.6)
    assert curve.detected_at(0.05) == pytest.approx(0.15)
    assert curve.area == pytest.approx(0.7)


def test_every_score_of_the_package_is_compared():
    head = TargetHead(make_system("v21", 8))
    head.add_classes(range(10))
    draw = torch.Generator().manual_seed(0)
    labels = torch.arange(10).repeat_interleave(10)
    known = head.targets.vectors()[labels] + 0.05 * torch.randn(100, 8, generator=draw)
    # New classes lie on vectors that nobody owns.
    free = (head.targets.allocation.owner(torch.arange(head.system.size)) < 0).nonzero()[:50, 0]
    unknown = Embedded(head.system.vectors(free), torch.arange(50))
    parts = Embedded(known, labels)
    found = compare(Placement(PAPERS_LOSS, head, parts, parts, unknown))
    assert found.curves.keys() == available_scores(head).keys()
    assert (found.false_alarms, found.detected) == (0.0, 1.0)
    assert found.curves["unowned"].area == found.curves["maxcos"].area == 1.0

"""Recall, exhaustive search, and what is left out, against answers worked out by hand."""

from __future__ import annotations

import pytest
import torch

from lsc_continual import make_system
from lsc_continual.bench import indexes, nearest
from lsc_continual.bench.settings import Settings, resolve
from lsc_continual.targets import Targets


def settings(**options) -> Settings:
    tiny = {"classes": "200", "dim": 12, "turns": 1, "device": "cpu", "quick": True}
    return resolve(lambda text: None, **tiny | options)


@pytest.fixture
def targets() -> Targets:
    targets = Targets(make_system("v21", 12))  # 660 vectors
    targets.add(range(200))
    return targets


def test_recall_is_the_share_of_right_answers(targets):
    ordinals = torch.arange(100)
    z = targets.vectors(ordinals)
    assert nearest.recall(targets, z, ordinals) == 1
    answers = ordinals.clone()
    answers[:7] = 150
    answers[7:10] = -1
    assert nearest.recall(targets, z, answers) == pytest.approx(0.9)


def test_equally_near_targets_are_right_and_farther_ones_are_not(targets):
    vectors = targets.vectors()
    cosines = (vectors @ vectors.T).fill_diagonal_(-1)
    a, b = divmod(int(cosines.argmax()), len(vectors))
    between = (vectors[a] + vectors[b]).unsqueeze(0)
    scores = between @ vectors.T
    tied = (scores[0] > scores.max() - 1e-5).nonzero().squeeze(-1)
    assert {a, b} <= set(tied.tolist())
    for ordinal in range(len(vectors)):
        right = nearest.recall(targets, between, torch.tensor([ordinal]))
        assert right == float(ordinal in tied)


def test_exhaustive_search_takes_the_lowest_address_of_the_nearest(targets, monkeypatch):
    monkeypatch.setattr(nearest, "_CHUNK", 7)
    z = torch.randint(-2, 3, (60, 12)).float()  # whole numbers: many ties
    entries = (targets.vectors() * 3**0.5).round()
    scores = z @ entries.T
    addresses = targets.addresses()
    for row, found in zip(scores, nearest.exhaustive(targets, z), strict=True):
        assert found == min(addresses[row == row.max()])


def test_what_does_not_fit_the_memory_is_left_out_with_the_reason():
    small = settings(memory=1e-3)  # about a million bytes
    assert nearest.why_not(small, indexes.TorchExhaustive, 1_000) is None
    reason = nearest.why_not(small, indexes.TorchExhaustive, 1_000_000)
    assert reason == "needs 0.0 GiB (--memory 0.001)"


def test_what_takes_too_long_to_build_is_left_out_with_the_reason(monkeypatch):
    class Slow(indexes.TorchExhaustive):
        growth = 2.0

    monkeypatch.setattr(indexes, "_seconds_of_small_build", lambda *_: 1.0)
    hurried = settings(build_seconds=50)
    assert nearest.why_not(hurried, Slow, 35_000) is None
    assert nearest.why_not(hurried, Slow, 50_000) == "about 100 s to build (--build-seconds 50)"


def test_what_is_not_installed_says_how_to_install_it():
    class Absent(indexes.TorchExhaustive):
        module = "no_such_module"

    reason = nearest.why_not(settings(), Absent, 10)
    assert reason == "no_such_module is not installed: pip install 'lsc_continual[bench]'"


def test_rows_name_every_way_and_find_no_disagreement(monkeypatch):
    monkeypatch.setattr(nearest, "INDEXES", (indexes.TorchExhaustive,))
    rows = list(nearest.rows(settings()))
    assert [row["way"] for row in rows] == ["this package"] * 2 + ["torch, exhaustive"] * 2
    assert [row["misses"] for row in rows] == [0.0, 0.1] * 2
    assert all(row["recall"] == 1 for row in rows)
    assert [row["disagreements"] for row in rows[:2]] == [0, 0]
    assert rows[2]["bytes a class"] == 4 * 12


def test_disagreements_are_counted(monkeypatch):
    monkeypatch.setattr(nearest, "INDEXES", ())
    monkeypatch.setattr(
        nearest, "exhaustive", lambda targets, z: torch.full((len(z),), -5, dtype=torch.int64)
    )
    rows = list(nearest.rows(settings()))
    assert [row["disagreements"] for row in rows] == [64, 64]
    assert rows[0]["remark"] == "64 of 64 differ"


def test_what_was_not_compared_is_not_called_right(monkeypatch):
    monkeypatch.setattr(nearest, "INDEXES", ())
    monkeypatch.setattr(nearest, "_CHECKED_CLASSES", 100)
    unasked = list(nearest.rows(settings(classes=None)))
    assert [row["remark"] for row in unasked] == ["not compared"]  # all vectors: no misses
    assert "recall" not in unasked[0]
    assert "recall" in next(iter(nearest.rows(settings(classes="660"))))

"""The benchmark's rows, side by side."""

from __future__ import annotations

from functools import partial

import pytest

from experiments.claims.prediction_time import side_by_side
from lsc_continual.bench import train
from lsc_continual.bench.settings import resolve
from lsc_continual.encoders import make_encoder


@pytest.fixture
def measured(monkeypatch):
    small = partial(make_encoder, "resnet-small", (3, 8, 8), options={"width": 4})
    entry = (small, (3, 8, 8))
    monkeypatch.setattr(train, "ENCODERS", {"small": entry, "another": entry})
    settings = resolve(
        lambda line: None, classes="50,100", dim=12, turns=1, quick=True, device="cpu"
    )
    return list(train.rows(settings, ["small"]))


def test_only_the_encoders_asked_for_are_measured(measured):
    assert {row["encoder"] for row in measured} == {"small"}


def test_a_row_for_each_number_of_classes(measured):
    rows = side_by_side(measured)
    assert [row["classes"] for row in rows] == [50, 100]
    for row in rows:
        assert len(row) == 8
        for way in (train.LINEAR, train.COSINE):
            one = next(
                each
                for each in measured
                if (each["classes"], each["prediction"]) == (row["classes"], way)
            )
            assert row[f"{way}, images/s"] == one["images/s"]
            assert row[f"time, {way}/ours"] == one["time/ours"]

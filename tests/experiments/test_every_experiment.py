"""Every experiment, from its data to its findings, at a size that takes seconds."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from matplotlib.figure import Figure

from experiments.claims.vector_systems import Scale
from experiments.outcome import Verdict
from experiments.registry import experiments
from experiments.settings import Settings
from lsc_continual.bench import train
from lsc_continual.encoders import make_encoder

_RUN = ("scenario.experiences=2", "data.train_per_class=10", "encoder=mlp", "train.epochs=1")
_CHARACTERS = {"classes": 24, "epochs": 4}
_PLACED = {"classes": 12, "width": 4, "epochs": 2}
_COLLAPSED = {"epochs": 4, "units": 32, "wide": 16, "inputs": 2, "steps": 1}
TINY: dict[str, dict[str, Any]] = {
    "any-number-of-classes": {
        "width": 2,
        "tokens": 8,
        "layers": 1,
        "heads": 2,
        "tested": 8,
        "numbers": (4, 8, 12, 16),
        "epochs": (1, 1, 1, 1),
        "pair_epochs": (1, 1, 1, 1),
        "shown": 8,
        "slowness": 1,
    },
    "vector-systems": _CHARACTERS | {"scales": (Scale(40, 20, 1, 10),), "batch_size": 10},
    "dimensions": _CHARACTERS,
    "against-cross-entropy": _CHARACTERS,
    "largest-cosine": _CHARACTERS,
    "decoding": _PLACED,
    "new-classes": _PLACED,
    "prediction-time": {"encoders": ("small",), "turns": 1, "classes": "50,100"},
    "scatterings": {"listed": 300, "dims": (6, 8), "batch": 64, "turns": 1},
    "point-collapse": _COLLAPSED,
    "robustness": _COLLAPSED,
    "hypercube-classes": {"size": (*_RUN, "replay.size=20")},
    "class-encoding": {"steps": 20, "images": 10, "epochs": 1},
    "neural-collapse": {"images": 10, "epochs": 2},
    "analytic": {
        "rows": ("fashion-mnist",),
        "features": 30,
        "dims": (16,),
        "few": True,
        "updates": 256,
    },
    "defaults": {
        "variants": ("defaults", "cosine loss"),
        "size": (*_RUN, "novelty.holdout=0"),
    },
    "distributed": {"encoder": "mlp", "classes": (10, 100)},
    "living": {"calls": 3, "features": 40, "many": 20},
    "novelty": {
        "rows": ("mnist",),
        "modes": ("incremental",),
        "jobs": 1,
        "size": ("train.epochs=1", "replay.size=40", "novelty.holdout=0.5"),
    },
    "parameters": {"encoder": "mlp", "classes": 20, "strategies": ("lsc", "replay")},
    "price": {
        "classes": (20,),
        "heads": ("learned head", "frame-v21, n = classes", "er-ace"),
        "size": (
            "scenario.experiences=2",
            "encoder=resnet-small",
            "encoder.options.width=4",
            "train.epochs=1",
            "novelty.holdout=0",
        ),
        "layers": ("encoder.hidden=16", "encoder.standardize=true"),
    },
    "streaming": {
        "images": 1,
        "batch_size": 2,
        "turns": 1,
        "inputs": 20,
        "scores": ("auto",),
        "encoders": ("resnet-small, 28×28",),
        "owned": (10, 100),
    },
    "training": {
        "turns": 1,
        "scale": 0.01,
        "experiences": 2,
        "networks": ("mlp, 64 units, n = 64",),
        "owned": (100,),
    },
}
"""What is changed of the quick options."""


@pytest.fixture(autouse=True)
def small_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    def build() -> Any:
        return make_encoder("resnet-small", (3, 8, 8), options={"width": 4})

    monkeypatch.setitem(train.ENCODERS, "small", (build, (3, 8, 8)))


@pytest.mark.parametrize("name", experiments())
def test_it_measures_something_of_all_it_reports(name: str, settings: Settings) -> None:
    if name == "robustness":
        pytest.importorskip("foolbox")
    experiment = experiments()[name]
    outcome = experiment.measure(settings, replace(experiment.options(), **TINY[name]))
    assert outcome.tables
    assert all(table.rows for table in outcome.tables)
    assert bool(outcome.findings) == (experiment.paper is not None)
    assert all(finding.verdict in Verdict for finding in outcome.findings)
    assert all("nan" not in finding.measured for finding in outcome.findings)
    assert all(isinstance(figure, Figure) for figure in outcome.figures.values())
    json.dumps([vars(table) for table in outcome.tables])

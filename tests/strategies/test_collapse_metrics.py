"""Neural collapse measured by Avalanche's evaluation plugin."""

from __future__ import annotations

import json
from io import StringIO

import pytest
import torch
from avalanche.models import IncrementalClassifier
from avalanche.training.plugins import EvaluationPlugin
from avalanche.training.supervised import Naive
from rich.console import Console
from torch import nn
from torch.optim import Adam

from lsc_continual import LSC, make_system
from lsc_continual.network.collapse import neural_collapse
from lsc_continual.runs.configuration import resolve
from lsc_continual.runs.run import run
from lsc_continual.strategies import CollapseMetrics
from tests.conftest import make_blob_stream, make_encoder

NAMES = {
    "within_class_variability",
    "equinorm",
    "equiangularity",
    "simplex_distance",
    "self_duality",
    "nearest_centre_agreement",
}


def trained(metrics: CollapseMetrics, epochs: int = 3) -> LSC:
    torch.manual_seed(0)
    stream = make_blob_stream()
    encoder = make_encoder()
    strategy = LSC(
        model=encoder,
        optimizer=Adam(encoder.parameters(), lr=3e-3),
        system=make_system("v21", 16),
        train_mb_size=16,
        train_epochs=epochs,
        evaluator=EvaluationPlugin(metrics, loggers=[]),
    )
    strategy.train(stream.train_stream[0])
    strategy.eval(stream.test_stream)
    return strategy


def test_values_go_to_the_evaluator_by_phase():
    values = trained(CollapseMetrics()).evaluator.get_last_metrics()
    for phase in ("train_phase/train_stream", "eval_phase/test_stream"):
        assert {f"NeuralCollapse/{name}/{phase}" for name in NAMES} <= set(values)


def test_it_measures_the_embeddings_of_the_classes_seen():
    metrics = CollapseMetrics()
    strategy = trained(metrics)
    model, test = strategy.model.eval(), make_blob_stream().test_stream
    with torch.no_grad():  # of three experiences with two classes each, only the first is known
        images, labels, *_ = zip(*test[0].dataset)
        z, y = model.embed(torch.stack(images)), torch.tensor(labels)
    targets = model.head.targets.vectors(torch.arange(2))
    directions = torch.nn.functional.normalize(z, dim=1)  # what the head looks at
    expected = neural_collapse(directions, y, model.head.predict(z), targets)
    assert metrics.result() == pytest.approx(expected, rel=1e-5)


def test_training_draws_embeddings_together_and_is_not_disturbed():
    metrics = CollapseMetrics()
    with_metrics = trained(metrics, epochs=8)
    assert len(metrics.by_epoch) == 8
    first, last = metrics.by_epoch[0], metrics.by_epoch[-1]
    assert first is not None
    assert last is not None
    assert last.within_class_variability < first.within_class_variability
    assert last.self_duality < first.self_duality
    without = trained(CollapseMetrics(training=False), epochs=8)
    for one, other in zip(with_metrics.model.parameters(), without.model.parameters()):
        assert torch.equal(one, other)


def test_a_network_with_a_linear_head_is_measured_by_its_weights():
    torch.manual_seed(0)
    stream = make_blob_stream()
    metrics = CollapseMetrics()
    model = nn.Sequential(make_encoder(), IncrementalClassifier(32, 2))
    strategy = Naive(
        model=model,
        optimizer=Adam(model.parameters(), lr=3e-3),
        train_mb_size=16,
        train_epochs=2,
        eval_mb_size=64,
        evaluator=EvaluationPlugin(metrics, loggers=[]),
    )
    for experience in stream.train_stream[:2]:
        strategy.train(experience)
    strategy.eval(stream.test_stream[:2])
    found = metrics.result()
    with torch.no_grad():
        parts = [part for exp in stream.test_stream[:2] for part in exp.dataset]
        z = model[0](torch.stack([image for image, *_ in parts]))
        y = torch.tensor([label for _, label, *_ in parts])
        expected = neural_collapse(z, y, model[1](z).argmax(1), model[1].classifier.weight[:4])
    assert found == pytest.approx(expected, rel=1e-4)


def test_nothing_is_measured_of_a_single_class():
    torch.manual_seed(0)
    stream = make_blob_stream(experiences=6)
    metrics = CollapseMetrics()
    encoder = make_encoder()
    strategy = LSC(
        model=encoder,
        optimizer=Adam(encoder.parameters()),
        system=make_system("v21", 16),
        evaluator=EvaluationPlugin(metrics, loggers=[]),
    )
    strategy.train(stream.train_stream[0])
    strategy.eval(stream.test_stream)
    assert metrics.by_epoch == [None]
    assert metrics.result() is None


def test_a_run_keeps_them_where_asked(tmp_path):
    settings = [
        "encoder=mlp",
        "train.epochs=2",
        "data.train_per_class=30",
        "scenario.experiences=5",
    ]
    config = resolve([*settings, "metrics.neural_collapse=true", f"run.dir={tmp_path / 'run'}"])
    folder = run(config, Console(file=StringIO()))
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    for experience in metrics["experiences"]:
        found = experience["neural_collapse"]
        assert len(found["epochs"]) == 2
        assert set(found["seen"]) == NAMES
    assert "Neural collapse" in (folder / "report.html").read_text(encoding="utf-8")

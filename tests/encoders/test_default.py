"""Vectors get an encoder for vectors."""

from __future__ import annotations

import numpy as np
import torch
from rich.console import Console

from lsc_continual import StreamClassifier
from lsc_continual.encoders import make_encoder
from lsc_continual.encoders.mlp import MLP
from lsc_continual.runs.configuration import resolve
from lsc_continual.runs.metrics import RunMetrics
from lsc_continual.runs.run import run


def test_images_get_a_residual_network_and_vectors_a_perceptron():
    torch.manual_seed(0)
    expected = make_encoder("resnet-small", (3, 16, 16), options={"width": 4}).state_dict()
    torch.manual_seed(0)
    found = make_encoder("auto", (3, 16, 16), options={"width": 4}).state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert isinstance(make_encoder("auto", (7, 1, 1), options={"depth": 1}), MLP)


def test_a_table_of_features_is_learned_with_default_settings(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.arange(600) % 6
    x = rng.normal(0, 3, (6, 20))[labels] + rng.normal(0, 1, (600, 20))
    np.savez(tmp_path / "table.npz", x_train=x.astype(np.float32), y_train=labels)
    settings = ["scenario=arrays", f"data.root={tmp_path}/table.npz", f"run.dir={tmp_path}/run"]
    more = ["scenario.experiences=2", "train.epochs=8"]
    folder = run(resolve([*settings, *more]), Console(quiet=True))
    assert RunMetrics.read(folder / "metrics.json").final.last_accuracy > 0.95
    answers = StreamClassifier.load(folder, device="cpu").predict(list(x[:30].astype(np.float32)))
    assert np.mean([a.label == str(n) for a, n in zip(answers, labels)]) > 0.9

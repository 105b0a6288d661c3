"""The twin with a learned head: what it is, and that peers can have the same network."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch.optim import SGD

from lsc_continual import LSC, EmbeddingReplay, LSCError, TargetClassifier, TargetHead, make_system
from lsc_continual.living.model import Classifier
from lsc_continual.machine.interruption import InterruptedRunError
from lsc_continual.runs import run as runs
from lsc_continual.runs.checkpoints import Checkpoints
from lsc_continual.runs.configuration import resolve
from lsc_continual.strategies.learned_head import GrowingHead
from tests.conftest import blobs, make_blob_stream, make_encoder

QUICK = [
    "encoder=mlp",
    "encoder.options.width=32",
    "train.epochs=8",
    "train.lr=0.003",
    "data.train_per_class=100",
    "replay.size=40",
    "encoder.hidden=24",
    "encoder.standardize=true",
]


def learned(rows: int, experiences: int) -> torch.Tensor:
    """Log-probabilities of the classes so far, by a head that is made for `rows` of them."""
    torch.manual_seed(0)
    encoder = make_encoder()
    torch.manual_seed(1)
    head = TargetHead(make_system("orthogonal", rows), unknown_prior=0.0)
    model = TargetClassifier(torch.nn.Sequential(encoder, torch.nn.BatchNorm1d(32)), head)
    model.settle(torch.zeros(2, 12, 1, 1))
    optimizer = SGD(model.parameters(), 0.01)  # Adam makes much of the last bit of a gradient
    torch.manual_seed(2)
    plugins = [EmbeddingReplay(12), GrowingHead(model)]
    strategy = LSC(model=model, optimizer=optimizer, plugins=plugins, evaluator=None)
    for experience in make_blob_stream().train_stream[:experiences]:
        strategy.train(experience)
    with torch.no_grad():
        return strategy.model.eval()(blobs()[1].images)[:, : 2 * experiences]


@pytest.mark.parametrize("experiences", [1, 2])
def test_rows_for_classes_that_are_still_to_come_count_for_nothing(experiences):
    alone = learned(2 * experiences, experiences)
    torch.testing.assert_close(learned(6, experiences), alone, atol=0.01, rtol=0.01)


def run(folder: Path, *settings: str) -> dict:
    written = runs.run(resolve([*QUICK, *settings, f"run.dir={folder}"]), quiet())
    return json.loads((written / "metrics.json").read_text(encoding="utf-8"))


def quiet() -> Console:
    return Console(file=StringIO(), width=200)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("twin") / "whole"
    run(folder, "strategy=lsc-learned-head")
    return folder


def metrics(folder: Path) -> dict:
    return json.loads((folder / "metrics.json").read_text(encoding="utf-8"))


def test_it_learns_and_is_told_beside_peers_with_as_many_parameters(whole, tmp_path):
    own = metrics(whole)
    assert own["final"]["last_accuracy"] > 0.6
    sizes = {own["experiences"][-1]["parameters"]}
    for number, strategy in enumerate(("er-ace", "replay", "icarl")):
        peer = run(tmp_path / str(number), f"strategy={strategy}")
        sizes.add(peer["experiences"][-1]["parameters"])
    assert len(sizes) == 1
    twin = run(tmp_path / "lsc", "system=frame-v21", "system.dim=10")
    assert {twin["experiences"][-1]["parameters"]} == sizes
    assert twin["final"]["last_accuracy"] > 0.6


def test_an_interrupted_run_goes_on_to_the_bit(whole, tmp_path, monkeypatch):
    write, written = Checkpoints.write, []

    def interrupted(self: Checkpoints, step: int, state) -> Path:
        path = write(self, step, state)
        written.append(step)
        if len(written) == 7:
            raise InterruptedRunError(15, self.path.parent)
        return path

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "write", interrupted)
        with pytest.raises(InterruptedRunError):
            run(tmp_path / "run", "strategy=lsc-learned-head", "checkpoint.minutes=0")
    resumed = runs.resume(tmp_path / "run", [], quiet())
    name = "model/weights.safetensors"
    assert (resumed / name).read_bytes() == (whole / name).read_bytes()


def test_it_has_no_system_to_choose_and_does_not_go_on_by_itself(whole):
    with pytest.raises(LSCError, match=r"system\.dim is for lsc, lsc-analytic and means nothing"):
        resolve(["strategy=lsc-learned-head", "system.dim=20"])
    with pytest.raises(LSCError, match="kept nothing to go on from"):
        Classifier.load(whole)

"""strategy=lsc-analytic from the command line: runs, interruptions, streams, settings."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import save_file

from lsc_continual import LSCError, load_model
from lsc_continual.classifier.folder import load_detector
from lsc_continual.encoders import make_encoder
from lsc_continual.inputs import Source
from lsc_continual.machine.interruption import InterruptedRunError
from lsc_continual.runs import run as runs
from lsc_continual.runs.checkpoints import Checkpoints
from lsc_continual.runs.configuration import resolve
from lsc_continual.scenarios.digits import load_digits

QUICK = [
    "strategy=lsc-analytic",
    "analytic.features=200",
    "analytic.base_epochs=2",
    "system.dim=64",
    "encoder=mlp",
    "checkpoint.minutes=0",  # after each step
    "checkpoint.keep=10000",
]


def quiet() -> Console:
    return Console(file=StringIO(), width=200)


def run(folder: Path, *settings: str) -> Path:
    return runs.run(resolve([*QUICK, *settings, f"run.dir={folder}"]), quiet())


def metrics(folder: Path) -> dict:
    return json.loads((folder / "metrics.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("runs") / "whole")


def test_it_learns_the_digits_and_never_grows(folder):
    experiences = metrics(folder)["experiences"]
    assert metrics(folder)["strategy"] == "lsc-analytic"
    assert metrics(folder)["final"]["last_accuracy"] > 0.9
    assert len({entry["parameters"] for entry in experiences}) == 1
    assert len({entry["state_bytes"] for entry in experiences}) == 1
    state = Checkpoints(folder / "checkpoints").latest()
    assert state["strategy"]["learner"]["embeddings"].shape == (4608, 256)


def test_the_saved_model_and_detector_judge_as_the_run_did(folder):
    model, _ = load_model(folder)
    data, last = load_digits(Source()), metrics(folder)["experiences"][-1]
    with torch.no_grad():
        z = model.embed(data.test.images)
    correct = model.head.predict(z) == torch.tensor(data.test.targets)
    assert float(correct.double().mean()) == pytest.approx(last["accuracy_seen"])
    flagged = (load_detector(folder, model.head).predict(z) == -1).double().mean()
    assert float(flagged) == pytest.approx(last["flagged"]["known"])


def test_without_held_out_images_it_calibrates_on_what_it_learned_from(tmp_path):
    folder = run(tmp_path / "run", "novelty.holdout=0", "checkpoint.minutes=1000")
    last = metrics(folder)["experiences"][-1]
    assert last["calibration_bytes"] == 0
    assert 0.01 < last["flagged"]["known"] < 0.12
    assert all(
        entry["novelty"]["auto"]["auroc"] > 0.7 for entry in metrics(folder)["experiences"][:-1]
    )
    model, _ = load_model(folder)
    z = model.embed(load_digits(Source()).test.images).detach()
    flagged = (load_detector(folder, model.head).predict(z) == -1).double().mean()
    assert float(flagged) == pytest.approx(last["flagged"]["known"])


@pytest.mark.parametrize("stop", [3, 17, 21, 26, 60])
def test_it_goes_on_to_the_bit_after_any_step(stop, folder, tmp_path, monkeypatch):
    """Of the first experience, 8 steps each for base epochs and the pass; later ones have 8."""
    write, written = Checkpoints.write, []

    def interrupted(self: Checkpoints, step: int, state) -> Path:
        path = write(self, step, state)
        written.append(step)
        if len(written) == stop:
            raise InterruptedRunError(15, self.path.parent)
        return path

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "write", interrupted)
        with pytest.raises(InterruptedRunError):
            run(tmp_path / "run")
    resumed = runs.resume(tmp_path / "run", [], quiet())
    expected, found = metrics(folder), metrics(resumed)
    for entry in expected["experiences"] + found["experiences"]:
        del entry["train_seconds"], entry["images_per_second"]
    assert found == expected
    for name in ("weights.safetensors", "calibration.safetensors"):
        assert (resumed / "model" / name).read_bytes() == (folder / "model" / name).read_bytes()


def test_an_encoder_that_is_ready_stays_as_it_is(folder, tmp_path):
    encoder = make_encoder("mlp", (1, 8, 8))
    save_file(encoder.state_dict(), tmp_path / "encoder.safetensors")
    weights = f"encoder.weights={tmp_path / 'encoder.safetensors'}"
    settings = [weights, "analytic.base_epochs=null", "data.mean=null", "data.std=null"]
    model, _ = load_model(run(tmp_path / "run", *settings))
    for name, value in model.encoder.encoder.state_dict().items():
        assert torch.equal(value, encoder.state_dict()[name])
    assert metrics(tmp_path / "run")["final"]["last_accuracy"] > 0.8


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("analytic.features=0", "out of range: use from 1"),
        ("analytic.penalty=0", "out of range"),
        ("analytic.base_epochs=-1", "out of range"),
        ("analytic.feature=3", "did you mean 'analytic.features'"),
        ("strategy=lsc-analytics", "did you mean 'lsc-analytic'"),
    ],
)
def test_wrong_settings_are_refused_in_a_sentence(setting, message):
    with pytest.raises(LSCError, match=message):
        resolve([setting])

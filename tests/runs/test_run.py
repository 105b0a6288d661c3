"""A whole run, through the command line, on scikit-learn's digits."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from typer.testing import CliRunner, Result

from lsc_continual import LSCError, load_model
from lsc_continual.classifier.folder import load_detector
from lsc_continual.cli.main import app
from lsc_continual.inputs import Source
from lsc_continual.novelty.names import SCORES
from lsc_continual.runs.progress import TrainingProgress
from lsc_continual.scenarios.digits import load_digits

ONLY_NEW = ["replay.size=0", "novelty.holdout=0"]
QUICK = ["encoder=mlp", "train.epochs=4", "scenario.experiences=5"]


def run(*settings: str) -> Result:
    return CliRunner().invoke(app, ["run", *settings])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "first"
    result = run(*QUICK, f"run.dir={path}")
    assert result.exception is None, result.output
    (path / "output.txt").write_text(result.output, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def metrics(folder: Path) -> dict:
    return json.loads((folder / "metrics.json").read_text(encoding="utf-8"))


def test_it_learns_and_says_where_the_folder_is(folder, metrics):
    output = (folder / "output.txt").read_text(encoding="utf-8")
    assert metrics["final"]["last_accuracy"] > 0.9
    assert f"run folder: {folder}" in output
    assert "28,091,136 targets of frame-v21 in 384 dimensions" in output
    for word in ("seen", "old", "new", "AUROC", "images/s", "parameters", "forgetting"):
        assert word in output


def test_metrics_have_the_promised_shape(metrics):
    contract = {"scenario", "strategy", "seed", "environment", "experiences", "final"}
    assert set(metrics) == contract | {"unreadable_files", "novelty_score"}
    assert (metrics["scenario"], metrics["strategy"], metrics["seed"]) == ("split-digits", "lsc", 0)
    assert set(metrics["final"]) == {
        "last_accuracy",
        "average_incremental_accuracy",
        "forgetting",
    }
    seen: list[int] = []
    for index, entry in enumerate(metrics["experiences"]):
        assert set(entry) == {
            "classes",
            "class_names",
            "accuracy_seen",
            "accuracy_old",
            "accuracy_new",
            "accuracy_by_experience",
            "parameters",
            "state_bytes",
            "stored_bytes",
            "calibration_bytes",
            "train_seconds",
            "images_per_second",
            "novelty",
            "novelty_missing",
            "novelty_others",
            "novelty_forgotten",
            "flagged",
        }
        seen += entry["classes"]
        assert entry["class_names"] == [str(label) for label in entry["classes"]]
        assert len(entry["accuracy_by_experience"]) == index + 1
        for quality in entry["novelty"].values():
            assert set(quality) == {"auroc", "fpr95", "fpr95_known_positive", "aupr", "oscr"}
            assert all(0 <= value <= 1 for value in quality.values())
    assert sorted(seen) == list(range(10))
    assert set(metrics["experiences"][0]["novelty"]) == set(SCORES)
    assert metrics["experiences"][-1]["novelty"] == {}


def test_parameters_and_state_never_grow(metrics):
    assert len({entry["parameters"] for entry in metrics["experiences"]}) == 1
    assert len({entry["state_bytes"] for entry in metrics["experiences"]}) == 1


def test_the_folder_holds_what_the_documentation_says(folder):
    names = {path.name for path in folder.iterdir()}
    assert {"config.yaml", "metrics.json", "model", "checkpoints", "report.html"} <= names
    assert any(name.startswith("events.out.tfevents") for name in names)
    steps = [path.name for path in sorted((folder / "checkpoints").glob("step-*"))]
    assert len(steps) == 2  # checkpoint.keep
    assert all(re.fullmatch(r"step-\d{9}", step) for step in steps)
    names = {path.name for path in (folder / "checkpoints" / steps[-1]).iterdir()}
    assert names == {"SHA256SUMS", "state.json", "tensors.safetensors"}
    assert {path.name for path in (folder / "model").iterdir()} == {
        "SHA256SUMS",
        "calibration.safetensors",
        "learner.json",
        "model.json",
        "state.json",
        "state.safetensors",
        "weights.safetensors",
    }
    hidden = [path.name for path in folder.rglob("*") if path.name.startswith(".")]
    assert hidden == [".lock"]
    assert not [path for path in folder.rglob("*") if path.suffix in {".pt", ".pth", ".pkl"}]


def test_the_saved_configuration_says_everything(folder):
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    assert sorted(config["scenario"]["class_order"]) == list("0123456789")
    assert config["loss"]["unknown_prior"] is not None


def test_the_saved_model_predicts_as_the_run_did(folder, metrics):
    model, spec = load_model(folder)
    data = load_digits(Source())
    with torch.no_grad():
        predicted = model(data.test.images).argmax(-1)
    accuracy = float((predicted == torch.tensor(data.test.targets)).double().mean())
    assert accuracy == pytest.approx(metrics["final"]["last_accuracy"])
    assert spec.class_names == data.class_names


def test_the_saved_detector_flags_as_the_run_did(folder, metrics):
    model, _ = load_model(folder)
    detector = load_detector(folder, model.head)
    with torch.no_grad():
        z = model.embed(load_digits(Source()).test.images)
    flagged = float((detector.predict(z) == -1).double().mean())
    assert flagged == pytest.approx(metrics["experiences"][-1]["flagged"]["known"])
    other = load_detector(folder, model.head, score="gap", fpr=0.2)
    assert (other.score_name, other.fpr) == ("gap", 0.2)
    assert torch.equal(other.known, detector.known)


def test_without_held_out_images_there_is_no_detector(tmp_path):
    result = run(*QUICK, "novelty.holdout=0", f"run.dir={tmp_path / 'run'}")
    assert "1,347 training images" in result.output
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text(encoding="utf-8"))
    first = metrics["experiences"][0]
    assert first["flagged"] == {}
    assert "mass" in first["novelty"]
    assert "auto" not in first["novelty"]
    model, _ = load_model(tmp_path / "run")
    with pytest.raises(LSCError, match=r"holds no calibration.*novelty\.holdout"):
        load_detector(tmp_path / "run", model.head)


def test_without_replay_every_score_is_measured_and_calibrated(tmp_path):
    settings = ["replay.size=0", "novelty.score=gap", "scenario.experiences=2"]
    result = run(*QUICK[:2], *settings, f"run.dir={tmp_path / 'run'}")
    assert result.exit_code == 0, result.output
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text(encoding="utf-8"))
    assert set(metrics["experiences"][0]["novelty"]) == set(SCORES)
    assert metrics["experiences"][0]["flagged"]["known"] < 0.2
    model, _ = load_model(tmp_path / "run")
    assert load_detector(tmp_path / "run", model.head, score="mahalanobis").known is not None


def test_too_few_held_out_images_are_said(tmp_path):
    settings = ["data.train_per_class=20", "scenario.experiences=2", "novelty.holdout=0.1"]
    result = run(*QUICK[:2], *settings, f"run.dir={tmp_path / 'run'}")
    assert result.exit_code == 0, result.output
    assert re.search("needs 19 or more.*bring more", result.output.replace("\n", " "))


def test_others_that_cannot_be_told_apart_are_refused(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        np.savez(tmp_path / folder / "x.npz", x=np.zeros((5, 8, 8), np.uint8))
    np.savez(tmp_path / "known.npz", x=np.zeros((5, 8, 8), np.uint8))
    np.savez(tmp_path / "wide.npz", x=np.zeros((5, 4, 8, 8), np.uint8))
    (tmp_path / "broken.npz").write_bytes(b"PK broken")
    (tmp_path / "empty").mkdir()
    for others, message in (
        (["a/x.npz", "b/x.npz"], "'x' is taken"),
        (["known.npz"], "'known' is taken"),
        (["wide.npz"], "whose inputs have 4 channels"),
        (["broken.npz"], "cannot be read as an .npz file"),
        (["empty"], "holds no image"),
    ):
        paths = ",".join(str(tmp_path / other) for other in others)
        result = run(*QUICK, f"novelty.others=[{paths}]", f"run.dir={tmp_path / 'run'}")
        assert isinstance(result.exception, LSCError)
        assert message in str(result.exception)
        assert not (tmp_path / "run").exists()


def test_other_data_sets_are_kept_apart(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (50, 20, 20, 3), dtype=np.uint8)
    np.savez(tmp_path / "noise.npz", x_test=images)
    settings = [f"novelty.others=[{tmp_path / 'noise.npz'}]", f"run.dir={tmp_path / 'run'}"]
    result = run(*QUICK, *settings)
    assert result.exit_code == 0, result.output
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text(encoding="utf-8"))
    last = metrics["experiences"][-1]
    assert set(last["novelty_others"]) == {"noise"}
    assert last["novelty_others"]["noise"]["auto"]["auroc"] > 0.9
    assert last["novelty"] == {}
    assert set(last["flagged"]) == {"known", "noise"}
    assert last["flagged"]["noise"] > 0.5 > last["flagged"]["known"]


def without_times(metrics: dict) -> dict:
    plain = json.loads(json.dumps(metrics))
    for entry in plain["experiences"]:
        del entry["train_seconds"], entry["images_per_second"]
    return plain


def test_the_same_seed_gives_the_same_metrics_and_another_seed_others(folder, metrics, tmp_path):
    torch.rand(7)  # whatever happened before in the process
    for name, seed in (("again", 0), ("other", 1)):
        assert run(*QUICK, f"seed={seed}", f"run.dir={tmp_path / name}").exception is None
    again, other = (
        json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("again", "other")
    )
    assert without_times(again) == without_times(metrics)
    assert without_times(other)["experiences"] != without_times(metrics)["experiences"]


def test_json_output_is_the_metrics_and_nothing_else(tmp_path):
    command = [sys.executable, "-m", "lsc_continual", "run", *QUICK, "train.epochs=1", "--json"]
    result = subprocess.run(
        [*command, f"run.dir={tmp_path / 'r'}"], capture_output=True, text=True, check=True
    )
    assert json.loads(result.stdout) == json.loads((tmp_path / "r" / "metrics.json").read_text())


@pytest.mark.parametrize(
    "settings",
    [
        ["system=a", "system.dim=16", "allocation=spread"],
        ["system=hypercube", "system.dim=24", "loss=cosine"],
        ["system=simplex", "system.dim=16", "allocation=affinity"],
        ["system=permutohedron", "system.dim=9", "loss=euclidean", "train.optimizer=sgd"],
        ["system=dyadic1", "system.dim=16", "train.schedule=constant", *ONLY_NEW],
        ["scenario.base_classes=4", "scenario.increment=3", "loss.normalize=false"],
    ],
)
def test_systems_losses_and_splits_combine(settings, tmp_path):
    result = run(*QUICK[:2], *settings, f"run.dir={tmp_path / 'r'}")
    assert result.exception is None, result.output
    final = json.loads((tmp_path / "r" / "metrics.json").read_text())["final"]
    assert final["average_incremental_accuracy"] > 0.4


WRONG = [
    (["system=v21", "system.dim=3"], r"10 classes do not fit 'v21' .* system\.dim=4 or more"),
    (["system.dim=2"], "needs at least 3 dimensions"),
    (["scenario=split-mnist", "data.download=false", "data.root=/nowhere"], "MNIST is not in"),
    (["run.dir=/dev/null/x"], "cannot be written"),
    (["train.device=cuda:99"], "train.device=cuda:99 is not available here"),
    (["train.device=tpu9"], "is not available here"),
    (["scenario.experiences=11"], "cannot fill 11 experiences"),
    (["scenario.class_order=[0,1]"], "names each class once: missing '2', '3', '4', '5', '6', …"),
    (["data.mean=[0.1,0.2]", "data.std=[1,1]"], "data.mean has 2 values"),
    (["encoder=resnte-small"], "did you mean 'resnet-small'"),
    (["system=permutohedron", "system.dim=9", "loss.unknown_prior=0.5"], "not tractable"),
    (["loss=softmax", "system=v55"], "use dim=209 or less"),
    (["novelty.score=atuo"], "unknown novelty score 'atuo': did you mean 'auto'"),
    (["novelty.fpr=0.001", "novelty.size=100"], "to novelty.size=2000 for example"),
    (["novelty.score=mass", "system=permutohedron", "system.dim=11"], "use auto, maxcos"),
    (["novelty.others=[nowhere]"], "is no scenario with data of its own, no folder"),
]


@pytest.mark.parametrize(("settings", "message"), WRONG, ids=lambda v: str(v)[:40])
def test_wrong_settings_are_refused_before_anything_is_written(
    settings, message, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    result = run(*settings)
    assert isinstance(result.exception, LSCError)
    assert re.search(message, str(result.exception))
    assert "\n" not in str(result.exception)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_is_left_alone(folder):
    before = (folder / "metrics.json").read_bytes()
    result = run(*QUICK, f"run.dir={folder}")
    assert "is not empty: choose another run.dir" in str(result.exception)
    assert (folder / "metrics.json").read_bytes() == before


def test_runs_without_a_folder_are_numbered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert run(*QUICK, "train.epochs=1").exception is None
    names = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert names == ["split-digits-lsc-seed0", "split-digits-lsc-seed0-2"]


def test_a_loss_that_is_not_a_number_stops_and_keeps_the_last_good_state(tmp_path, monkeypatch):
    experiences = iter(range(100))
    settle = TrainingProgress.before_training_exp

    def poison(self, strategy, **kwargs):
        settle(self, strategy, **kwargs)
        if next(experiences) == 2:
            for group in strategy.optimizer.param_groups:
                group["lr"] = math.inf

    monkeypatch.setattr(TrainingProgress, "before_training_exp", poison)
    result = run(*QUICK, "train.schedule=constant", f"run.dir={tmp_path / 'r'}")
    assert isinstance(result.exception, LSCError)
    assert "the loss became nan in experience 3, epoch 1" in str(result.exception)
    assert f"what was learned before is in {tmp_path / 'r'}" in str(result.exception)
    metrics = json.loads((tmp_path / "r" / "metrics.json").read_text())
    assert len(metrics["experiences"]) == 2
    model, _ = load_model(tmp_path / "r")
    assert len(model.head.targets) == 4
    assert all(torch.isfinite(p).all() for p in model.parameters())


@pytest.mark.parametrize("damage", ["missing", "weights", "json", "format", "foreign"])
def test_damaged_models_are_refused_in_a_sentence(folder, tmp_path, damage):
    copy = tmp_path / "model"
    shutil.copytree(folder / "model", copy)
    description = json.loads((copy / "model.json").read_text())
    if damage == "missing":
        (copy / "weights.safetensors").unlink()
    elif damage == "weights":
        (copy / "weights.safetensors").write_bytes(b"\0" * 100)
    elif damage == "json":
        (copy / "model.json").write_text("{")
    elif damage == "format":
        (copy / "model.json").write_text(json.dumps(description | {"format": 99}))
    else:
        description["spec"]["dim"] = 17
        (copy / "model.json").write_text(json.dumps(description))
    with pytest.raises(LSCError, match=r"holds no model|is damaged|has format 99") as caught:
        load_model(copy)
    assert "\n" not in str(caught.value)


def test_repeated_images_are_said_and_written(tmp_path):
    x = np.random.default_rng(0).integers(256, size=(80, 6, 6)).astype(np.uint8)
    y = np.arange(80) % 4
    x[1] = x[0]
    np.savez(tmp_path / "d.npz", x_train=x, y_train=y, x_test=x[:12], y_test=y[:12])
    settings = ["scenario=arrays", f"data.root={tmp_path}/d.npz", f"run.dir={tmp_path}/r"]
    quick = ["encoder=mlp", "system.dim=32", "train.epochs=1", "scenario.increment=2"]
    result = CliRunner().invoke(app, ["run", *settings, *quick])
    said = "12 of the test images among the training images; 1 of the images in several classes"
    assert f"the same images: {said}" in result.output
    written = json.loads((tmp_path / "r" / "stream.json").read_text(encoding="utf-8"))
    assert written["repeated_images"] == {
        "tested_and_trained": 12,
        "in_several_classes": 1,
        "compared": "pixels",
    }


def test_a_class_without_a_test_image_is_trained_on(tmp_path):
    x = np.random.default_rng(0).integers(256, size=(51, 6, 6)).astype(np.uint8)
    y = np.array([0] + [1, 2, 3, 4, 5] * 10)
    np.savez(tmp_path / "d.npz", x_train=x, y_train=y)
    settings = ["scenario=arrays", f"data.root={tmp_path}/d.npz", "data.single_images=train"]
    quick = ["encoder=mlp", "system.dim=32", "train.epochs=1", "novelty.holdout=0"]
    folder = tmp_path / "r"
    command = ["run", *settings, *quick, f"run.dir={folder}"]
    result = CliRunner().invoke(app, [*command, "scenario.increment=3"])
    assert result.exit_code == 0, result.output
    images = json.loads((folder / "stream.json").read_text(encoding="utf-8"))["images"]
    assert images["0"] == {"found": 1, "training": 1, "test": 0, "held_out": 0, "left_out": {}}
    command[-1] = f"run.dir={tmp_path}/other"
    result = CliRunner().invoke(app, [*command, "scenario.increment=1"])
    assert "has no test image, as its classes (0) have one image each that can be read" in str(
        result.exception
    )


@pytest.mark.parametrize("seed", range(4))
def test_classes_without_a_test_image_are_spread_over_experiences(tmp_path, seed):
    x = np.random.default_rng(0).integers(256, size=(42, 6, 6)).astype(np.uint8)
    y = np.array([0, 1] + [2, 3, 4, 5] * 10)
    np.savez(tmp_path / "d.npz", x_train=x, y_train=y)
    settings = ["scenario=arrays", f"data.root={tmp_path}/d.npz", "data.single_images=train"]
    quick = ["encoder=mlp", "system.dim=32", "train.epochs=1", "novelty.holdout=0", f"seed={seed}"]
    command = ["run", *settings, *quick, f"run.dir={tmp_path}/r", "scenario.experiences=3"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output


def test_an_order_may_name_a_class_that_is_left_out(tmp_path):
    x = np.random.default_rng(0).integers(256, size=(41, 6, 6)).astype(np.uint8)
    y = np.array([0] + [1, 2, 3, 4] * 10)
    np.savez(tmp_path / "d.npz", x_train=x, y_train=y)
    settings = ["scenario=arrays", f"data.root={tmp_path}/d.npz", "novelty.holdout=0"]
    quick = ["encoder=mlp", "system.dim=32", "train.epochs=1", "scenario.class_order=[4,3,0,2,1]"]
    result = CliRunner().invoke(app, ["run", *settings, *quick, f"run.dir={tmp_path}/r"])
    assert result.exit_code == 0, result.output
    arrived = json.loads((tmp_path / "r" / "metrics.json").read_text(encoding="utf-8"))
    assert [e["class_names"] for e in arrived["experiences"]] == [["4"], ["3"], ["2"], ["1"]]

"""`lsc-cl eval`, against figures computed another way."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from lsc_continual import StreamClassifier
from lsc_continual.cli.main import app
from lsc_continual.errors import LSCError
from lsc_continual.runs.configuration import resolve
from lsc_continual.runs.run import run
from lsc_continual.streaming.evaluating import _class_of
from tests.scenarios.layouts import classes, put


def evaluated(*arguments: object) -> dict:
    result = CliRunner().invoke(app, ["eval", *map(str, arguments), "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_figures_are_those_of_the_images(digits_run, photos, digits):
    figures = evaluated(digits_run, photos, "--fpr", "0.2")
    images, labels = digits
    rows = np.concatenate([np.flatnonzero(labels == label)[:7] for label in range(10)])
    said = StreamClassifier.load(digits_run, fpr=0.2).predict(
        torch.from_numpy(images[rows]).unsqueeze(1)
    )
    known = labels[rows] < 8
    right = np.array([answer.label for answer in said]) == labels[rows].astype(str)
    alarm = np.array([not answer.known for answer in said])
    novelty = np.array([answer.novelty for answer in said])
    assert (figures["known"], figures["known_classes"]) == (56, 8)
    assert (figures["unknown"], figures["unknown_classes"]) == (14, 2)
    assert figures["failed"] == 0
    assert figures["fpr"] == 0.2
    assert figures["accuracy"] == pytest.approx(right[known].mean())
    assert figures["false_alarms"] == pytest.approx(alarm[known].mean())
    assert figures["detected"] == pytest.approx(alarm[~known].mean())
    assert figures["auroc"] == pytest.approx(roc_auc_score(~known, novelty))


def test_without_calibration_or_unknown_classes_it_tells_what_it_can(uncalibrated_run, photos):
    for name in "89":
        for path in (photos / name).iterdir():
            path.unlink()
    figures = evaluated(uncalibrated_run, photos)
    assert figures["accuracy"] > 0.8
    left_open = (
        "fpr",
        "false_alarms",
        "detected",
        "auroc",
        "fpr95",
        "fpr95_known_positive",
        "oscr",
    )
    assert [figures[name] for name in left_open] == [None] * len(left_open)


def test_the_table_names_what_could_not_be_read(digits_run, photos):
    (photos / "3" / "0.png").write_bytes(b"broken")
    result = CliRunner().invoke(app, ["eval", str(digits_run), str(photos)])
    assert result.exit_code == 1
    assert "55 of 8 classes" in result.stdout
    assert "could not be read" in result.stdout
    assert "accuracy on known" in result.stdout


def test_a_folder_without_classes_is_refused(digits_run, photos, tmp_path):
    for folder, message in (
        (photos / "0", "has no folders with images"),
        (tmp_path / "x", "there is no"),
    ):
        with pytest.raises(LSCError, match=message):
            CliRunner().invoke(app, ["eval", str(digits_run), str(folder)], catch_exceptions=False)


def test_class_names_may_span_folders():
    learned = {"Greek/alpha", "cat"}
    assert _class_of("Greek/alpha/1.png", learned) == "Greek/alpha"
    assert _class_of("cat/2024/1.png", learned) == "cat"
    assert _class_of("Greek/beta/1.png", learned) == "Greek"


def test_the_test_images_of_the_run_say_what_the_run_said(digits_run):
    result = CliRunner().invoke(app, ["eval", str(digits_run), "--json"])
    figures = json.loads(result.stdout)
    metrics = json.loads((digits_run / "metrics.json").read_text(encoding="utf-8"))
    latest = metrics["experiences"][-1]
    arrived = {name for entry in metrics["experiences"] for name in entry["class_names"]}
    assert figures["known_classes"] == len(arrived)
    assert figures["accuracy"] == pytest.approx(latest["accuracy_seen"])
    assert figures["false_alarms"] == pytest.approx(latest["flagged"]["known"])


@pytest.mark.parametrize("keys", [("x_test", "y_test"), ("x", "y")])
def test_labelled_arrays_are_measured_as_their_files_are(digits_run, photos, tmp_path, keys):
    from_files = evaluated(digits_run, photos)
    paths = sorted(photos.rglob("*.png"))
    x = np.stack([np.asarray(Image.open(path)) for path in paths])
    labels = np.array([path.parent.name for path in paths])
    names, numbers = np.unique(labels, return_inverse=True)
    for name, arrays in {
        "names": {keys[1]: labels},
        "numbers": {keys[1]: numbers, "class_names": names},
    }.items():
        np.savez(tmp_path / f"{name}.npz", **{keys[0]: x}, **arrays)
        assert evaluated(digits_run, tmp_path / f"{name}.npz") == from_files
    np.savez(tmp_path / "bare.npz", x=x)
    result = CliRunner().invoke(app, ["eval", str(digits_run), str(tmp_path / "bare.npz")])
    assert "has no x_test and y_test (or x and y)" in str(result.exception)


def test_a_model_folder_alone_has_no_test_images(digits_run):
    result = CliRunner().invoke(app, ["eval", str(digits_run / "model")])
    assert "is no run folder" in str(result.exception)


@pytest.mark.parametrize("memory", [4, 0])
def test_images_that_the_run_was_trained_on_are_counted(tmp_path, memory):
    root = classes(tmp_path / "data", "ant bee", 10)
    settings = ["encoder=mlp", "train.epochs=1", "system.dim=16", "data.resolution=16"]
    settings += ["scenario=folder", f"data.root={root}", f"data.memory={memory}"]
    folder = run(resolve([*settings, f"run.dir={tmp_path / 'run'}"]), Console(quiet=True))
    assert evaluated(folder)["trained_on"] == 0
    assert evaluated(folder, root)["trained_on"] == 16
    assert evaluated(folder / "model", root)["trained_on"] == 16
    split = json.loads((folder / "stream.json").read_text(encoding="utf-8"))["split"]
    for number, path in enumerate([split["train"][0], split["test"][0], split["test"][1]]):
        target = tmp_path / "few" / "ant" / f"{number}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / path, target)
    figures = evaluated(folder, tmp_path / "few")
    assert (figures["known"], figures["trained_on"]) == (3, 1)
    table = CliRunner().invoke(app, ["eval", str(folder), str(tmp_path / "few")]).stdout
    assert re.search(r"of these, trained on +│ +1 │", table)
    for number in range(20):  # with other data, the split that a new run would draw is another
        put(root / "ant" / f"0{number}.png", 40 + number)
    assert evaluated(folder)["trained_on"] == 0
    assert evaluated(folder)["known"] == 4


def test_of_a_model_without_its_run_nothing_is_said_of_its_training(digits_run, photos, tmp_path):
    shutil.copytree(digits_run / "model", tmp_path / "model")
    assert evaluated(tmp_path / "model", photos)["trained_on"] is None
    (digits_run / "training-images.safetensors").rename(tmp_path / "kept")
    try:
        assert evaluated(digits_run, photos)["trained_on"] is None
        (digits_run / "training-images.safetensors").write_bytes(b"nothing")
        result = CliRunner().invoke(app, ["eval", str(digits_run), str(photos)])
        assert "training-images.safetensors cannot be read" in str(result.exception)
    finally:
        (tmp_path / "kept").replace(digits_run / "training-images.safetensors")


def test_data_that_are_others_now_are_refused_and_what_was_added_does_not_matter(tmp_path):
    x = np.random.default_rng(0).integers(256, size=(80, 5, 5)).astype(np.uint8)
    content = {"x_train": x[:60], "y_train": np.arange(60) % 4}
    content |= {"x_test": x[60:], "y_test": np.arange(20) % 4}
    np.savez(tmp_path / "d.npz", **content)
    settings = ["encoder=mlp", "train.epochs=1", "system.dim=16", "scenario=arrays"]
    settings += [f"data.root={tmp_path}/d.npz", f"run.dir={tmp_path}/run", "novelty.holdout=0"]
    folder = run(resolve(settings), Console(quiet=True))
    before = evaluated(folder)
    assert (before["known"], before["score"]) == (20, "mass")
    more = {key: np.concatenate([part, part[:7]]) for key, part in content.items()}
    np.savez(tmp_path / "d.npz", **more)
    assert evaluated(folder) == before
    np.savez(tmp_path / "d.npz", **content | {"x_test": x[60:] // 2})
    result = CliRunner().invoke(app, ["eval", str(folder)])
    assert "not those that the run was started with (images of class 0" in str(result.exception)
    np.savez(tmp_path / "d.npz", x_train=content["x_train"], y_train=content["y_train"])
    result = CliRunner().invoke(app, ["eval", str(folder)])
    assert "the run was started with" in str(result.exception)
    (tmp_path / "d.npz").unlink()
    result = CliRunner().invoke(app, ["eval", str(folder)])
    assert "call this in the folder that the run was started in" in str(result.exception)


def test_a_run_on_some_of_the_images_of_each_class_finds_its_test_images(tmp_path):
    settings = ["encoder=mlp", "train.epochs=1", "system.dim=16", "data.train_per_class=20"]
    folder = run(resolve([*settings, f"run.dir={tmp_path / 'run'}"]), Console(quiet=True))
    assert (evaluated(folder)["known"], evaluated(folder)["trained_on"]) == (450, 0)

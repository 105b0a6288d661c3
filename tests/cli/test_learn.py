"""`lsc-cl learn`, `forget`, `merge` and `show MODEL`: a model that people keep."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from lsc_continual import Classifier
from lsc_continual.cli.main import app
from lsc_continual.errors import LSCError
from lsc_continual.storage.folders import write_folder
from lsc_continual.storage.locking import locked
from tests.classifier.test_living import NAMES, vectors
from tests.processes import Process
from tests.scenarios.layouts import broken

SMALL = ["analytic.features=40", "system.dim=16", "novelty.fpr=0.1"]


def lsc_cl(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def done(*arguments: object) -> dict:
    result = lsc_cl(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A small model, and the data that it learned."""
    folder = tmp_path_factory.mktemp("learned")
    data = table(folder / "a", slice(100), ".npz")
    done("learn", folder / "m", data, *SMALL)
    return folder / "m", data


@pytest.fixture
def model(learned: tuple[Path, Path], tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(learned[0], tmp_path / "m"))


@pytest.fixture
def data(learned: tuple[Path, Path]) -> Path:
    return learned[1]


def table(path: Path, rows: slice, kind: str) -> Path:
    """Some of the vectors, as people keep them."""
    x, labels = vectors(400)
    x, labels = x[rows], labels[rows]
    path = path.with_suffix(kind)
    if kind == ".npz":
        np.savez(path, x=x, y=labels)
    elif kind == ".npy":
        np.save(path, x)
        path.with_suffix(".labels.txt").write_text("\n".join(labels), encoding="utf-8")
    elif kind == ".jsonl":
        lines = [
            json.dumps({"vector": row.tolist(), "label": label})
            for row, label in zip(x, labels, strict=True)
        ]
        path.write_text("\n".join(lines), encoding="utf-8")
    elif kind == ".csv":
        lines = [f'"{row.tolist()}",{label}' for row, label in zip(x, labels, strict=True)]
        path.write_text("embedding,class\n" + "\n".join(lines), encoding="utf-8")
    else:
        pyarrow = pytest.importorskip("pyarrow")
        content = {"vector": list(x), "label": labels}
        pytest.importorskip("pyarrow.parquet").write_table(pyarrow.table(content), path)
    return path


@pytest.mark.parametrize("kind", [".npz", ".npy", ".jsonl", ".csv", ".parquet"])
def test_tables_of_vectors_are_learned_whatever_they_are_kept_in(tmp_path, kind):
    model = tmp_path / "models" / "parts"
    first = done("learn", model, table(tmp_path / "a", slice(200), kind), *SMALL)
    assert (first["examples"], sorted(first["new"])) == (200, sorted(NAMES))
    second = done("learn", model, table(tmp_path / "b", slice(200, 400), kind))
    assert (second["examples"], second["new"], second["classes"]) == (200, [], len(NAMES))
    x, labels = vectors(400)
    living, whole = Classifier.load(model), Classifier.create(features=40, dim=16, fpr=0.1)
    whole.learn(x, labels)
    assert [one.label for one in living.predict(x)] == [one.label for one in whole.predict(x)]
    assert sorted(path.name for path in model.parent.iterdir()) == ["parts"]
    figures = json.loads(lsc_cl("eval", model, tmp_path / f"a{kind}", "--json").stdout)
    assert (figures["known"], figures["trained_on"]) == (200, None)
    assert figures["accuracy"] > 0.9


def test_photos_are_learned_on_the_encoder_of_a_run_and_streamed(digits_run, photos, tmp_path):
    unreadable = broken(photos / "3")
    result = lsc_cl("learn", tmp_path / "m", photos, f"encoder={digits_run}", *SMALL)
    assert result.exit_code == 1  # some are left out
    assert result.output.count("left out: ") == len(unreadable)
    assert "learned 70 examples; 10 classes, 10 new (0, 1, 2, 3, 4, …)" in result.output
    figures = lsc_cl("eval", tmp_path / "m", photos, "--json")
    figures = json.loads(figures.stdout)
    assert (figures["known"], figures["known_classes"], figures["failed"]) == (70, 10, 3)
    assert figures["accuracy"] > 0.9
    streamed = lsc_cl("stream", tmp_path / "m", photos / "5")
    labels = [json.loads(line)["label"] for line in streamed.stdout.splitlines()]
    assert labels.count("5") > 5


def test_what_a_retired_class_taught_is_taken_out_and_counted(model, tmp_path):
    x, names = (part[:100] for part in vectors(400))  # what the model learned
    of_3 = names == "class 3"
    np.savez(tmp_path / "three.npz", x=x[of_3], y=names[of_3])
    done("forget", model, "class 3")
    taken = done("forget", model, "--data", tmp_path / "three.npz")
    assert taken == {"examples": int(of_3.sum()), "gone": [], "classes": 8}


def test_classes_are_forgotten_and_models_merged(tmp_path):
    model, data = tmp_path / "m", table(tmp_path / "a", slice(400), ".npz")
    done("learn", model, data, *SMALL)
    assert done("forget", model, "class 3") == {"examples": 0, "gone": ["class 3"], "classes": 8}
    shown = done("show", model)
    assert list(shown["retired"]) == ["class 3"]
    assert len(shown["classes"]) == 8
    assert shown["calibration"] == "auto, false alarms at 0.1"
    assert [entry["what"] for entry in shown["history"]] == ["learn", "forget"]
    assert done("forget", model, "class 3", "class 4", "--data", data)["gone"] == ["class 4"]
    assert list(done("show", model)["retired"]) == []
    other = tmp_path / "other"
    x, labels = vectors(400)
    rows = np.isin(labels, ["class 3", "class 4"])
    np.savez(tmp_path / "rest.npz", x=x[rows], y=labels[rows])
    done("learn", other, tmp_path / "rest.npz", *SMALL)
    merged = done("merge", model, other, "--into", tmp_path / "both")
    assert merged == {"classes": 9, "examples": 400}
    whole = Classifier.create(features=40, dim=16, fpr=0.1)
    whole.learn(x, labels)
    test, _ = vectors(300, seed=3)
    said = Classifier.load(tmp_path / "both").predict(test)
    assert [(o.label, o.known) for o in said] == [(o.label, o.known) for o in whole.predict(test)]
    text = lsc_cl("show", tmp_path / "both").output
    assert "class 8" in text
    assert "v22 in 16 dimensions" in text


def test_mistakes_are_one_sentence_and_the_model_is_as_it_was(tmp_path, model, data):
    before = {path.name: path.read_bytes() for path in model.iterdir()}
    (tmp_path / "empty").mkdir()
    np.savez(tmp_path / "narrow.npz", x=np.zeros((3, 5)), y=["a", "b", "c"])
    np.savez(tmp_path / "nan.npz", x=np.full((3, 12), np.nan), y=["a", "b", "c"])
    (tmp_path / "bad.jsonl").write_text('{"vector": [1, 2], "label": "a"}\n{"x"', encoding="utf-8")
    (tmp_path / "odd.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    (tmp_path / "a.txt").touch()
    mistakes = {
        ("learn", model): "Missing argument",
        ("learn", model, "nowhere"): "there is no nowhere",
        ("learn", model, "seed=1"): "name what is to be learned",
        ("learn", model, data, "seed=1"): "has its settings already: leave out seed",
        (
            "learn",
            tmp_path / "n",
            data,
            "train.epochs=1",
        ): "for learner=replay: leave it out, or add",
        ("learn", tmp_path / "n", data, "run.dir=x"): "run.dir is no setting of a model",
        ("learn", tmp_path / "n", data, "learner=deep"): "unknown learner 'deep': choose one of",
        ("learn", tmp_path / "n", data, "sede=1"): "did you mean 'seed'",
        ("learn", tmp_path / "n", data, "novelty.fpr=7"): "novelty.fpr=7.0 is out of range",
        ("learn", model, tmp_path / "empty"): "no class folders with images",
        ("learn", model, tmp_path / "narrow.npz"): "none of the 3 examples can be read",
        ("learn", model, tmp_path / "nan.npz"): "none of the 3 examples can be read",
        ("learn", model, tmp_path / "bad.jsonl"): "line 2 of .* is no JSON",
        ("learn", model, tmp_path / "odd.csv"): "has the columns a, b: it needs one of labels",
        ("learn", model, tmp_path / "a.txt"): "is no folder and none of .npz",
        ("learn", tmp_path / "empty" / "x", tmp_path / "b.npz"): "there is no",
        ("forget", model): "name the classes to forget",
        ("forget", model, "nobody"): "does not know 'nobody'",
        ("forget", model, "nobody", "--data", data): "has no examples of nobody",
        ("forget", tmp_path / "nowhere", "a"): "there is no folder",
        ("merge", model, "--into", tmp_path / "x"): "name two models or more",
        ("show", tmp_path / "nowhere"): "is no folder of a model, and no setting",
        ("show", tmp_path / "empty"): "holds no model",
    }
    for arguments, message in mistakes.items():
        result = lsc_cl(*arguments)
        said = str(result.exception) if isinstance(result.exception, LSCError) else result.output
        assert result.exit_code != 0, arguments
        assert re.search(message, said), (arguments, said)
    with locked(model):
        result = lsc_cl("learn", model, data)
    assert "another process is at work on" in str(result.exception)
    assert {path.name: path.read_bytes() for path in model.iterdir()} == before


def test_killed_at_any_moment_the_model_is_the_one_before_or_the_one_after(tmp_path):
    data = table(tmp_path / "a", slice(200), ".npz")
    more = table(tmp_path / "b", slice(200, 400), ".npz")
    model = tmp_path / "m"
    done("learn", model, data, *SMALL)

    def examples() -> int:
        return sum(known.examples for known in Classifier.load(model).classes.values())

    def begin() -> Process:
        return Process(tmp_path, "learn", str(model), str(more))

    start = time.monotonic()
    assert begin().end()[0] == 0
    took = time.monotonic() - start
    outcomes = set()
    for kill in range(6):
        before = examples()
        process = begin()
        time.sleep(random.Random(kill).uniform(0.1, 1.1) * took)
        process.stop()  # by SIGKILL
        outcomes.add(examples() - before)
    assert outcomes <= {0, 200}
    done("learn", model, data)
    assert not [path for path in os.listdir(tmp_path) if path.startswith(".m")]


def reseal(model: Path, change) -> None:
    """The same model with another description."""
    files = {p.name: p.read_bytes() for p in model.iterdir() if p.name != "SHA256SUMS"}
    description = json.loads(files["model.json"])
    change(description["life"])
    write_folder(model, {**files, "model.json": json.dumps(description).encode()})


def test_what_a_model_says_is_inert(model):
    def change(life: dict) -> None:
        life["life"]["known"]["class 3"]["since"] = "\x1b]0;x\x07[/nope]"
        life["life"]["history"][0] |= {"when": "\x1b[2J[link=x]y", "what": "\x9b", "source": "\x1b"}

    reseal(model, change)
    for arguments in ((model,), (model, "--json")):
        result = lsc_cl("show", *arguments)
        assert result.exit_code == 0, result.output
        assert not set(result.output) & set("\x1b\x9b\x07")


@pytest.mark.parametrize(
    "wrong",
    [
        lambda life: life["life"]["known"]["class 3"].update(examples=float("inf")),
        lambda life: life["life"]["known"]["class 3"].update(examples="x"),
        lambda life: life["life"].update(history="999"),
        lambda life: life["memory"].update(penalty=10**400),
        lambda life: life.pop("life"),
        lambda life: life.update(fpr=[]),
    ],
)
@pytest.mark.parametrize("verb", ["show", "learn", "merge"])
def test_a_model_that_makes_no_sense_is_damaged(tmp_path, model, data, wrong, verb):
    reseal(model, wrong)
    arguments = {"show": (), "learn": (data,), "merge": (model, "--into", tmp_path / "x")}[verb]
    result = lsc_cl(verb, model, *arguments)
    if verb == "show" and result.exit_code == 0:
        return  # it does not look at that
    assert isinstance(result.exception, LSCError), result.exception
    assert "is damaged" in str(result.exception)


def test_numbers_beyond_all_measure_are_left_out_and_what_came_before_is_said(
    tmp_path, model, data
):
    x = vectors(5)[0].astype(np.float64)
    x[1, 2], x[3, 4] = 3e38, 2.0**70
    np.savez(tmp_path / "huge.npz", x=x, y=["a"] * 5)
    result = lsc_cl("learn", model, tmp_path / "huge.npz", "--json")
    assert result.exit_code == 1
    said = json.loads(result.stdout)
    assert said["examples"] == 3
    assert [line.split(":")[0] for line in said["skipped"]] == ["example 1", "example 3"]
    result = lsc_cl("learn", model, data)
    assert "100 of them were learned before, and count twice now" in result.output

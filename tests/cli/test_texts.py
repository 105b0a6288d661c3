"""Texts from end to end: learned, streamed, measured; and in runs."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from lsc_continual.errors import LSCError
from tests.cli.test_learn import SMALL, done, lsc_cl
from tests.encoders.ready_models import text_folder

SUBJECTS = {"cats": "the cat sat on a mat", "roads": "dog ran on the road"}


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture
def encoder(tmp_path) -> str:
    return f"encoder=text:{text_folder(tmp_path / 'encoder')}"


@pytest.fixture
def queries(tmp_path) -> Path:
    rows = ["text,label"]
    for name, line in SUBJECTS.items():
        words = line.split()
        rows += [f"{' '.join(words[i % 4 :] + words[: i % 3])},{name}" for i in range(12)]
    (tmp_path / "queries.csv").write_text("\n".join(rows))
    return tmp_path / "queries.csv"


def test_a_model_of_texts_learns_answers_and_forgets(queries, encoder, tmp_path, monkeypatch):
    model, cache = tmp_path / "m", tmp_path / "cache"
    learned = done("learn", model, queries, encoder, *SMALL, "--cache", cache)
    assert (learned["examples"], learned["classes"]) == (24, 2)
    (tmp_path / "encoder").rename(tmp_path / "gone")  # the model has all it needs
    assert done("eval", model, queries, "--cache", cache)["accuracy"] == 1
    assert done("show", model)["encoder"] == "text:encoder"
    lines = '{"id": "q", "text": "the cat sat"}\n\nthe dog ran on the road\n{"path": "a.png"}\n'
    piped = io.TextIOWrapper(io.BytesIO(lines.encode()))
    monkeypatch.setattr("sys.stdin", piped)
    result = lsc_cl("stream", model, queries)
    said = [json.loads(line) for line in result.stdout.splitlines()]
    assert [answer["id"] for answer in said] == list(range(1, 25))
    assert {answer["label"] for answer in said} == set(SUBJECTS)
    (tmp_path / "some.jsonl").write_text(
        '{"id": 7, "text": "the cat sat"}\nnone\n[1]\n{"text": "dog ran"}\n'
    )
    np.savez(tmp_path / "some.npz", x=np.array(["the cat", "the road"]))
    np.save(tmp_path / "some.npy", np.array(["the cat", "the road"]))
    result = lsc_cl("stream", model, tmp_path / "some.jsonl")
    said = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(answer["id"], "error" in answer) for answer in said] == [
        (7, False),
        (2, True),
        (3, True),
        (4, False),
    ]
    assert result.exit_code == 1  # bad lines do not end the stream
    for name in ("some.npz", "some.npy"):
        lines = lsc_cl("stream", model, tmp_path / name).stdout.splitlines()
        assert [json.loads(line)["label"] for line in lines] == ["cats", "roads"]
    assert done("forget", model, "--data", queries) == {
        "examples": 24,
        "gone": ["cats", "roads"],
        "classes": 0,
    }
    assert done("learn", model, queries)["classes"] == 2  # which begins anew


def test_texts_that_do_not_fit_are_refused_in_a_sentence(queries, encoder, tmp_path):
    vectors = tmp_path / "x.jsonl"
    vectors.write_text('{"vector": [1, 2], "label": "a"}\n{"vector": [2, 1], "label": "b"}\n')
    both = tmp_path / "both.csv"
    both.write_text("text,path,label\nthe cat,a.png,cats\n")
    empty = tmp_path / "empty.csv"
    empty.write_text('text,label\n"  ",cats\n')
    done("learn", tmp_path / "m", queries, encoder, *SMALL)
    for arguments, message in {
        ("learn", tmp_path / "n", queries): "texts need an encoder: say which by encoder=text:",
        ("learn", tmp_path / "n", both): "columns of images and of texts",
        ("learn", tmp_path / "m", vectors): "holds vectors, and",
        ("learn", tmp_path / "m", empty): "row 1 of .* has no text",
        ("run", "scenario=arrays", f"data.root={queries}"): "holds texts: add encoder=text:NAME",
    }.items():
        error = lsc_cl(*arguments).exception
        assert isinstance(error, LSCError)
        assert re.search(message, str(error)), error


@pytest.mark.parametrize("strategy", ["lsc-analytic", "lsc", "replay"])
def test_runs_take_texts_and_their_models_go_on(queries, encoder, tmp_path, strategy):
    folder = tmp_path / "run"
    arguments = ["scenario=arrays", f"data.root={queries}", encoder, f"run.dir={folder}"]
    quick = ["train.epochs=1", "scenario.experiences=2", f"strategy={strategy}"]
    result = lsc_cl("run", *arguments, *quick)
    assert result.exit_code == 0, result.output
    if strategy == "replay":
        return
    assert lsc_cl("eval", folder).exit_code == 0
    with safe_open(folder / "model" / "weights.safetensors", "pt") as weights:
        assert any(name.endswith("tokenizer") for name in weights.keys())  # noqa: SIM118
    (tmp_path / "encoder").rename(tmp_path / "gone")
    assert done("learn", folder, queries)["classes"] == 2
    assert done("eval", folder, queries)["known"] == 24

"""`lsc-cl bench`: tables, JSON, plots, and mistakes that are refused before measuring."""

from __future__ import annotations

import json
from functools import partial
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from lsc_continual.bench import decode, indexes, loss, nearest, run, train
from lsc_continual.bench.settings import Settings
from lsc_continual.cli.main import app
from lsc_continual.encoders import make_encoder
from lsc_continual.errors import LSCError

TINY = ("--classes", "50,100", "--dim", "12", "--turns", "1", "--quick", "--device", "cpu")


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(decode, "_BYTES", {"cpu": 2**18})
    monkeypatch.setattr(loss, "peak_of_process", lambda *_: 2**20)
    monkeypatch.setattr(nearest, "INDEXES", (indexes.TorchExhaustive,))
    small = partial(make_encoder, "resnet-small", (3, 8, 8), options={"width": 4})
    monkeypatch.setattr(train, "ENCODERS", {"small": (small, (3, 8, 8))})


def lsc_cl(*arguments: object):
    return CliRunner().invoke(app, ["bench", *map(str, arguments)])


def test_all_parts_leave_tables_json_and_plots(tiny, tmp_path):
    result = lsc_cl("all", *TINY, "--json", tmp_path / "f.json", "--plots", tmp_path / "plots")
    assert result.exit_code == 0, result.output
    figures = json.loads((tmp_path / "f.json").read_text())
    tables = {"decode", "nearest", "loss", "loss by classes", "train"}
    assert set(figures) == {"environment", "settings"} | tables
    assert {"processor", "torch", "cpu_threads"} <= set(figures["environment"])
    assert figures["settings"]["dim"] == 12
    for part in run.TABLES.values():
        for table in part:
            assert table.title in result.stdout
    for name in ("nearest", "loss", "loss by classes", "train"):
        assert {row["classes"] for row in figures[name]} == {50, 100}
    assert all(row["disagreements"] == 0 for row in figures["nearest"] if "compared" in row)
    heads = {row["head"]: row for row in figures["loss"] if row["classes"] == 100}
    assert heads["linear head"]["parameters"] == 1200
    assert heads["structured softmax"]["parameters"] == 0
    assert all(row["memory, MiB"] == 1 for row in heads.values())
    plots = {path.stem: path for path in (tmp_path / "plots").iterdir()}
    assert set(plots) == {"decode", "nearest", "loss", "train"}
    for path in plots.values():
        assert ElementTree.parse(path).getroot().tag.endswith("svg")
    assert "11.6" in plots["train"].read_text()


def test_progress_is_told_on_standard_error(tiny):
    result = lsc_cl("decode", *TINY)
    assert "nearest: 100 classes" in result.stderr
    assert "nearest: 100 classes" not in result.stdout


def test_what_does_not_fit_the_memory_is_a_row_with_the_reason(tiny):
    result = lsc_cl("train", *TINY, "--memory", "1e-6")
    assert result.exit_code == 0
    assert "(--memory 1e-06)" in result.stdout


def test_ctrl_c_keeps_the_finished_rows(monkeypatch, tmp_path):
    def rows(settings: Settings):
        yield {"classes": 10}
        raise KeyboardInterrupt

    table = run.Table("some", "a table", rows)
    monkeypatch.setattr(run, "TABLES", {"decode": (table,)})
    result = lsc_cl("decode", *TINY, "--json", tmp_path / "f.json")
    assert result.exit_code == 130
    assert result.stderr.endswith(f"interrupted; the finished rows are in {tmp_path}/f.json\n")
    assert "a table" in result.stdout
    assert json.loads((tmp_path / "f.json").read_text())["some"] == [{"classes": 10}]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["decod"], "unknown part of the bench 'decod': did you mean 'decode'?"),
        (["loss", "--system", "v2l"], "unknown system 'v2l'"),
        (["loss", "--system", "hypercube", "--dim", "20"], "compare permutation systems"),
        (["loss", "--dim", "12", "--classes", "661"], "661 classes do not fit 'v21' .* --dim 13 "),
        (["loss", "--classes", "ten"], "--classes takes whole numbers"),
        (["loss", "--classes", "-5"], "--classes takes numbers from 2 on, not -5"),
        (["loss", "--dim", "-1"], "--dim is a positive number, not -1"),
        (["loss", "--threads", "0"], "--threads is a positive number, not 0"),
        (["loss", "--turns", "-3"], "--turns is a positive number, not -3"),
        (["loss", "--memory", "-1"], "--memory is a positive number, not -1"),
        (["loss", "--memory", "nan"], "--memory is a positive number, not nan"),
        (["loss", "--build-seconds", "-1"], "--build-seconds is 0 or more, not -1"),
        (["loss", "--device", "cuda:99"], "--device cuda:99 is not available here"),
        (["loss", "--json", "/no/such/folder/f.json"], "--json /no/such/folder/f.json cannot be"),
        (["loss", "--json", "/"], "--json / is a folder"),
        (["loss", "--plots", "/dev/null/plots"], "--plots /dev/null/plots cannot be written"),
    ],
)
def test_mistakes_are_refused_before_anything_is_measured(monkeypatch, arguments, message):
    def rows(settings: Settings):
        raise AssertionError("it measures")
        yield

    for name in ("decode", "loss"):
        monkeypatch.setitem(run.TABLES, name, (run.Table("some", "a table", rows),))
    with pytest.raises(LSCError, match=message) as caught:
        CliRunner().invoke(app, ["bench", *arguments], catch_exceptions=False)
    assert "\n" not in str(caught.value)


def test_default_numbers_of_classes_end_with_the_system():
    from lsc_continual.bench.settings import resolve

    def counts(fewest: int = 10_000, **options) -> list[int]:
        return resolve(print, device="cpu", **options).class_counts(fewest)

    assert counts() == [10_000, 100_000, 1_000_000, 10_000_000, 28_090_752]
    assert counts(quick=True) == [10_000, 100_000, 1_000_000]
    assert counts(system="v11") == [10_000, 100_000, 147_072]
    assert counts(1_000, dim=12) == [660]
    assert counts(classes="300,200,300") == [200, 300]

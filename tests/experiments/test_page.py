"""The page of all results, and the command line."""

from __future__ import annotations

import sys

import pytest
import torch
from matplotlib.figure import Figure

from lsc_continual import LSCError
from experiments import __main__ as command
from experiments import claims, page
from experiments.registry import Claim
from experiments.outcome import Finding, Outcome, Settings, Table, Verdict


def measure(settings: Settings) -> Outcome:
    return Outcome(
        [
            Finding("It is fast.", f"{settings.pick(2, 9)} s", Verdict.of(True, True)),
            Finding("It is cheap.", "no", Verdict.of(False, False)),
        ],
        [Table("Prices", [{"size": 1, "price": 2.5}, {"size": 2}])],
        {"curve": Figure()},
    )


@pytest.fixture
def toy(monkeypatch) -> Claim:
    claim = Claim("toy", "arXiv 0000.00000", "Fast, cheap: a toy", "About it.", measure)
    for module in (claims, page, command):
        monkeypatch.setattr(module, "claims", lambda: {"toy": claim})
    return claim


def run(monkeypatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["reproduce", *arguments])
    command.main()


def test_a_claim_is_measured_kept_and_written_into_the_page(toy, tmp_path, monkeypatch, capsys):
    folders = ["--results", str(tmp_path / "r"), "--figures", str(tmp_path / "f")]
    run(monkeypatch, "toy", *folders, "--device", "cpu", "--page", str(tmp_path / "page.md"))
    shown = capsys.readouterr().out
    assert "holds" in shown
    assert "does not hold here" in shown
    assert (tmp_path / "f" / "toy-curve.svg").exists()
    written = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert "| It is fast. | 2 s | **holds** |" in written
    assert "| [Fast, cheap: a toy](#fast-cheap-a-toy) | arXiv 0000.00000 | 1 |  | 1 |  |" in written
    assert "took 0 minutes altogether" in written
    assert "| 1 | 2.50 |" in written
    assert "| 2 | – |" in written
    assert f"torch {torch.__version__}" in written


def test_a_claim_that_lacks_something_does_not_stop_the_others(toy, tmp_path, monkeypatch, capsys):
    def fail(settings: Settings) -> Outcome:
        raise LSCError("it needs a cake: bake one")

    broken = Claim("broken", "arXiv 0000.00001", "Broken", "About it.", fail)
    for module in (claims, page, command):
        monkeypatch.setattr(module, "claims", lambda: {"broken": broken, "toy": toy})
    folders = ["--results", str(tmp_path / "r"), "--figures", str(tmp_path / "f")]
    with pytest.raises(SystemExit) as caught:
        run(monkeypatch, "all", *folders, "--page", str(tmp_path / "page.md"))
    assert caught.value.code == 2
    said = capsys.readouterr()
    assert said.err == "error: broken was not measured: it needs a cake: bake one\n"
    assert (tmp_path / "r" / "toy.json").exists()
    assert not (tmp_path / "page.md").exists()


def test_a_page_without_all_results_is_refused(toy, tmp_path):
    with pytest.raises(LSCError, match=r"no results of toy .*python -m reproduce toy"):
        page.write_page(tmp_path / "page.md", tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["to"], "toy"),
        (["toy", "--arrays", "omniglot.npz"], "SCENARIO=FILE"),
        (["toy", "--device", "tpu"], "--device tpu"),
    ],
)
def test_wrong_arguments_are_refused_in_a_sentence(toy, arguments, message, monkeypatch, capsys):
    with pytest.raises(SystemExit) as caught:
        run(monkeypatch, *arguments)
    assert caught.value.code == 2
    errors = capsys.readouterr().err
    assert message in errors
    assert len(errors.splitlines()) == 1


def test_verdicts_come_from_parts():
    assert Verdict.of(True, True) == "holds"
    assert Verdict.of(True, False) == "holds in part"
    assert Verdict.of(False) == "does not hold here"

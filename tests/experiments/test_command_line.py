"""The command line, and the page of all claims."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from matplotlib.figure import Figure

import experiments
from experiments import __main__ as command
from experiments import arguments, page, registry
from experiments.arguments import parse
from experiments.outcome import Finding, Outcome, Table, Verdict
from experiments.registry import Experiment
from experiments.settings import Settings, option
from lsc_continual import LSCError

ROOT = Path(experiments.__file__).parents[1]


@dataclass(frozen=True)
class Options:
    price: float = option(2.5, 9.0, help="of one")
    sizes: tuple[int, ...] = option((1, 2), help="to measure")
    file: Path | None = option(None, help="to read")
    colours: tuple[str, ...] = option(("red",), help="which", choices=("red", "blue"))
    loud: bool = option(False, help="or not")


def measure(settings: Settings, options: Options) -> Outcome:
    return Outcome(
        [
            Finding("It is fast.", f"{options.price} s", Verdict.of(True, True)),
            Finding("It is cheap.", "no", Verdict.of(False, False)),
        ],
        [Table("Prices", [{"size": size, "price": options.price} for size in options.sizes])],
        {"curve": Figure()},
    )


TOY = Experiment(
    name="toy",
    paper="arXiv 0000.00000",
    title="Fast, cheap: a toy",
    about="A toy.\n\nAbout it.\n",
    measure=measure,
    options=Options,
)


def use(monkeypatch: pytest.MonkeyPatch, *known: Experiment) -> None:
    by_name = {each.name: each for each in known}
    for module in (registry, command):
        monkeypatch.setattr(module, "experiments", lambda: by_name)
    for module in (registry, page):
        monkeypatch.setattr(module, "claims", lambda: {n: e for n, e in by_name.items() if e.paper})


@pytest.fixture
def toy(monkeypatch):
    use(monkeypatch, TOY)


@pytest.fixture
def folders(tmp_path):
    return ["--results", str(tmp_path / "r"), "--figures", str(tmp_path / "f"), "--device", "cpu"]


def test_without_names_everything_is_listed(capsys):
    command.main([])
    shown = capsys.readouterr().out
    assert all(re.search(rf"\b{name}\b", shown) for name in registry.experiments())


def test_a_claim_is_measured_kept_and_written_into_the_page(toy, folders, tmp_path, capsys):
    command.main(["toy", *folders, "--page", str(tmp_path / "page.md")])
    shown = capsys.readouterr().out
    assert "holds" in shown
    assert "does not hold here" in shown
    assert (tmp_path / "f" / "toy-curve.svg").exists()
    written = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert "### Fast, cheap: a toy\n\nAbout it.\n\n" in written
    assert "| It is fast. | 2.5 s | **holds** |" in written
    assert "| [Fast, cheap: a toy](#fast-cheap-a-toy) | arXiv 0000.00000 | 1 |  | 1 |  |" in written
    assert "took 0 minutes altogether" in written
    assert "| 1 | 2.50 |" in written
    assert "python -m experiments toy\n" in written
    assert f"torch {torch.__version__}" in written


def test_options_of_its_own_and_the_full_setting_reach_the_experiment(toy, folders, tmp_path):
    given = ["--sizes", "3", "4", "--file", "a.txt", "--colours", "blue", "--loud", "--seeds", "2"]
    command.main(["toy", "--full", *given, *folders])
    kept = json.loads((tmp_path / "r" / "toy.json").read_text(encoding="utf-8"))
    assert kept["options"] == {
        "price": 9.0,
        "sizes": [3, 4],
        "file": "a.txt",
        "colours": ["blue"],
        "loud": True,
    }
    assert (kept["setting"], kept["seeds"]) == ("full", 2)
    assert [row["size"] for row in kept["tables"][0]["rows"]] == [3, 4]


def test_one_that_lacks_something_does_not_stop_the_others(monkeypatch, folders, tmp_path, capsys):
    def fail(settings: Settings, options: Options) -> Outcome:
        raise LSCError("it needs a cake: bake one")

    broken = Experiment(name="broken", title="Broken", about="", measure=fail, options=Options)
    use(monkeypatch, broken, TOY)
    with pytest.raises(SystemExit) as caught:
        command.main(["all", *folders, "--page", str(tmp_path / "page.md")])
    assert caught.value.code == 2
    said = capsys.readouterr()
    assert said.err == "error: broken was not measured: it needs a cake: bake one\n"
    assert (tmp_path / "r" / "toy.json").exists()
    assert not (tmp_path / "page.md").exists()


def test_ctrl_c_says_what_is_kept(monkeypatch, folders, capsys):
    def stop(settings: Settings, options: Options) -> Outcome:
        raise KeyboardInterrupt

    slow = Experiment(name="slow", title="Slow", about="", measure=stop, options=Options)
    use(monkeypatch, slow)
    with pytest.raises(SystemExit) as caught:
        command.main(["slow", *folders])
    assert caught.value.code == 130
    assert "kept" in capsys.readouterr().err


def test_a_page_needs_all_results(toy, tmp_path):
    with pytest.raises(LSCError, match=r"no results of toy .*python -m experiments toy"):
        page.write_page(tmp_path / "page.md", tmp_path)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["to"], "unknown experiment 'to': did you mean 'toy'?"),
        (["toy", "--sead", "1"], "unknown option '--sead': did you mean '--seeds'?"),
        (["toy", "--price", "cheap"], "--price: invalid float value: 'cheap'"),
        (["toy", "--seeds", "0"], "'0' is not a positive whole number"),
        (["toy", "--sizes", "-1"], "--sizes"),
        (["toy", "--colours", "green"], "invalid choice: 'green'"),
        (["toy", "--full", "toy"], "'toy' is out of place"),
        (["--price", "1"], "unknown option '--price'"),
        (["toy", "--arrays", "omniglot.npz"], "SCENARIO=FILE"),
        (["toy", "--device", "tpu"], "--device tpu"),
        (["toy", "--results", "/dev/null/r"], "--results /dev/null/r cannot be written"),
    ],
)
def test_wrong_arguments_are_refused_in_a_sentence(toy, given, message, capsys):
    with pytest.raises(SystemExit) as caught:
        command.main(given)
    assert caught.value.code == 2
    errors = capsys.readouterr().err
    assert message in errors
    assert len(errors.splitlines()) == 1


def test_verdicts_come_from_parts():
    assert Verdict.of(True, True) == "holds"
    assert Verdict.of(True, False) == "holds in part"
    assert Verdict.of(False) == "does not hold here"


def commands() -> list[str]:
    """What the documentation says after `python -m experiments`."""
    pages = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    text = "\n".join(each.read_text(encoding="utf-8") for each in pages)
    return sorted(set(re.findall(r"-m experiments\b([^`\n]*)", text)))


@pytest.mark.parametrize("line", commands())
def test_every_command_of_the_documentation_can_be_given(line):
    chosen, common, _ = parse(shlex.split(line, comments=True))
    assert all(each in registry.experiments().values() for each in chosen)
    arguments.arrays(common.arrays)


def test_the_documentation_has_the_command_of_every_experiment():
    named = {
        each.name for line in commands() for each in parse(shlex.split(line, comments=True))[0]
    }
    assert named == set(registry.experiments())

"""The command line itself: help, lists, exit codes, what it imports."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version

import pytest
from typer.testing import CliRunner

from lsc_continual.cli.main import app
from lsc_continual.novelty.names import SCORES
from lsc_continual.registry import TABLES
from lsc_continual.scenarios.names import SCENARIOS
from lsc_continual.strategies.names import STRATEGIES
from lsc_continual.systems.names import SYSTEMS


def lsc_cl(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lsc_continual", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "verb", ["run", "resume", "stream", "eval", "compare", "ls", "show", "bench", "doctor"]
)
def test_every_verb_has_help_with_examples(verb):
    result = CliRunner().invoke(app, [verb, "--help"])
    assert result.exit_code == 0
    assert f"lsc-cl {verb}" in result.output


def test_it_knows_its_version():
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.output) == (0, f"lsc-cl {version('lsc_continual')}\n")


def test_lists_name_everything_with_a_line():
    result = CliRunner().invoke(app, ["ls"])
    for table in (SCENARIOS, STRATEGIES, SYSTEMS, SCORES):
        for name, entry in table.items():
            assert name in result.output
            assert entry.line
    as_json = json.loads(CliRunner().invoke(app, ["ls", "systems", "--json"]).output)
    assert set(as_json) == {"systems"}
    assert set(as_json["systems"]) == set(SYSTEMS)


def test_every_name_can_be_loaded():
    assert len(TABLES) == 9
    for table in TABLES.values():
        for name in table:
            assert callable(table[name].load())


def test_show_prints_what_run_would_use():
    shown = json.loads(CliRunner().invoke(app, ["show", "seed=3", "--json"]).output)
    assert shown["seed"] == 3
    assert shown["scenario"]["name"] == "split-digits"
    assert "epochs: 4" in CliRunner().invoke(app, ["show", "train.epochs=4"]).output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "scenrio=x"], "error: unknown setting 'scenrio': did you mean 'scenario'?\n"),
        (
            ["show", "train.epochs=x"],
            "error: train.epochs=x has the wrong type: write a whole number\n",
        ),
        (
            ["show", "data.mean=[0,a]"],
            "data.mean=[0,a] has the wrong type: write a list of numbers\n",
        ),
        (["bench", "los"], "error: unknown part of the bench 'los': did you mean 'loss'?\n"),
        (["ls", "system"], "error: unknown list 'system': did you mean 'systems'?\n"),
    ],
)
def test_mistakes_are_one_sentence_and_exit_code_two(arguments, message):
    result = lsc_cl(*arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.endswith(message)
    assert result.stderr.count("\n") == 1
    assert "Traceback" in lsc_cl(*arguments, "--debug").stderr


def test_unknown_verbs_and_options_exit_with_two():
    assert lsc_cl("rnu").returncode == 2
    assert lsc_cl("run", "--fast").returncode == 2


def test_help_lists_and_settings_import_nothing_heavy():
    code = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from lsc_continual.cli.main import app\n"
        "verbs = 'run', 'stream', 'eval', 'bench', 'doctor'\n"
        "helps = [['--help'], *([verb, '--help'] for verb in verbs)]\n"
        "for arguments in (*helps, ['ls'], ['show']):\n"
        "    assert CliRunner().invoke(app, arguments).exit_code == 0\n"
        "heavy = {'torch', 'numpy', 'avalanche', 'sklearn', 'torchvision'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def test_the_package_offers_its_names_and_imports_nothing_by_itself():
    code = (
        "import sys, lsc_continual\n"
        "assert 'torch' not in sys.modules\n"
        "assert all(getattr(lsc_continual, name) for name in lsc_continual.__all__)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr

"""The README's code runs and its claims about names hold."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lsc_continual.runs.configuration import resolve
from lsc_continual.systems.names import SYSTEMS

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.parametrize("code", blocks("python"))
def test_python_examples_run_and_print_what_they_say(code, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {"__name__": "__main__"})
    printed = capsys.readouterr().out
    for promised in re.findall(r"print\(.*\)  # (.+)", code):
        assert promised in printed


def test_commands_name_settings_that_exist():
    commands = re.findall(r"lsc-cl (?:run|show)((?: [\w.]+=\S+)*)", "\n".join(blocks("bash")))
    assert len(commands) >= 3
    for settings in commands:
        resolve(settings.split())


def test_every_system_is_in_the_table():
    for name in SYSTEMS:
        assert f"`{name}`" in README

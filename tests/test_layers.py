"""The house as CONTRIBUTING draws it, modules that are named in strings included."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "lsc_continual"
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LAYERS = [
    {room.strip() for room in layer.split("|")}
    for layer in CONFIG["tool"]["importlinter"]["contracts"][0]["layers"]
]
FILES = sorted(PACKAGE.rglob("*.py"))
LONGEST = 300


def height(room: str) -> int:
    """How far down a room lies."""
    return next(place for place, rooms in enumerate(LAYERS) if room in rooms)


def named_modules(source: str) -> set[str]:
    """Modules of the package that strings of a source name, docstrings aside."""
    tree = ast.parse(source)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    docstrings |= {  # of attributes
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)
    }
    texts = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in docstrings
    ]
    return {name for text in texts for name in re.findall(r"lsc_continual\.([a-z_]+)", text)}


def test_every_room_has_its_place():
    rooms = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py"}
    rooms |= {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    assert rooms - {"__init__", "__main__"} == set().union(*LAYERS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_strings_name_no_room_above_or_beside(path):
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if room in ("__init__", "__main__"):
        return
    for other in named_modules(path.read_text(encoding="utf-8")):
        if any(other in rooms for rooms in LAYERS):
            assert other == room or height(other) > height(room), f"{path} names {other}"


def test_the_map_in_contributing_is_the_contract_in_words():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    block = re.search(r"```text\n(lsc_continual/\n.*?)```", text, re.DOTALL)
    assert block is not None
    lines = [line for line in block[1].splitlines()[1:] if line.startswith("  ")]
    drawn = [set(re.findall(r"[a-z_]+", line[:28])) for line in lines if line[2] != " "]
    assert drawn == LAYERS[::-1]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_file_is_two_concepts(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST

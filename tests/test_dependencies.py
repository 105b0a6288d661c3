"""Installing the package brings whatever it imports."""

from __future__ import annotations

import ast
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import lsc_continual

PACKAGE = Path(lsc_continual.__file__).parent
WITH_TORCH = {"triton"}  # comes with those builds of torch that have a use for it


def imported_modules() -> dict[str, Path]:
    """The top-level modules of other people, each with a file that imports it."""
    found: dict[str, Path] = {}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            else:
                continue
            found |= {name.split(".")[0]: path for name in names}
    own = {*sys.stdlib_module_names, PACKAGE.name}
    return {name: path for name, path in found.items() if name not in own}


OPTIONAL = ("baselines", "bench", "heic", "hf", "tables", "text", "timm")


def test_whatever_is_imported_is_declared() -> None:
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))
    project = project["project"]
    extras = project["optional-dependencies"]
    optional = [line for name in OPTIONAL for line in extras[name]]
    declared = [*project["dependencies"], *optional]
    names = {canonicalize_name(Requirement(line).name) for line in declared}
    distributions = packages_distributions()
    modules = imported_modules()
    assert {"torch", "PIL", "sklearn", "pytorch_ood"} <= modules.keys(), "the walk finds imports"
    missing = {
        module: str(path)
        for module, path in modules.items()
        if module not in WITH_TORCH
        and not names & set(map(canonicalize_name, distributions.get(module, [module])))
    }
    assert not missing

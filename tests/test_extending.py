"""docs/extending.md: each of its parts runs by the command beneath it."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from lsc_continual import StreamClassifier
from lsc_continual.runs.configuration import resolve
from lsc_continual.runs.run import resume, run

PAGE = (Path(__file__).parents[1] / "docs" / "extending.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(
    r"```python\n# (\w+)\.py\n(.*?)```.*?```bash\nlsc-cl run (.*?)\n```", PAGE, re.DOTALL
)
QUICK = ["train.epochs=2", "data.train_per_class=20", "replay.size=40", "train.batch_size=16"]
KINDS = {"encoder", "loss", "allocation", "score", "system", "scenario", "strategy"}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working folder with all modules of the page, which are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name, code, _ in EXAMPLES:
        (tmp_path / f"{name}.py").write_text(code, encoding="utf-8")
    yield tmp_path
    for name, _, _ in EXAMPLES:
        sys.modules.pop(name, None)


def quick_settings(command: str) -> list[str]:
    given = command.split()
    more = [] if "system.dim" in command else ["system.dim=32"]
    more += [] if "encoder=" in command else ["encoder=mlp"]
    return [*given, *more, *QUICK]


def test_every_kind_has_an_example():
    assert {name.removeprefix("my_") for name, _, _ in EXAMPLES} == KINDS


@pytest.mark.parametrize(("name", "command"), [(n, c) for n, _, c in EXAMPLES])
def test_it_runs_and_its_model_loads(name, command, here):
    folder = run(resolve([*quick_settings(command), "run.dir=r"]), Console(quiet=True))
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["final"]["last_accuracy"] > 0.2  # chance is 0.1 or 0.125
    if name == "my_score":
        assert metrics["novelty_score"] == "my_score:Margin"
        assert 0 <= metrics["experiences"][-2]["novelty"]["my_score:Margin"]["auroc"] <= 1
    if name == "my_scenario":
        assert metrics["experiences"][0]["class_names"][0].startswith("stripes ")
    classes = {label for entry in metrics["experiences"] for label in entry["class_names"]}
    classifier = StreamClassifier.load(folder, device="cpu", trust_code=True)
    images = torch.rand(5, *classifier.spec.input_shape)
    assert {p.label for p in classifier.predict(images)} <= classes


def test_a_strategy_of_ones_own_goes_on_to_the_bit(here):
    command = next(command for name, _, command in EXAMPLES if name == "my_strategy")
    settings = [*quick_settings(command), "checkpoint.minutes=0", "checkpoint.keep=99"]
    whole = run(resolve([*settings, "run.dir=whole"]), Console(quiet=True))
    shutil.copytree(whole, here / "cut")
    steps = sorted((here / "cut" / "checkpoints").glob("step-*"))
    for later in steps[len(steps) // 2 :]:
        shutil.rmtree(later)
    resume(here / "cut", [], Console(quiet=True), trust_code=True)
    first, second = (load_file(f / "model" / "weights.safetensors") for f in (whole, here / "cut"))
    assert all(bool((first[name] == second[name]).all()) for name in first)

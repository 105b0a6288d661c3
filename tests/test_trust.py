"""Files do not choose what code runs, unless the user says so for the call."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
import yaml
from rich.console import Console

from lsc_continual import LSCError, StreamClassifier, load_model
from lsc_continual.classifier.files import model_files
from lsc_continual.classifier.folder import ModelSpec
from lsc_continual.novelty import NoveltyDetector
from lsc_continual.registry import UntrustedCodeError, import_own, names_from_file
from lsc_continual.runs.checkpoints import Checkpoints
from lsc_continual.runs.configuration import resolve
from lsc_continual.runs.run import resume, run
from lsc_continual.settings import Settings
from lsc_continual.storage.folders import write_folder
from tests.cli.test_cli import lsc_cl

STRANGER = """
from pathlib import Path
Path("was_here").touch()
def thing(*arguments, **options): raise SystemExit("ran")
"""
_PLACES = [
    ("spec", "encoder"),
    ("spec", "system"),
    ("spec", "head", "allocation"),
    ("targets", "system", "name"),
    ("targets", "allocation", "name"),
    ("detector", "score"),
]
_SETTINGS = [
    "encoder.name",
    "system.name",
    "allocation.name",
    "loss.name",
    "loss.collapse",
    "novelty.score",
    "strategy.name",
    "scenario.name",
    "benchmark",
]


@pytest.fixture
def here(tmp_path, monkeypatch) -> Iterator[Path]:
    """A working folder with a stranger's module in it."""
    (tmp_path / "stranger.py").write_text(STRANGER, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    sys.modules.pop("stranger", None)
    yield tmp_path
    for name in ("stranger", "own_score"):  # other tests have modules of these names
        sys.modules.pop(name, None)


def saved(folder: Path, place: tuple[str, ...] = (), name: str = "stranger:thing") -> Path:
    """A model folder whose description has a name in another place, and checksums that match."""
    spec = ModelSpec("mlp", (1, 8, 8), ["a", "b"], {"width": 8, "depth": 1}, dim=8)
    spec.head = {"allocation": "affine", "seed": 0, "scale": 8.0}
    model = spec.build()
    model.head.add_classes([0, 1])
    detector = NoveltyDetector(model.head).calibrate(torch.randn(40, 8), torch.randn(20, 8))
    files = model_files(model, spec, detector)
    description = json.loads(files["model.json"])
    part = description
    for key in place[:-1]:
        part = part[key]
    if place:
        assert place[-1] in part
        part[place[-1]] = name
    write_folder(folder, {**files, "model.json": json.dumps(description).encode()})
    return folder


@pytest.mark.parametrize("name", ["stranger:thing", "os:system", "subprocess:run"])
@pytest.mark.parametrize("place", _PLACES)
def test_a_model_does_not_choose_code(here, place, name):
    folder = saved(here / "m", place, name)
    with pytest.raises(UntrustedCodeError, match=rf"{name}.*--trust-code \(trust_code=True\)"):
        StreamClassifier.load(folder, device="cpu")
    if place[0] != "detector":
        with pytest.raises(UntrustedCodeError, match="asks for the"):
            load_model(folder)
    assert not (here / "was_here").exists()


@pytest.mark.parametrize("place", _PLACES)
def test_a_model_may_name_code_if_the_user_says_so(here, place):
    with pytest.raises((SystemExit, LSCError)):  # the stranger's thing is no encoder, …
        StreamClassifier.load(saved(here / "m", place), device="cpu", trust_code=True)
    assert (here / "was_here").exists()


def test_the_users_own_score_is_not_the_files(here):
    (here / "own_score.py").write_text(
        "from lsc_continual.novelty.scores import MaxCosine as Mine\n", encoding="utf-8"
    )
    StreamClassifier.load(saved(here / "m"), device="cpu", score="own_score:Mine")


@pytest.mark.parametrize("command", ["stream", "eval"])
def test_commands_refuse_code_out_of_a_model(here, command):
    folder = saved(here / "m", ("spec", "encoder"), "os:system")
    (here / "photos").mkdir()
    result = lsc_cl(command, folder, "photos")
    assert result.returncode == 2
    assert "'os:system', which is code from elsewhere" in result.stderr
    assert "--trust-code" in lsc_cl(command, "--help").stdout


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A run that is done, but for its report."""
    root = tmp_path_factory.mktemp("finished")
    settings = ["encoder=mlp", "system.dim=32", "train.epochs=1", "data.train_per_class=12"]
    more = ["scenario.increment=5", "novelty.holdout=0", f"run.dir={root}/run"]
    return run(resolve(["scenario=split-digits", *settings, *more]), Console(quiet=True))


@pytest.mark.parametrize("key", _SETTINGS)
@pytest.mark.parametrize("nothing_else", [True, False])
def test_a_run_folder_does_not_choose_code(here, finished, key, nothing_else):
    stored = yaml.safe_load((finished / "config.yaml").read_text(encoding="utf-8"))
    group, _, name = key.partition(".")
    stored |= {group: stored[group] | {name: "stranger:thing"} if name else "stranger:thing"}
    if key == "benchmark":
        stored["scenario"] = asdict(Settings().scenario) | {"name": "python", "experiences": None}
        stored["data"] |= {"train_per_class": None}
    folder = here / "run"
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(stored), encoding="utf-8")
    if not nothing_else:
        state = Checkpoints(finished / "checkpoints").latest() | {"config": stored}
        (folder / "checkpoints").mkdir()
        Checkpoints(folder / "checkpoints").write(1, state)
    with pytest.raises(UntrustedCodeError, match=r"config.yaml asks for the .*stranger:thing"):
        resume(folder, [], Console(quiet=True))
    assert not (here / "was_here").exists()


@pytest.mark.parametrize("part", ["system", "allocation"])
def test_a_checkpoint_does_not_choose_code(here, finished, part):
    state = deepcopy(Checkpoints(finished / "checkpoints").latest())
    state["strategy"]["targets"][part]["name"] = "stranger:thing"
    folder = here / "run"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "config.yaml").write_bytes((finished / "config.yaml").read_bytes())
    Checkpoints(folder / "checkpoints").write(1, state)
    with pytest.raises(UntrustedCodeError, match=r"checkpoints asks for the .*stranger:thing"):
        resume(folder, [], Console(quiet=True))
    assert not (here / "was_here").exists()


def test_the_working_folder_is_not_on_the_search_path_while_a_file_is_loaded(here, monkeypatch):
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    before = list(sys.path)
    with names_from_file(here / "model.json", trust_code=False):
        assert not {"", str(here)} & set(sys.path)
        with pytest.raises(UntrustedCodeError):
            import_own("stranger:thing", "encoder")
    assert sys.path == before
    assert import_own("stranger:thing", "encoder")

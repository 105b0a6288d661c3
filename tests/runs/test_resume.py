"""An interrupted run, taken up again, ends as if nothing had happened."""

from __future__ import annotations

import errno
import itertools
import json
import os
import random
import re
import shutil
import signal
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from lsc_continual import LSCError
from lsc_continual.machine.interruption import InterruptedRunError
from lsc_continual.runs import run as runs
from lsc_continual.runs.checkpointing import Checkpointing
from lsc_continual.runs.checkpoints import Checkpoints
from lsc_continual.runs.configuration import resolve
from lsc_continual.runs.folder import RunFolder
from lsc_continual.storage import folders

QUICK = [
    "encoder=mlp",
    "encoder.options.width=32",
    "system.dim=24",
    "data.train_per_class=60",
    "novelty.holdout=0.33",  # 40 of 120 images an experience
    "train.epochs=2",
    "train.lr=3e-3",
    "replay.size=30",
    "augment.rotate=10",
    "checkpoint.minutes=0",
    "checkpoint.keep=10000",
]
STEPS = 6  # an experience: two epochs of three batches
KINDS = {
    "adamw": [],
    "sgd": ["train.optimizer=sgd", "train.lr=0.05", "train.schedule=constant"],
    "affinity": ["allocation=affinity", "metrics.neural_collapse=true"],
    "collapse": ["loss.collapse=iclr-2025", "loss.normalize=false"],
}


def quiet() -> Console:
    return Console(file=StringIO(), width=200)


def said(console: Console) -> str:
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def run(folder: Path, *settings: str) -> Path:
    return runs.run(resolve([*QUICK, *settings, f"run.dir={folder}"]), quiet())


def outcome(folder: Path) -> dict[str, Any]:
    """The metrics less the times, and the files of the model."""
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    for entry in metrics["experiences"]:
        del entry["train_seconds"], entry["images_per_second"]
    files = {path.name: path.read_bytes() for path in (folder / "model").iterdir()}
    return metrics | files


def steps(folder: Path) -> list[int]:
    return sorted(int(path.name.split("-")[1]) for path in (folder / "checkpoints").glob("step-*"))


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No power fails here, and thousands of small files are written."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Path]]:
    """Of each kind a finished run, and the folder of all checkpoints in their order of writing.

    The checkpoint at the end of an experience takes the place of the one after its last step.
    """
    made: dict[str, tuple[Path, Path]] = {}

    def reference(kind: str) -> tuple[Path, Path]:
        if kind not in made:
            root = tmp_path_factory.mktemp(kind)
            written: list[Path] = []

            def write(self: Checkpoints, step: int, state: Any) -> Path:
                folder = original(self, step, state)
                copy = root / "written" / f"{len(written):02}" / folder.name
                written.append(copy)
                shutil.copytree(folder, copy)
                return folder

            original = Checkpoints.write
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Checkpoints, "write", write)
                made[kind] = run(root / "run", *KINDS[kind]), root / "written"
            assert len(written) == 5 * (STEPS + 1)
        return made[kind]

    return reference


def cut_off(reference: tuple[Path, Path], number: int, to: Path) -> Path:
    """A copy of the run as it was after the checkpoint that was written as the given one."""
    done, written = reference
    shutil.copytree(done, to)
    shutil.rmtree(to / "checkpoints")
    (to / "checkpoints").mkdir()
    for folder in sorted(written.iterdir())[: number + 1]:
        shutil.copytree(folder, to / "checkpoints", dirs_exist_ok=True)
    (to / "report.html").unlink()
    return to


AFTER = {
    "the first step": (0, "experience 1/5, epoch 1, after 1 batches"),
    "a step in the middle of an epoch": (1, "experience 1/5, epoch 1, after 2 batches"),
    "the last step of an epoch": (9, "experience 2/5, epoch 1, after 3 batches"),
    "a step of the second epoch": (10, "experience 2/5, epoch 2, after 1 batches"),
    "the last step of an experience": (19, "experience 3/5, epoch 2, after 3 batches"),
    "an experience": (20, "experience 4/5"),
    "the last step of all": (33, "experience 5/5, epoch 2, after 3 batches"),
    "the end": (34, "all experiences are done: writing the report"),
}


@pytest.mark.parametrize("after", AFTER)
@pytest.mark.parametrize("kind", KINDS)
def test_it_goes_on_to_the_bit_after(kind, after, references, tmp_path):
    reference = references(kind)
    number, place = AFTER[after]
    folder = cut_off(reference, number, tmp_path / "run")
    console = quiet()
    random.seed(time.time())
    np.random.seed(int(time.time()))
    assert runs.resume(folder, [], console) == folder
    assert place in said(console)
    assert outcome(folder) == outcome(reference[0])
    assert (folder / "report.html").is_file()
    assert steps(folder) == steps(reference[0])


def test_the_last_checkpoint_is_the_same_too(references, tmp_path):
    """Optimizer, buffer and generators: what the outcome may not show yet."""
    reference = references("adamw")
    folder = cut_off(reference, 17, tmp_path / "run")
    runs.resume(folder, [], quiet())
    for step in (18, 19, 24, 30):
        ours, theirs = (
            path / "checkpoints" / f"step-{step:09d}" / "tensors.safetensors"
            for path in (folder, reference[0])
        )
        assert ours.read_bytes() == theirs.read_bytes(), step


def test_a_finished_run_can_be_resumed_without_harm(references, tmp_path):
    reference = references("adamw")
    folder = tmp_path / "run"
    shutil.copytree(reference[0], folder)
    for _ in range(2):
        runs.resume(folder, [], quiet())
        assert outcome(folder) == outcome(reference[0])
    assert (folder / "metrics.json").read_bytes() == (reference[0] / "metrics.json").read_bytes()


def test_a_run_without_a_checkpoint_begins_anew(references, tmp_path):
    reference = references("adamw")
    folder = cut_off(reference, 0, tmp_path / "run")
    shutil.rmtree(folder / "checkpoints")
    console = quiet()
    runs.resume(folder, [], console)
    assert "no checkpoint yet: starting from the beginning" in said(console)
    assert outcome(folder) == outcome(reference[0])


def test_a_damaged_checkpoint_costs_a_few_steps_only(references, tmp_path):
    reference = references("adamw")
    folder = cut_off(reference, 17, tmp_path / "run")
    (folder / "checkpoints" / "step-000000016" / "state.json").write_bytes(b"{}")
    with pytest.warns(UserWarning, match="step-000000016 is damaged.*going on from step-000000015"):
        runs.resume(folder, [], quiet())
    assert outcome(folder) == outcome(reference[0])


def test_settings_that_may_change_do(references, tmp_path):
    reference = references("adamw")
    folder = cut_off(reference, 17, tmp_path / "run")
    overrides = ["checkpoint.keep=1", "checkpoint.minutes=100", "train.workers=0"]
    runs.resume(folder, overrides, quiet())
    assert outcome(folder) == outcome(reference[0])
    assert steps(folder) == [30]
    assert "keep: 1" in (folder / "config.yaml").read_text(encoding="utf-8")
    runs.resume(folder, [], quiet())  # though config.yaml and the checkpoint now differ from before


def test_the_time_of_earlier_sittings_counts(references, tmp_path):
    folder = cut_off(references("adamw"), 10, tmp_path / "run")  # within the second experience
    checkpoints = Checkpoints(folder / "checkpoints", keep=10000)
    state = checkpoints.latest()
    state["recorder"]["seconds"] += 5000
    state["strategy"]["plugins"]["TrainingProgress"]["seconds"] += 1000
    state["recorder"]["experiences"][0]["train_seconds"] = 2000.0
    checkpoints.write(10**6, state)
    console = quiet()
    runs.resume(folder, [], console)
    entries = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["experiences"]
    assert entries[0]["train_seconds"] == 2000
    assert 1000 < entries[1]["train_seconds"] < 1100
    assert entries[1]["images_per_second"] < 1
    assert all(entry["train_seconds"] < 100 for entry in entries[2:])
    (seconds,) = re.findall(r"forgetting .*, (\d+) s\n", said(console))
    assert 5000 < int(seconds) < 5100


# What is refused.


def contents(folder: Path) -> dict[Path, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {path: path.read_bytes() for path in files}


def refused(folder: Path, message: str, *overrides: str) -> None:
    before = contents(folder)
    with pytest.raises(LSCError, match=message) as caught:
        runs.resume(folder, list(overrides), quiet())
    assert "\n" not in str(caught.value)
    assert contents(folder) == before


@pytest.fixture
def halfway(references, tmp_path) -> Path:
    return cut_off(references("adamw"), 17, tmp_path / "halfway")


@pytest.mark.parametrize(
    ("before", "after", "key"),
    [
        ("lr: 0.003", "lr: 0.004", "train.lr"),
        ("seed: 0", "seed: 1", "seed"),
        ("width: 32", "width: 33", "encoder.options.width"),
    ],
)
def test_an_edited_configuration_is_refused(halfway, before, after, key):
    path = halfway / "config.yaml"
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after), encoding="utf-8")
    refused(halfway, rf"is not what the run was started with \(it differs in {re.escape(key)}\)")


def test_a_damaged_configuration_is_refused(halfway):
    (halfway / "config.yaml").write_text("{", encoding="utf-8")
    refused(halfway, r"config\.yaml cannot be read")


@pytest.mark.parametrize("content", ["", "[1, 2]", "seed: [1]", "word"])
def test_a_configuration_that_is_none_is_refused(halfway, content):
    (halfway / "config.yaml").write_text(content, encoding="utf-8")
    refused(halfway, r"config\.yaml|configuration")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("train.lr=1", "train.lr cannot change in the middle of a run"),
        ("scenario=split-mnist", "cannot change in the middle of a run"),
        ("train.wokers=1", "did you mean 'train.workers'"),
        ("checkpoint.keep=0", "out of range"),
        ("train.device=cuda:99", "is not available here"),
    ],
)
def test_settings_that_may_not_change_are_refused(halfway, setting, message):
    refused(halfway, message, setting)


@pytest.mark.parametrize("kind", ["missing", "empty", "file"])
def test_what_is_no_run_folder_is_refused(tmp_path, kind):
    path = tmp_path / "r"
    if kind == "empty":
        path.mkdir()
    elif kind == "file":
        path.write_text("r")
    refused(path, r"is no run folder \(config\.yaml is missing\)")
    assert path.exists() == (kind != "missing")


def test_a_folder_where_another_is_at_work_is_refused(halfway):
    working = RunFolder.open(halfway)
    refused(halfway, "another process is at work in .*: wait for it or stop it first")
    del working


@pytest.mark.parametrize("batch", [0, 7])
def test_it_goes_on_to_the_bit_after_an_evaluation_that_was_interrupted(
    batch, references, tmp_path, monkeypatch
):
    seen = itertools.count()

    def interrupt(self: Checkpointing, strategy: Any, **kwargs: Any) -> None:
        if next(seen) == batch:
            self.interruption.number = signal.SIGTERM
        original(self, strategy, **kwargs)

    original = Checkpointing.after_eval_iteration
    with monkeypatch.context() as patch:
        patch.setattr(Checkpointing, "after_eval_iteration", interrupt)
        with pytest.raises(InterruptedRunError):
            run(tmp_path / "r")
    console = quiet()
    runs.resume(tmp_path / "r", [], console)
    assert "which is trained, with its evaluation" in said(console)
    assert outcome(tmp_path / "r") == outcome(references("adamw")[0])


def test_a_checkpoint_of_another_format_is_refused(halfway, monkeypatch):
    (halfway / "checkpoints" / "step-000000016").rename(halfway / "old")
    monkeypatch.setattr("lsc_continual.runs.checkpoints._READABLE", (4,))
    refused(halfway, "has checkpoint format 3, this version reads 4")


def test_a_checkpoint_of_another_network_is_refused(halfway, tmp_path):
    """Sealed and of this format, but not what this run would have written."""
    state = Checkpoints(halfway / "checkpoints").latest()
    state["strategy"]["model"]["projection.weight"] = state["strategy"]["model"][
        "projection.weight"
    ][:, :3]
    Checkpoints(halfway / "checkpoints", 99).write(17, state)
    with pytest.raises(LSCError, match=r"does not fit this run .*resume with") as caught:
        runs.resume(halfway, [], quiet())
    assert "\n" not in str(caught.value)


# Full disks.


def full_disk(monkeypatch: pytest.MonkeyPatch, which: Callable[[Path, int], bool]) -> list[Path]:
    """Fail writes of which `which(path, number)` says so."""
    real, tried = folders.write_file, []

    def write_file(path: Path, content: bytes) -> None:
        tried.append(path)
        if which(path, len(tried)):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(path, content)

    for module in ("storage.folders", "runs.folder"):
        monkeypatch.setattr(f"lsc_continual.{module}.write_file", write_file)
    return tried


def test_training_goes_on_while_checkpoints_cannot_be_written(references, tmp_path, monkeypatch):
    full_disk(
        monkeypatch,
        lambda path, _: any(f"step-0000000{step:02}-" in str(path) for step in (3, 8, 9)),
    )
    with pytest.warns(UserWarning, match="no checkpoint could be written .*No space left") as told:
        folder = run(tmp_path / "r")
    assert len([w for w in told if "no checkpoint" in str(w.message)]) == 3
    assert outcome(folder) == outcome(references("adamw")[0])
    assert not {3, 8, 9} & set(steps(folder))


@pytest.mark.parametrize(
    "name", ["metrics.json", "weights.safetensors", "state.json", "report.html"]
)
def test_a_full_disk_is_one_sentence_and_the_run_can_go_on(references, tmp_path, monkeypatch, name):
    """The third time that a file is written at the end of an experience, there is no room."""
    count = {"metrics.json": 3, "weights.safetensors": 3, "state.json": 3 * (STEPS + 1)}
    times = iter(range(1, 1000))
    full_disk(monkeypatch, lambda path, _: path.name == name and next(times) == count.get(name, 1))
    with pytest.raises(LSCError, match=r"No space left on device.*lsc-cl resume") as caught:
        run(tmp_path / "r")
    assert "\n" not in str(caught.value)
    monkeypatch.undo()
    runs.resume(tmp_path / "r", [], quiet())
    assert outcome(tmp_path / "r") == outcome(references("adamw")[0])

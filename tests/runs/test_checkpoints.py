"""Checkpoints survive whatever happens to some of them, and never lie."""

from __future__ import annotations

import errno
import json
import os
import random
import re
import shutil
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save

from lsc_continual import LSCError, Targets, load_model
from lsc_continual.codec import encode
from lsc_continual.runs.checkpoints import Checkpoints
from lsc_continual.runs.model import ModelSpec, model_files
from lsc_continual.runs.sealed import (
    SEAL,
    DamagedError,
    read_folder,
    sweep,
    write_file,
    write_folder,
)
from tests.runs.damage import damage
from tests.test_codec import same


def state(step: int) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(step)
    return {"step": step, "weights": torch.randn(20, generator=generator), 3: (None, [1.5, "x"])}


def checkpoints(path: Path, steps: tuple[int, ...] = (10, 20), keep: int = 2) -> Checkpoints:
    made = Checkpoints(path, keep)
    for step in steps:
        made.write(step, state(step))
    return made


def names(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir())


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("keep", [1, 2, 5])
def test_the_latest_are_kept_and_the_newest_is_read(tmp_path, keep):
    kept = checkpoints(tmp_path, (1, 2, 30, 400), keep)
    expected = [f"step-{step:09d}" for step in (1, 2, 30, 400)][-keep:]
    assert names(tmp_path) == expected
    assert same(kept.latest(), state(400))
    assert same(Checkpoints(tmp_path).latest(), state(400))


def test_without_checkpoints_there_is_no_state(tmp_path):
    assert Checkpoints(tmp_path).latest() is None
    (tmp_path / ".lock").touch()
    (tmp_path / "notes").mkdir()
    assert Checkpoints(tmp_path).latest() is None


def test_a_checkpoint_of_the_same_step_is_replaced(tmp_path):
    kept = checkpoints(tmp_path)
    kept.write(20, state(99))
    assert same(kept.latest(), state(99))
    assert names(tmp_path) == ["step-000000010", "step-000000020"]


def test_the_standard_tool_can_check_a_checkpoint(tmp_path):
    checkpoints(tmp_path)
    folder = tmp_path / "step-000000020"
    assert names(folder) == [SEAL, "state.json", "tensors.safetensors"]
    if shutil.which("sha256sum"):
        command = ["sha256sum", "--check", "--strict", SEAL]
        assert subprocess.run(command, cwd=folder, capture_output=True).returncode == 0
        flip(folder / "state.json")
        assert subprocess.run(command, cwd=folder, capture_output=True).returncode == 1


@pytest.mark.parametrize("name", [SEAL, "state.json", "tensors.safetensors"])
@pytest.mark.parametrize("how", ["flip", "delete"])
def test_a_damaged_newest_gives_way_to_the_one_before(tmp_path, name, how):
    kept = checkpoints(tmp_path)
    file = tmp_path / "step-000000020" / name
    flip(file) if how == "flip" else file.unlink()
    with pytest.warns(UserWarning, match="going on from step-000000010") as caught:
        assert same(kept.latest(), state(10))
    (warning,) = caught
    assert str(file.parent) in str(warning.message)
    assert "\n" not in str(warning.message)


def test_when_all_are_damaged_one_sentence_says_so(tmp_path):
    kept = checkpoints(tmp_path)
    for folder in tmp_path.iterdir():
        flip(folder / "tensors.safetensors")
    with pytest.raises(LSCError, match="no earlier checkpoint is whole: start a new run") as caught:
        kept.latest()
    assert "step-000000020 is damaged" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("keep", [1, 2])
def test_what_is_written_after_a_damaged_one_is_not_dropped_in_its_favour(tmp_path, keep):
    checkpoints(tmp_path)
    flip(tmp_path / "step-000000020" / "state.json")
    later = Checkpoints(tmp_path, keep)
    later.write(11, state(11))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert same(later.latest(), state(11))
    assert names(tmp_path) == ["step-000000010", "step-000000011"][-keep:]


def test_another_format_is_refused_with_what_to_do(tmp_path):
    kept = checkpoints(tmp_path)
    structure, tensors = encode({"format": 99, "state": state(30)})
    write_folder(
        tmp_path / "step-000000030", {"state.json": structure, "tensors.safetensors": tensors}
    )
    with pytest.raises(LSCError, match="has checkpoint format 99, this version reads 2: resume"):
        kept.latest()


@pytest.mark.parametrize("kind", ["empty", "sealed", "file", "list"])
def test_a_folder_of_somebody_elses_is_passed_over(tmp_path, kind):
    kept = checkpoints(tmp_path)
    foreign = tmp_path / "step-thirty"
    if kind == "empty":
        foreign.mkdir()
    elif kind == "file":
        foreign.write_text("30")
    elif kind == "sealed":
        write_folder(foreign, {"readme.txt": b"hello"})
    else:
        structure, tensors = encode([1])
        write_folder(foreign, {"state.json": structure, "tensors.safetensors": tensors})
    with pytest.warns(UserWarning, match="step-thirty"):
        assert same(kept.latest(), state(20))


def test_whatever_happens_to_the_files_a_state_is_true_or_there_is_none(tmp_path):
    whole = tmp_path / "whole"
    whole.mkdir()
    checkpoints(whole)
    newest, previous = state(20), state(10)
    outcomes: dict[str, int] = {}
    for seed in range(150):
        rng = random.Random(seed)
        folder = tmp_path / str(seed)
        shutil.copytree(whole, folder)
        both = sorted(path for path in folder.rglob("*") if path.is_file())
        target = folder if rng.random() < 0.4 else folder / "step-000000020"
        done = [damage(target, rng, both) for _ in range(rng.choice([1, 1, 2, 4]))]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                found = Checkpoints(folder).latest()
            except LSCError as error:
                outcome = "lines" if "\n" in str(error) else "none"
            else:
                outcome = "newest" if same(found, newest) else "previous"
                assert outcome == "newest" or same(found, previous), done
                assert bool(caught) == (outcome == "previous"), done
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        shutil.rmtree(folder)
    assert set(outcomes) == {"previous", "none", "newest"}
    assert outcomes["previous"] > 50  # the test reaches all of it
    assert outcomes["none"] > 5
    assert outcomes["newest"] > 5


def test_a_full_disk_leaves_the_earlier_checkpoint(tmp_path, monkeypatch):
    kept = checkpoints(tmp_path)
    before = names(tmp_path)
    calls = iter(range(100))

    def full(handle: int) -> None:
        if next(calls) == fails_at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    for fails_at in range(4):  # noqa: B007 (read by `full`)
        calls = iter(range(100))
        for step in (20, 30):
            calls = iter(range(100))
            with pytest.raises(OSError, match="No space left"):
                kept.write(step, state(step + 1))
            assert names(tmp_path) == before
            assert same(kept.latest(), state(20))


def test_a_file_system_that_refuses_large_files_leaves_the_earlier_checkpoint(tmp_path):
    checkpoints(tmp_path)
    script = f"""
        import resource, torch
        from pathlib import Path
        from lsc_continual.runs.checkpoints import Checkpoints
        resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
        try:
            Checkpoints(Path({str(tmp_path)!r})).write(30, torch.zeros(1_000_000))
        except OSError as error:
            print("refused:", error.strerror)
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=60
    )
    assert result.stdout == f"refused: {os.strerror(errno.EFBIG)}\n", result.stderr
    assert same(Checkpoints(tmp_path).latest(), state(20))
    assert names(tmp_path) == ["step-000000010", "step-000000020"]


def test_an_interrupted_write_leaves_the_old_content(tmp_path):
    write_file(tmp_path / "a.json", b"old")
    with pytest.raises(TypeError):
        write_file(tmp_path / "a.json", 3)  # type: ignore[arg-type]
    assert (tmp_path / "a.json").read_bytes() == b"old"
    write_folder(tmp_path / "b", {"part": b"old"})
    with pytest.raises(TypeError):
        write_folder(tmp_path / "b", {"other": b"new", "part": 3})  # type: ignore[dict-item]
    assert read_folder(tmp_path / "b") == {"part": b"old"}
    assert names(tmp_path) == ["a.json", "b"]


def test_what_killed_processes_left_behind_is_swept_up(tmp_path):
    checkpoints(tmp_path)
    script = f"""
        import os, signal
        from pathlib import Path
        from lsc_continual.runs import sealed
        folder = Path({str(tmp_path)!r})
        def die(*_, **__):
            os.kill(os.getpid(), signal.SIGKILL)
        HOW
        sealed.write_folder(folder / "step-000000020", {{"state.json": b"x"}})
    """
    for how in ("sealed._sync = die", "os.replace = die", "sealed.shutil.rmtree = die"):
        code = textwrap.dedent(script).replace("HOW", how)
        result = subprocess.run([sys.executable, "-c", code], timeout=60)
        assert result.returncode == -9
    assert len(names(tmp_path)) > 3
    (tmp_path / ".lock").touch()
    (tmp_path / ".hidden-notes").mkdir()
    sweep(tmp_path)
    assert names(tmp_path) == [".hidden-notes", ".lock", "step-000000010", "step-000000020"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models of one kind."""
    root = tmp_path_factory.mktemp("models")
    spec = ModelSpec("mlp", (1, 8, 8), ["a", "b"], {"width": 8, "depth": 1}, dim=8)
    for name in ("one", "other"):
        torch.manual_seed(len(name))
        model = spec.build()
        model.head.add_classes([0, 1])
        write_folder(root / name, model_files(model, spec))
    return root


def test_whatever_happens_to_a_model_it_is_itself_or_refused(models, tmp_path):
    original = load_model(models / "one")[0].state_dict()
    refused = whole = 0
    for seed in range(150):
        rng = random.Random(seed)
        root = tmp_path / str(seed)
        shutil.copytree(models, root)
        both = sorted(path for path in root.rglob("*") if path.is_file())
        done = [damage(root / "one", rng, both) for _ in range(rng.choice([1, 1, 2, 4]))]
        try:
            found = load_model(root / "one")[0].state_dict()
        except LSCError as error:
            refused += "\n" not in str(error)
        else:
            whole += 1
            assert list(found) == list(original), done
            assert all(torch.equal(found[name], original[name]) for name in original), done
        shutil.rmtree(root)
    assert refused + whole == 150
    assert refused > 120


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"format": 99},
            r"has format 99, this version reads 3 to 6: use the version that wrote it",
        ),
        ({"spec": {"dim": 17}}, r"is damaged"),
        ({"spec": {"encoder": "resnte-small"}}, r"did you mean 'resnet-small'"),
        ({"spec": {"mystery": 1}}, r"is damaged"),
        ({"targets": None}, r"is damaged"),
        ({"targets": {}}, r"is damaged"),
        ({"spec": None}, r"is damaged"),
    ],
)
def test_whole_models_that_make_no_sense_are_refused(models, tmp_path, change, message):
    files = read_folder(models / "one")
    description = json.loads(files["model.json"])
    for key, value in change.items():
        merged = {**description[key], **value} if isinstance(value, dict) and value else value
        description[key] = merged
    write_folder(tmp_path / "m", {**files, "model.json": json.dumps(description).encode()})
    with pytest.raises(LSCError, match=message) as caught:
        load_model(tmp_path / "m")
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with a file of tables: of addresses, and of scattered labels."""
    folder = tmp_path_factory.mktemp("large") / "model"
    spec = ModelSpec("mlp", (1, 8, 8), [], {"width": 8, "depth": 1})
    spec.system, spec.dim, spec.head = "v22", 64, {"allocation": "random"}
    model = spec.build()
    model.head.add_classes(7 * torch.randperm(70_000, generator=torch.Generator().manual_seed(0)))
    write_folder(folder, model_files(model, spec))
    return folder


def test_large_target_maps_are_mapped_from_a_file_of_their_own(large, tmp_path):
    assert (large / "model.json").stat().st_size < 1000
    folder = tmp_path / "model"
    shutil.copytree(large, folder)
    targets = load_model(folder)[0].head.targets
    shutil.rmtree(folder)  # as when a run goes on writing
    labels = targets.labels_of(torch.arange(70_000))
    assert torch.equal(labels.sort().values, 7 * torch.arange(70_000))
    assert torch.equal(targets.ordinals(labels), torch.arange(70_000))
    assert torch.equal(targets.allocation.owner(targets.addresses()), torch.arange(70_000))
    original = load_model(large)[0].head.targets
    targets.add(["new"])
    original.add(["new"])
    assert torch.equal(targets.addresses(), original.addresses())


def test_whatever_happens_to_a_large_model_it_is_itself_or_refused(large, tmp_path):
    original = load_model(large)[0].head.targets
    refused = 0
    for seed in range(60):
        rng = random.Random(seed)
        folder = tmp_path / str(seed)
        shutil.copytree(large, folder)
        damage(folder, rng, [])
        try:
            found = load_model(folder)[0].head.targets
        except LSCError as error:
            refused += "\n" not in str(error)
        else:
            assert torch.equal(found.addresses(), original.addresses())
            assert found.labels == original.labels
        shutil.rmtree(folder)
    assert refused > 50


def test_tables_that_make_no_sense_are_refused(large, tmp_path):
    files = read_folder(large)
    tables = load(files["targets.safetensors"])
    for name in tables:
        for change in (tables[name][1:], tables[name] // 14, tables[name].int()[:, None]):
            write_folder(
                tmp_path / "m", {**files, "targets.safetensors": save(tables | {name: change})}
            )
            with pytest.raises(LSCError, match="damaged"):
                load_model(tmp_path / "m")


def test_a_model_of_the_format_before_is_read(models, tmp_path):
    files = read_folder(models / "one")
    description = json.loads(files["model.json"])
    description["format"] = 3
    description["targets"]["labels"] = [0, 1]
    description["targets"]["allocation"] |= {"name": "random", "addresses": [4, 2]}
    write_folder(tmp_path / "m", {**files, "model.json": json.dumps(description).encode()})
    targets = load_model(tmp_path / "m")[0].head.targets
    assert targets.labels == [0, 1]
    assert targets.addresses().tolist() == [4, 2]


def test_checkpoints_hold_large_target_maps(large, tmp_path):
    targets = load_model(large)[0].head.targets
    kept = Checkpoints(tmp_path)
    kept.write(1, {"targets": targets.to_dict()})
    restored = Targets.from_dict(kept.latest()["targets"])
    assert torch.equal(restored.addresses(), targets.addresses())
    assert restored.labels == targets.labels
    assert (tmp_path / "step-000000001" / "state.json").stat().st_size < 1000


def test_damaged_folders_say_what_is_wrong(tmp_path):
    with pytest.raises(DamagedError, match=r"cannot be read .*No such file"):
        read_folder(tmp_path / "nowhere")
    write_folder(tmp_path / "a", {"x": b"1"})
    (tmp_path / "a" / SEAL).unlink()
    with pytest.raises(DamagedError, match=re.escape(f"is not complete: {SEAL} is missing")):
        read_folder(tmp_path / "a")

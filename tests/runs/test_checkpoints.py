"""Checkpoints survive whatever happens to some of them, and never lie."""

from __future__ import annotations

import errno
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

from lsc_continual import LSCError
from lsc_continual.runs.checkpoints import Checkpoints
from lsc_continual.storage.folders import (
    SEAL,
    DamagedError,
    read_folder,
    sweep,
    write_file,
    write_folder,
)
from lsc_continual.storage.packing import pack
from tests.runs.damage import damage
from tests.storage.test_packing import same


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
    structure, tensors = pack({"format": 99, "state": state(30)})
    write_folder(
        tmp_path / "step-000000030", {"state.json": structure, "tensors.safetensors": tensors}
    )
    with pytest.raises(
        LSCError, match="has checkpoint format 99, this version reads 2 and 3: resume"
    ):
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
        structure, tensors = pack([1])
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
        from lsc_continual.storage import folders
        folder = Path({str(tmp_path)!r})
        def die(*_, **__):
            os.kill(os.getpid(), signal.SIGKILL)
        HOW
        folders.write_folder(folder / "step-000000020", {{"state.json": b"x"}})
    """
    for how in ("folders._sync = die", "os.replace = die", "folders.shutil.rmtree = die"):
        code = textwrap.dedent(script).replace("HOW", how)
        result = subprocess.run([sys.executable, "-c", code], timeout=60)
        assert result.returncode == -9
    assert len(names(tmp_path)) > 3
    (tmp_path / ".lock").touch()
    (tmp_path / ".hidden-notes").mkdir()
    sweep(tmp_path)
    assert names(tmp_path) == [".hidden-notes", ".lock", "step-000000010", "step-000000020"]


def test_damaged_folders_say_what_is_wrong(tmp_path):
    with pytest.raises(DamagedError, match=r"cannot be read .*No such file"):
        read_folder(tmp_path / "nowhere")
    write_folder(tmp_path / "a", {"x": b"1"})
    (tmp_path / "a" / SEAL).unlink()
    with pytest.raises(DamagedError, match=re.escape(f"is not complete: {SEAL} is missing")):
        read_folder(tmp_path / "a")

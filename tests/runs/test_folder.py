"""The run folder: whose it is, and what is left of one that was killed as it began."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from lsc_continual import LSCError
from lsc_continual.runs.folder import RunFolder


def test_a_folder_of_a_run_that_was_killed_as_it_began_can_be_used(tmp_path):
    path = tmp_path / "r"
    with RunFolder.create(str(path), "x"):
        pass  # killed before its settings are written
    with RunFolder.create(str(path), "x") as folder:
        assert not folder.holds_run
        folder.write("config.yaml", "seed: 0\n")
    with pytest.raises(LSCError, match=r"is not empty.*lsc-cl resume"):
        RunFolder.create(str(path), "x")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").touch()
    with pytest.raises(LSCError, match="is not empty"):
        RunFolder.create(str(tmp_path / "other"), "x")


def test_a_folder_is_kept_from_others_while_a_process_is_at_work_in_it(tmp_path):
    with RunFolder.create(str(tmp_path / "r"), "x") as folder:
        folder.write("config.yaml", "seed: 0\n")
        with pytest.raises(LSCError, match="another process is at work"):
            RunFolder.open(tmp_path / "r")
        with pytest.raises(LSCError, match=r"another process is at work|not empty"):
            RunFolder.create(str(tmp_path / "r"), "x")
    RunFolder.open(tmp_path / "r").__exit__()


def test_a_lock_ends_with_its_process_though_its_children_live_on(tmp_path):
    path = tmp_path / "r"
    with RunFolder.create(str(path), "x") as folder:
        folder.write("config.yaml", "seed: 0\n")
    pid = os.fork()
    if not pid:
        held = RunFolder.open(path)
        assert held
        if not os.fork():  # as a worker that reads images
            (tmp_path / "child").write_text(str(os.getpid()), encoding="utf-8")
            time.sleep(60)
        time.sleep(60)
        os._exit(0)
    child = tmp_path / "child"
    _wait_for(lambda: child.exists() and child.read_text(encoding="utf-8"))
    with pytest.raises(LSCError, match="another process is at work"):
        RunFolder.open(path)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    try:
        RunFolder.open(path).__exit__()
    finally:
        os.kill(int(child.read_text(encoding="utf-8")), signal.SIGKILL)


def _wait_for(condition) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_full_disk_is_said_with_what_can_be_done(tmp_path, monkeypatch):
    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device", str(path))

    with RunFolder.create(str(tmp_path / "r"), "x") as folder:
        monkeypatch.setattr("lsc_continual.runs.folder.write_file", full)
        with pytest.raises(LSCError, match=r"make room, then run it again$"):
            folder.write("config.yaml", "")
        (folder.checkpoints / "step-000000001").mkdir()
        with pytest.raises(LSCError, match="make room, then `lsc-cl resume"):
            folder.write("config.yaml", "")


def begun(path: Path) -> Path:
    with RunFolder.create(str(path), "x") as folder:
        folder.write("config.yaml", "seed: 0\n")
    return path


def test_links_are_not_followed_to_what_is_elsewhere(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / ".notes-abcdefgh").mkdir(parents=True)
    (elsewhere / "mine.txt").write_text("mine", encoding="utf-8")
    run = begun(tmp_path / "r")
    (run / "checkpoints" / ".lock").unlink()
    (run / "checkpoints" / ".lock").symlink_to(elsewhere / "mine.txt")
    with pytest.raises(LSCError, match=r"\.lock cannot be written .*see what is in its place"):
        RunFolder.open(run)
    (run / "checkpoints" / ".lock").unlink()
    (run / "checkpoints").rmdir()
    (run / "checkpoints").symlink_to(elsewhere)
    with pytest.raises(LSCError, match="checkpoints is a link, and what it leads to"):
        RunFolder.open(run)
    assert (elsewhere / "mine.txt").read_text(encoding="utf-8") == "mine"
    assert sorted(path.name for path in elsewhere.iterdir()) == [".notes-abcdefgh", "mine.txt"]


def test_a_pipe_in_the_place_of_the_lock_or_of_the_settings_is_not_waited_for(tmp_path):
    run = begun(tmp_path / "r")
    (run / "checkpoints" / ".lock").unlink()
    os.mkfifo(run / "checkpoints" / ".lock")
    with pytest.raises(LSCError, match=r"\.lock (is no file|cannot be written)"):
        RunFolder.open(run)
    (run / "config.yaml").unlink()
    os.mkfifo(run / "config.yaml")
    with pytest.raises(LSCError, match=r"config\.yaml is no file"):
        RunFolder.open(run)


def test_what_is_no_lack_of_room_is_not_called_so(tmp_path):
    with RunFolder.create(str(tmp_path / "r"), "x") as folder:
        (tmp_path / "r" / "stream.json").mkdir()
        with pytest.raises(LSCError, match=r"stream\.json cannot be written .*see what is in"):
            folder.write("stream.json", "{}")

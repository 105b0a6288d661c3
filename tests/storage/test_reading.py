"""What is read is a regular file, of one moment, and not more than is sensible."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from lsc_continual import LSCError
from lsc_continual.runs.configuration import read_stored
from lsc_continual.storage.folders import DamagedError, read_folder, write_folder
from lsc_continual.storage.reading import open_regular, read_text


@pytest.fixture(params=["pipe", "device", "folder"])
def not_a_file(request, tmp_path) -> Path:
    path = tmp_path / "it"
    if request.param == "pipe":
        os.mkfifo(path)
    elif request.param == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    return path


def test_what_is_no_regular_file_is_not_waited_for(not_a_file, tmp_path):
    with pytest.raises(OSError, match="not a regular file"):
        open_regular(not_a_file)
    with pytest.raises(LSCError, match=r"cannot be read .*not a regular file"):
        read_stored(not_a_file)
    write_folder(tmp_path / "sealed", {"a": b"1"})
    (tmp_path / "sealed" / "a").unlink()
    (tmp_path / "sealed" / "a").symlink_to(not_a_file)
    with pytest.raises(DamagedError, match="cannot be read"):
        read_folder(tmp_path / "sealed")


def test_a_link_to_a_file_is_read(tmp_path):
    (tmp_path / "a").write_text("é", encoding="utf-8")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert read_text(tmp_path / "b", 2) == "é"
    with pytest.raises(OSError, match="more than 1 bytes"):
        read_text(tmp_path / "b", 1)


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [1]\nb: [*a, *a]",
        "[" * 100_000,
        "a: !!python/object/apply:os.system [ls]",
        "- a",
        "\x00",
    ],
)
def test_settings_that_are_none_are_refused(tmp_path, text):
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(LSCError, match="cannot be read"):
        read_stored(tmp_path / "config.yaml")


def test_a_folder_that_is_replaced_all_the_time_is_read_whole(tmp_path):
    """Every reading gives the files of one writing."""
    folder, stop = tmp_path / "f", threading.Event()
    contents = [{name: bytes([n]) * 50_000 for name in "abcd"} for n in range(3)]
    write_folder(folder, contents[0])

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            write_folder(folder, contents[number % 3])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(400):
            assert read_folder(folder) in contents
    finally:
        stop.set()
        writer.join()

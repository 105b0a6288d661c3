"""A watched folder gives each complete file once."""

from __future__ import annotations

import json
import os

import pytest

from lsc_continual.storage.json_text import json_text
from lsc_continual.streaming.sources import watched


class Looks:
    """Stops after so many looks at the folder, and changes it between them."""

    def __init__(self, *changes) -> None:
        self.changes = list(changes)
        self.count = 0

    def __call__(self) -> bool:
        if self.changes:
            self.changes.pop(0)()
            return False
        return True


def names(root, *changes, answered=()):
    # With no time between two looks, `stop` is asked once before each.
    found = watched(root, answered, every=0, stop=Looks(*changes))
    return [[name for name, _ in some] for some in found]


def write(path, data: bytes):
    return lambda: path.write_bytes(data)


def nothing():
    return None


def test_files_are_taken_when_they_have_stopped_growing(tmp_path):
    a, b = tmp_path / "a.png", tmp_path / "b.png"
    a.write_bytes(b"1")
    changes = [nothing, write(b, b"1"), write(b, b"12"), nothing, write(b, b"123"), nothing]
    with pytest.warns(UserWarning, match="changed since the answer"):  # after two looks alike
        assert names(tmp_path, *changes) == [["a.png"], ["b.png"]]


def test_empty_hidden_and_other_files_are_left_alone(tmp_path):
    for name in (".hidden.png", "notes.txt", "empty.png", "fine.png"):
        (tmp_path / name).write_bytes(b"" if name == "empty.png" else b"1")
    assert names(tmp_path, *[nothing] * 4) == [["fine.png"]]


def test_folders_that_appear_are_looked_into(tmp_path):
    def appear():
        (tmp_path / "new").mkdir()
        (tmp_path / "new" / "x.png").write_bytes(b"1")

    assert names(tmp_path, nothing, appear, nothing) == [["new/x.png"]]


def test_answered_files_and_those_that_vanish_are_passed_over(tmp_path):
    for name in "abc":
        (tmp_path / f"{name}.png").write_bytes(b"1")
    vanish = [nothing, lambda: os.remove(tmp_path / "b.png"), nothing]
    assert names(tmp_path, *vanish, answered=["a.png"]) == [["c.png"]]


@pytest.mark.parametrize("gone", [0, 1, 3])
def test_a_file_that_is_replaced_is_not_answered_twice_and_that_is_said(tmp_path, gone):
    """However many looks fall into the gap."""
    x = tmp_path / "x.png"
    x.write_bytes(b"1")

    def replace():
        if gone:
            x.write_bytes(b"22")
        else:
            (tmp_path / "new").write_bytes(b"22")
            os.replace(tmp_path / "new", x)

    gap = [x.unlink, *[nothing] * (gone - 1)] if gone else []
    changes = [nothing, nothing, nothing, *gap, replace, nothing, nothing]
    with pytest.warns(UserWarning, match=r"1 file has changed .* \(x.png\)") as caught:
        assert names(tmp_path, *changes) == [["x.png"]]
    assert len(caught) == 1


def test_names_that_are_no_text_are_passed_over_as_they_are_written(tmp_path):
    path = os.fsencode(tmp_path) + b"/caf\xe9.png"
    with open(path, "wb") as file:
        file.write(b"1")
    (found,) = names(tmp_path, nothing, nothing)
    written = json.loads(json_text(found[0]))
    assert names(tmp_path, nothing, nothing, nothing, answered=[written]) == []


def test_what_will_never_be_an_image_is_an_error_and_not_passed_over(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "device.png").symlink_to("/dev/zero")
    (tmp_path / "nowhere.png").symlink_to("gone.png")
    (tmp_path / "empty.png").touch()
    os.utime(tmp_path / "empty.png", (1, 1))  # for a long time
    (found,) = names(tmp_path, nothing, nothing, nothing)
    assert found == ["device.png", "empty.png", "nowhere.png", "pipe.png"]

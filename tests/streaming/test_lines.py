"""Lines on standard input become inputs as soon as they are complete."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import numpy as np
import pytest

from lsc_continual.errors import LSCError
from lsc_continual.streaming import lines
from lsc_continual.streaming.lines import read_inputs


def inputs_of(data: bytes, pieces: int = 1):
    """What comes out when `data` are written in so many pieces."""
    read, write = os.pipe()
    size = -(-len(data) // pieces)

    def feed():
        for start in range(0, len(data), size):
            os.write(write, data[start : start + size])
        os.close(write)

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        return [one for some in read_inputs(read) for one in some]
    finally:
        thread.join()
        os.close(read)


@pytest.mark.parametrize("pieces", [1, 3, 200])
def test_lines_are_paths_or_objects(pieces):
    text = (
        'cats/1 2.png\n\n  \n{"path": "ü.png"}\r\n{"id": "x", "pixels": [[1, 2], [3, 4]]}\n'
        '{"id": [7], "path": "a"}\nlast.png'
    )
    a, b, c, d, e = inputs_of(text.encode(), pieces)
    assert a == ("cats/1 2.png", Path("cats/1 2.png"))
    assert b == (4, Path("ü.png"))
    assert c.id == "x"
    assert np.array_equal(c.content, [[1, 2], [3, 4]])
    assert d == ([7], Path("a"))
    assert e == ("last.png", Path("last.png"))


@pytest.mark.parametrize(
    ("line", "name", "message"),
    [
        ('{"id": 5, "path": ', 1, "line 1 is not JSON"),
        ("{" * 100_000, 1, "line 1 is not JSON"),
        ('{"a":' * 100_000, 1, "line 1 is not JSON"),
        ('{"id": 5}', 5, 'line 1 needs "path"'),
        ('{"id": 5, "path": 7}', 5, 'line 1 needs "path"'),
        ('{"id": 5, "path": "a", "pixels": [1]}', 5, 'line 1 needs "path"'),
        ('{"id": 5, "pixels": "abc"}', 5, 'line 1 needs "path"'),
        ('{"id": 5, "pixels": [[1, 2], [3]]}', 5, '"pixels" of line 1 are no array'),
    ],
)
def test_broken_objects_are_named_and_said_to_be_broken(line, name, message):
    broken, whole = inputs_of(f"{line}\nfine.png\n".encode())
    assert broken.id == name
    assert isinstance(broken.content, LSCError)
    assert message in str(broken.content)
    assert whole.id == "fine.png"


def test_names_that_are_not_utf8_are_kept_as_they_are():
    (found,) = inputs_of(b"\xff\xfe.png\n")
    assert os.fsencode(found.content) == b"\xff\xfe.png"


def test_a_line_without_end_is_not_collected(monkeypatch):
    monkeypatch.setattr(lines, "_LONGEST_ID", 200)
    monkeypatch.setattr(lines, "_PER_NUMBER", 0)
    first, long, last = inputs_of(b"a.png\n" + b"x" * 5000 + b"\nb.png\n", 40)
    assert (first.id, long.id, last.id) == ("a.png", 2, "b.png")
    assert "longer than 800 bytes" in str(long.content)


def test_reading_ends_when_it_is_told_to():
    read, write = os.pipe()  # to which nobody writes
    stopped = threading.Event()
    threading.Timer(0.05, stopped.set).start()
    assert list(read_inputs(read, stopped.is_set)) == []
    os.close(read)
    os.close(write)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"id": ' + b"[" * 3000 + b"]" * 3000 + b', "path": "x"}', "is not JSON"),
        (b'{"id": "' + b"x" * 5000 + b'", "path": "x"}', "is longer than 4,096 bytes"),
        (b'{"id": [' + b"[]," * 2000 + b'0], "path": "x"}', "is longer than 4,096 bytes"),
        (b'{"path": "' + b"x" * 5000 + b'"}', "is too long for one"),
        (b"x" * 5000, "is too long for a path"),
        (b'{"pixels": ["' + b"a" * 3000 + b'", "b"]}', "something else than numbers"),
        (b'{"pixels": [[], [], []]}', "something else than numbers"),
        (b'{"pixels": [[1, 2], [3, null]]}', "something else than numbers"),
        (b'{"pixels": [' + b"1," * 2000 + b"1]}", "more than the 1,000 numbers"),
        (b'{"pixels": [[1, 2], [3]]}', "are no array"),
    ],
)
def test_lines_that_would_take_memory_or_cannot_be_written_are_errors_by_number(line, message):
    read, write = os.pipe()
    os.write(write, line + b"\nfine.png\n")
    os.close(write)
    bad, fine = [one for some in read_inputs(read, numbers=1000) for one in some]
    os.close(read)
    assert message in str(bad.content)
    assert len(json.dumps(bad.id)) < 5000
    assert fine.id == "fine.png"


def test_vectors_are_taken_as_pixels_are():
    read, write = os.pipe()
    os.write(write, b'{"id": "a", "vector": [1.5, 2]}\n{"vector": [1], "pixels": [1]}\n')
    os.close(write)
    first, both = [one for some in read_inputs(read) for one in some]
    os.close(read)
    assert first.content.tolist() == [1.5, 2]
    assert 'needs "path"' in str(both.content)

"""Answers as lines, and files that can be gone on with wherever they broke off."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsc_continual.classifier import Alternative, Prediction
from lsc_continual.errors import LSCError
from lsc_continual.streaming.inputs import Input
from lsc_continual.streaming.output import Answered, LineFile, json_line

FULL = Prediction(
    "a", "cat", True, 0.12345678, 0.5, 17, 0.25, (Alternative("dog", 1 / 3), Alternative("é", 0.0))
)


def test_lines_have_the_promised_fields_in_their_order():
    line = json_line(FULL)
    assert line.endswith(b"\n")
    assert "é".encode() in line
    said = json.loads(line)
    assert list(said) == [
        *("id", "label", "known", "novelty", "p_value", "address", "gap", "alternatives")
    ]
    assert said["novelty"] == 0.123457
    assert said["alternatives"] == [{"label": "dog", "score": 0.333333}, {"label": "é", "score": 0}]
    assert json.loads(json_line(Prediction(7, error="bad"))) == {"id": 7, "error": "bad"}


def test_lines_are_json_whatever_the_numbers_and_names():
    strange = Prediction("\udcff\n\x9b", "x\x1b", None, float("inf"), None, 2**62, float("nan"))
    line = json_line(strange).decode()
    assert line[:-1].isprintable()
    said = json.loads(line, parse_constant=pytest.fail)
    assert said["id"] == "\\udcff\n\x9b"  # bytes that are no text are written as their numbers
    assert said["label"] == "x\x1b"
    assert (said["novelty"], said["gap"], said["p_value"]) == (None, None, None)
    assert said["address"] == 2**62


IDS = ["a", "b\nc", 3, '"error": ', {"error": 1}, None, "\udcff", "h"]
LINES = [
    json_line(Prediction(name, error="bad") if i % 3 == 1 else Prediction(name, "cat"))
    for i, name in enumerate(IDS)
]


def source(ids=IDS, some=3):
    inputs = [Input(name, None) for name in ids]
    return iter([inputs[i : i + some] for i in range(0, len(inputs), some)])


@settings(max_examples=200, deadline=None)
@given(cut=st.integers(0, sum(map(len, LINES))), some=st.integers(1, 9))
def test_wherever_a_file_was_cut_off_it_is_completed_without_loss_or_doubling(
    tmp_path_factory, cut, some
):
    path = tmp_path_factory.mktemp("cut") / "out.jsonl"
    whole = b"".join(LINES)
    path.write_bytes(whole[:cut])
    answered = Answered(path)
    assert answered.failed == sum(b'"bad"' in line for line in LINES[: answered.count])
    left = [one.id for part in answered.skip(source(some=some)) for one in part]
    assert left == IDS[answered.count :]
    with LineFile(path, resume=True) as file:
        file.write(b"".join(LINES[answered.count :]))
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["x", *IDS[1:]], "begins with 'a', the source with 'x'"),
        ([*IDS[:4], "new", *IDS[4:]], "its line 5 is {'error': 1}, and that input is 'new' now"),
        (IDS[:4], "more lines than there are inputs"),
        ([], "more lines than there are inputs"),
    ],
)
@pytest.mark.parametrize("some", [1, 3, 100])
def test_a_file_of_other_inputs_is_refused_before_anything_is_done(tmp_path, ids, message, some):
    path = tmp_path / "out.jsonl"
    path.write_bytes(b"".join(LINES[:5]))
    done = []
    with pytest.raises(LSCError) as error:
        done += Answered(path).skip(source(ids, some))
    assert message in str(error.value)
    assert "choose another --output" in str(error.value)
    assert done == []
    assert path.read_bytes() == b"".join(LINES[:5])


def test_a_source_that_was_told_to_stop_is_no_reason_to_complain(tmp_path):
    (tmp_path / "out").write_bytes(b"".join(LINES))
    assert list(Answered(tmp_path / "out").skip(source(IDS[:2]), stop=lambda: True)) == []


@pytest.mark.parametrize("content", [b"hello\n", b"[1]\n", b'{"name": 1}\n'])
def test_a_file_of_something_else_is_left_alone(tmp_path, content):
    path = tmp_path / "notes.txt"
    path.write_bytes(content + b"and more")
    with pytest.raises(LSCError, match="something else than answers"):
        Answered(path)
    assert path.read_bytes() == content + b"and more"


def test_a_file_that_is_there_is_not_overwritten(tmp_path):
    (tmp_path / "out").write_bytes(LINES[0])
    with pytest.raises(LSCError, match="exists: add --resume"):
        LineFile(tmp_path / "out", resume=False)
    with pytest.raises(LSCError, match="cannot be written"):
        LineFile(tmp_path / "nowhere" / "out", resume=False)


def test_a_full_disk_is_said_in_a_sentence():
    with (
        pytest.raises(LSCError, match="No space left on device"),
        LineFile(__import__("pathlib").Path("/dev/full"), resume=False) as file,
    ):
        file.write(LINES[0])


@pytest.mark.parametrize(
    "content",
    [
        b'{"id": 1}\nfoo "error" bar\n',
        b'{"id": 1}\n{"error": "\xe9"}\n',
        b"[" * 100_000 + b"\n",
        b'{"id": ' + b"[" * 3000 + b"]" * 3000 + b"}\n",
        b"x" * (2**22 + 10),
        b"7\n",
    ],
)
def test_what_is_no_output_is_refused_in_a_sentence(tmp_path, content):
    path = tmp_path / "out.jsonl"
    path.write_bytes(content)
    with pytest.raises(LSCError, match="holds something else than answers"):
        Answered(path)
    assert path.read_bytes() == content


def test_pipes_and_devices_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name in ("pipe", "zero"):
        with pytest.raises(LSCError, match="cannot be read"):
            Answered(tmp_path / name)
    for wrong in (tmp_path / "pipe", tmp_path):
        with pytest.raises(LSCError, match="is no file: name one, or use standard output"):
            LineFile(wrong, resume=False)

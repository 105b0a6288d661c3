"""Labelled examples out of files: what they hold, or one sentence on what is wrong."""

from __future__ import annotations

import json
import os
import resource
from pathlib import Path

import numpy as np
import pytest

from lsc_continual.errors import LSCError
from lsc_continual.inputs.labelled import read_labelled

LINE = '{"label": "cat", "vector": [1, 2]}\n'


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", LINE + '{"label": "dog"}\n', "row 2 of .* holds no vector"),
        ("a.jsonl", '{"label": "cat", "path": "a.png"}\n{"label": "dog"}\n', "row 2 .* no path"),
        ("a.jsonl", '{"label": "cat", "path": null}\n', "has the columns|no path"),
        ("a.jsonl", LINE + '{"label": 1.0, "vector": [1, 2]}\n', "row 2 .* write names as text"),
        ("a.jsonl", LINE + '{"label": true, "vector": [1, 2]}\n', "write names as text"),
        ("a.jsonl", LINE + '{"label": "", "vector": [1, 2]}\n', "row 2 of .* has no label"),
        ("a.jsonl", LINE + '{"label": "a", "vector": [1, 2, 3]}\n', "has 3 numbers, and the first"),
        ("a.jsonl", LINE + "[1]\n", "line 2 of .* is no object"),
        ("a.jsonl", LINE + "{", "line 2 of .* is no JSON"),
        ("a.jsonl", "[" * 100_000, "line 1 of .* is no JSON"),
        (
            "a.jsonl",
            '{"label": "a", "vector": [1' + "0" * 400 + "]}",
            "row 1 of .* holds no vector",
        ),
        ("a.csv", 'label,vector\ncat,"[1,2]",5,6\n', "row 1 of .* has 4 fields, and there are 2"),
        ("a.csv", 'label,vector,label\na,"[1]",b\n', "has two columns 'label'"),
        ("a.csv", "lab,vec\n1,2\n", "has the columns lab, vec"),
        ("a.csv", "label,vector\ncat," + "[" * 100_000 + "\n", "row 1 of .* holds no vector"),
        ("a.csv", "label,vector\ncat,1" + "0" * 400 + "\n", "row 1 of .* holds no vector"),
        ("a.csv", 'label,vector\ncat,"[1', "cannot be read as CSV|holds no vector"),
        ("a.csv", "", "holds no examples"),
        ("a.jsonl", "\n\n", "holds no examples"),
    ],
)
def test_tables_that_are_wrong_are_refused_with_the_row(tmp_path, name, content, message):
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(LSCError, match=message) as caught:
        read_labelled(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700


def test_lines_end_where_json_says(tmp_path):
    (tmp_path / "a.jsonl").write_text(LINE.replace("cat", "c\u2028\u0085t"), encoding="utf-8")
    assert read_labelled(tmp_path / "a.jsonl").labels == ["c\\u2028\\x85t"]


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet", "a.npy", "a.npz"])
@pytest.mark.parametrize("kind", ["pipe", "device", "sparse"])
def test_what_is_no_file_or_has_no_end_is_refused_at_no_cost(tmp_path, name, kind):
    path = tmp_path / name
    path.with_suffix(".labels.txt").write_text("a\nb\n", encoding="utf-8")
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.write_bytes(b"label,vector\n" if name == "a.csv" else b"")
        os.truncate(path, 6 * 2**30)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(LSCError, match=r"cannot be read|is longer than|not what its header says"):
        read_labelled(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**19  # kibibytes


def test_an_array_that_is_not_what_its_header_says_is_not_read(tmp_path):
    path = tmp_path / "a.npy"
    path.with_suffix(".labels.txt").write_text("a\nb\n", encoding="utf-8")
    with path.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (10**9, 16)}
        np.lib.format.write_array_header_1_0(file, header)
    with pytest.raises(LSCError, match="is not what its header says"):
        read_labelled(path)
    np.save(path, np.zeros((3, 4), np.float32))
    with pytest.raises(LSCError, match=r"has the shape \(3, 4\), and there are 2 labels"):
        read_labelled(path)


def test_a_small_parquet_does_not_take_much_memory(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = 8_000_000
    table = pyarrow.table({"label": pyarrow.array(["a"] * 1).take(pyarrow.array([0] * rows))})
    table = table.append_column("vector", pyarrow.array([[0.0]]).take(pyarrow.array([0] * rows)))
    parquet.write_table(table, tmp_path / "a.parquet", compression="zstd")
    with pytest.raises(LSCError, match="which is not read for safety"):
        read_labelled(tmp_path / "a.parquet")
    parquet.write_table(table.select(["label"]), tmp_path / "b.parquet")
    with pytest.raises(LSCError, match="has the columns label"):
        read_labelled(tmp_path / "b.parquet")


def test_an_imagefolder_with_metadata_is_read(tmp_path):
    lines = [{"file_name": f"deep/{n}.png", "label": "cat"} for n in range(2)]
    text = "\n".join(map(json.dumps, lines))
    (tmp_path / "metadata.jsonl").write_text(text, encoding="utf-8")
    found = read_labelled(tmp_path)
    assert found.data == [Path(tmp_path / "deep" / f"{n}.png") for n in range(2)]
    assert found.labels == ["cat", "cat"]

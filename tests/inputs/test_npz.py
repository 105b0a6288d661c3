"""What an .npz file says of itself is held against what it is, before memory is taken."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from lsc_continual import LSCError
from lsc_continual.inputs import Source, npz
from lsc_continual.inputs.npz import headers, read_arrays
from lsc_continual.scenarios import load_images
from lsc_continual.streaming.npz import NpzImages


def forged(path: Path, shape: tuple[int, ...], content: int = 640, dtype: str = "|u1") -> Path:
    """An array that says it has a shape, and `content` bytes."""
    file = io.BytesIO()
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", file.getvalue() + bytes(content))
    return path


@pytest.mark.parametrize(
    "shape",
    [
        (10**9, 8, 8),
        (11, 8, 8),
        (9, 8, 8),
        (2**40, 1),
        (1, 2**40),
        (2**62, 4),
        (-1, 8, 8),
        (10, -8, -8),
    ],
)
@pytest.mark.parametrize("dtype", ["|u1", "<f8", "<U1000000"])
def test_a_shape_that_the_file_does_not_hold_is_refused(tmp_path, shape, dtype):
    path = forged(tmp_path / "x.npz", shape, dtype=dtype)
    for read in (headers, NpzImages, lambda p: read_arrays(p, ["x"])):
        with pytest.raises(LSCError, match=r"not what the file holds|cannot be read as an \.npz"):
            read(path)


def test_what_the_file_holds_is_read(tmp_path):
    path = forged(tmp_path / "x.npz", (10, 8, 8))
    assert headers(path)["x"].shape == (10, 8, 8)
    assert read_arrays(path, ["x", "y"])["x"].shape == (10, 8, 8)


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_small_file_does_not_take_much_memory(tmp_path, order, monkeypatch):
    monkeypatch.setattr(npz, "_SMALL", 2**20)
    x = np.zeros((256, 256, 256), np.uint8, order=order)  # 16 MiB in a few kilobytes
    np.savez_compressed(tmp_path / "x.npz", x_train=x, y_train=np.arange(256) % 2)
    assert (tmp_path / "x.npz").stat().st_size < 2**16
    with pytest.raises(LSCError, match=r"takes 0\.0 GiB out of 0\.0 MiB"):
        NpzImages(tmp_path / "x.npz")
    with pytest.raises(LSCError, match=r"is not read for safety"):
        load_images("arrays", Source(tmp_path / "x.npz"))


def test_a_large_array_by_columns_is_refused_in_streams(tmp_path, monkeypatch):
    monkeypatch.setattr("lsc_continual.streaming.npz._WHOLE", 2**10)
    x = np.random.default_rng(0).integers(256, size=(70, 8, 8)).astype("u1")
    np.savez(tmp_path / "x.npz", x=np.asfortranarray(x))
    with pytest.raises(LSCError, match=r"in Fortran's order.*write numpy\.ascontiguousarray of it"):
        NpzImages(tmp_path / "x.npz")


def test_a_damaged_file_is_not_named_for_ever_and_can_be_stopped(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, x=np.zeros((50_000, 4), np.float32))
    content = bytearray(path.read_bytes())
    content[4_000] ^= 255  # its checksum fails at the end
    path.write_bytes(content)
    answers = [one for some in NpzImages(path).inputs() for one in some]
    errors = [one for one in answers if isinstance(one.content, LSCError)]
    assert 0 < len(errors) <= 10_001
    assert [one.id for one in answers] == list(range(len(answers)))
    assert list(NpzImages(path).inputs(stop=lambda: True)) == []


def test_what_is_no_regular_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "x.npz")
    with pytest.raises(LSCError, match="not a regular file"):
        headers(tmp_path / "x.npz")


@pytest.mark.parametrize(
    ("shape", "kind"), [((10**12, 0, 3), "<f4"), ((10**6, 0, 16, 3), "u1"), ((7,), "|V0")]
)
def test_rows_of_nothing_are_refused(tmp_path, shape, kind):
    """Of which a small file can have any number."""
    header = {"descr": kind, "fortran_order": False, "shape": shape}
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive, archive.open("x.npy", "w") as file:
        np.lib.format.write_array_header_1_0(file, header)
    with pytest.raises(LSCError, match="whose rows hold nothing"):
        headers(tmp_path / "a.npz")


def test_a_name_that_is_there_twice_and_no_rows_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 3)))
    with (
        pytest.warns(UserWarning, match="Duplicate name"),
        zipfile.ZipFile(tmp_path / "a.npz", "a") as archive,
    ):
        archive.writestr("x.npy", archive.read("x.npy"))
    with pytest.raises(LSCError, match=r"holds 'x\.npy' twice"):
        headers(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", x=np.zeros((0, 4, 4)))
    with pytest.raises(LSCError, match=r"x in .*b\.npz holds no images"):
        NpzImages(tmp_path / "b.npz")

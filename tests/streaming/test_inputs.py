"""Inputs become the images that a test would have seen."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from PIL import Image

from lsc_continual.errors import LSCError
from lsc_continual.inputs import ImageFiles
from lsc_continual.inputs.preparation import Preparation


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "I;16", "1"])
@pytest.mark.parametrize("channels", [1, 3])
def test_files_are_read_as_in_testing(tmp_path, mode, channels):
    noise = np.random.RandomState(0).randint(256, size=(30, 47, 3)).astype(np.uint8)
    if mode == "I;16":
        Image.fromarray(noise[..., 0].astype(np.uint16) * 257).save(tmp_path / "x.png")
    else:
        Image.fromarray(noise).convert(mode).save(tmp_path / "x.png")
    expected = ImageFiles(tmp_path, ["x.png"], torch.zeros(1), 16, channels).pixels(0)
    prepared = Preparation((channels, 16, 16))(tmp_path / "x.png")
    assert torch.equal(prepared, expected)
    negative = Preparation((channels, 16, 16), inverted=True)(tmp_path / "x.png")
    assert torch.equal(negative, 255 - expected)


def test_images_that_are_not_square_have_to_fit(tmp_path):
    pixels = np.arange(24, dtype=np.uint8).reshape(4, 6)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    assert torch.equal(Preparation((1, 4, 6))(tmp_path / "x.png")[0], torch.from_numpy(pixels))
    with pytest.raises(LSCError, match="has shape 1×4×6, and the model takes 1×6×4"):
        Preparation((1, 6, 4))(tmp_path / "x.png")


@pytest.mark.parametrize(
    ("shape", "given", "same"),
    [
        ((1, 4, 6), (4, 6), lambda x: x[None]),
        ((1, 4, 6), (1, 4, 6), lambda x: x),
        ((1, 4, 6), (4, 6, 1), lambda x: x.transpose(2, 0, 1)),
        ((3, 4, 6), (3, 4, 6), lambda x: x),
        ((3, 4, 6), (4, 6, 3), lambda x: x.transpose(2, 0, 1)),
        ((5, 1, 1), (5,), lambda x: x[:, None, None]),
    ],
)
def test_arrays_are_taken_in_all_usual_arrangements(shape, given, same):
    x = np.random.RandomState(0).rand(*given).astype(np.float32)
    assert np.array_equal(Preparation(shape)(x).numpy(), same(x))


def test_integers_mean_0_to_255_and_tables_mean_what_they_are():
    assert Preparation((1, 1, 2))(np.array([[0, 255]])).dtype == torch.uint8
    assert Preparation((2, 1, 1))(np.array([-3.5, 900.0])).flatten().tolist() == [-3.5, 900.0]


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((2, 3)), "has shape 2×3, and the model takes 1×2×2"),
        (np.array(3), "has shape \\(\\), and"),
        (np.full((2, 2), np.nan), "not finite"),
        (np.full((2, 2), 256), "values from 256 to 256"),
        (np.array([["a", "b"], ["c", "d"]]), "has the type <U1"),
        (np.array([[None, 1], [2, 3]]), "has the type object"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(x, message):
    with pytest.raises(LSCError, match=message):
        Preparation((1, 2, 2))(x)


def test_files_that_would_hang_or_fill_the_memory_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(LSCError, match="not a regular file"):
        Preparation((1, 8, 8))(tmp_path / "pipe.png")
    Image.new("L", (60_000, 1)).save(tmp_path / "line.png")
    with pytest.raises(LSCError, match="too long and narrow, 60000×1"):
        Preparation((3, 224, 224))(tmp_path / "line.png")
    with pytest.raises(LSCError, match="image files have 1 or 3"):
        Preparation((12, 1, 1))(tmp_path / "line.png")

"""What the numbers of a file mean is told by the file or by a setting, never guessed."""

from __future__ import annotations

import os
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from lsc_continual.inputs.decoding import Decoding, UnreadableImageError

WHITE = 281  # the tag MaxSampleValue


def tiff(path: Path, values: np.ndarray, white: int | None = None) -> Path:
    tags = ImageFileDirectory_v2()
    if white is not None:
        tags[WHITE] = white
    Image.fromarray(values).save(path, tiffinfo=tags)
    return path


def colours(path: Path, values: np.ndarray, white: int | None = None) -> Path:
    """A TIFF of 16 bits a colour, which Pillow cannot write: [height, width, 3]."""
    height, width, _ = values.shape
    data = values.astype("<u2").tobytes()
    entries = [
        (256, 3, 1, width),
        (257, 3, 1, height),
        (258, 3, 3, 8 + len(data)),
        (259, 3, 1, 1),
        (262, 3, 1, 2),
        (273, 4, 1, 8),
        (277, 3, 1, 3),
        (278, 3, 1, height),
        (279, 4, 1, len(data)),
    ]
    entries += [(WHITE, 3, 1, white)] if white else []
    start = 8 + len(data) + 6
    table = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    content = struct.pack("<2sHI", b"II", 42, start) + data + struct.pack("<3H", 16, 16, 16)
    path.write_bytes(content + struct.pack("<H", len(entries)) + table + bytes(4))
    return path


def grey(path: Path, decoding: Decoding | None = None) -> list[int]:
    return (decoding or Decoding()).read(path, 1).flatten().tolist()


def test_floats_between_0_and_1_are_shares_of_white(tmp_path):
    values = np.array([[0.0, 0.25, 0.5, 1.0]], dtype=np.float32)
    assert grey(tiff(tmp_path / "a.tif", values)) == [0, 63, 127, 255]
    whole = np.array([[0.0, 7.0, 255.0]], dtype=np.float32)
    assert grey(tiff(tmp_path / "b.tif", whole)) == [0, 7, 255]
    deep = np.array([[0.0, 100.5, 1023.0]], dtype=np.float32)
    with pytest.raises(UnreadableImageError, match=r"say by data\.depth how many"):
        grey(tiff(tmp_path / "c.tif", deep))
    assert grey(tmp_path / "c.tif", Decoding(depth=10)) == [0, 25, 255]


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(tmp_path, wrong):
    values = np.array([[0.5, wrong]], dtype=np.float32)
    with pytest.raises(UnreadableImageError, match="not finite"):
        grey(tiff(tmp_path / "a.tif", values))
    with pytest.raises(UnreadableImageError, match="not finite"):
        grey(tiff(tmp_path / "b.tif", np.full((2, 2), wrong, np.float32)))


def test_negative_values_are_refused(tmp_path):
    for values in (np.array([[-0.5, 1]], np.float32), np.array([[-3, 9]], np.int32)):
        with pytest.raises(UnreadableImageError, match=r"not between|several depths"):
            grey(tiff(tmp_path / "a.tif", values))
        with pytest.raises(UnreadableImageError, match=r"not between 0 and (1|255)\)"):
            grey(tmp_path / "a.tif", Decoding(depth=8))


def test_twelve_bits_in_sixteen_are_told_by_the_tag_or_by_the_setting(tmp_path):
    values = np.array([[0, 2048, 4095]], dtype=np.uint16)
    assert grey(tiff(tmp_path / "a.tif", values, white=4095)) == [0, 127, 255]
    with pytest.raises(UnreadableImageError, match="0 to 4095, could be of several depths"):
        grey(tiff(tmp_path / "b.tif", values))
    assert grey(tmp_path / "b.tif", Decoding(depth=12)) == [0, 127, 255]
    assert grey(tmp_path / "b.tif", Decoding(depth=16)) == [0, 7, 15]
    with pytest.raises(UnreadableImageError, match="not between 0 and 1023"):
        grey(tmp_path / "b.tif", Decoding(depth=10))
    bright = np.array([[0, 32768, 65535]], dtype=np.uint16)
    assert grey(tiff(tmp_path / "c.tif", bright)) == [0, 127, 255]


def test_thirty_two_bits_do_not_wrap(tmp_path):
    values = np.array([[0, 70_000, 2**20 - 1]], dtype=np.int32)
    with pytest.raises(UnreadableImageError, match="several depths"):
        grey(tiff(tmp_path / "a.tif", values))
    assert grey(tmp_path / "a.tif", Decoding(depth=20)) == [0, 17, 255]
    assert grey(tiff(tmp_path / "b.tif", values.clip(0, 65535), white=65535)) == [0, 255, 255]


def test_formats_that_have_one_depth_are_of_that(tmp_path):
    dark = np.array([[0, 200, 4095]], dtype=np.uint16)
    (tmp_path / "a.pgm").write_bytes(b"P5 3 1 4095\n" + dark.astype(">u2").tobytes())
    for depth in (None, 8, 16):  # which says nothing where the file does
        assert grey(tmp_path / "a.pgm", Decoding(depth=depth)) == [0, 12, 255]
    Image.fromarray(16 * dark).save(tmp_path / "b.png")
    for depth in (None, 12, 16):
        assert grey(tmp_path / "b.png", Decoding(depth=depth)) == [0, 12, 254]
    floats = np.array([[0, 0.5, 1]], np.float32)
    for depth in (None, 8, 12, 16):
        assert grey(tiff(tmp_path / "c.tif", floats), Decoding(depth=depth)) == [0, 127, 255]


@pytest.mark.parametrize("bits", [8, 10, 12])
def test_fewer_bits_in_a_png_of_sixteen_do_not_become_black(tmp_path, bits):
    values = np.array([[0, 2**bits - 1]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    with pytest.raises(UnreadableImageError, match="could be of several depths"):
        grey(tmp_path / "a.png")
    assert grey(tmp_path / "a.png", Decoding(depth=bits)) == [0, 255]


@pytest.mark.parametrize("bits", [13, 14])
def test_fewer_bits_in_a_tiff_of_sixteen_are_not_read_dark(tmp_path, bits):
    values = np.array([[0, 2**bits - 1]], dtype=np.uint16)
    with pytest.raises(UnreadableImageError, match="could be of several depths"):
        grey(tiff(tmp_path / "a.tif", values))
    assert grey(tmp_path / "a.tif", Decoding(depth=bits)) == [0, 255]


@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_where_white_is_zero_the_image_is_no_negative(tmp_path, kind):
    white = 65535 if kind == np.uint16 else 1
    tags = ImageFileDirectory_v2()
    tags[262] = 0
    values = np.array([[0, white]], dtype=kind)
    Image.fromarray(values).save(tmp_path / "a.tif", tiffinfo=tags)
    with Image.open(tmp_path / "a.tif") as image:
        if image.tag_v2[262] != 0:
            pytest.skip("this Pillow writes its own tag")
    assert grey(tmp_path / "a.tif") == [255, 0]


def test_several_images_in_a_file_are_pointed_out(tmp_path):
    frames = [Image.new("L", (4, 4), shade) for shade in (0, 100, 200)]
    for name in ("a.gif", "a.tif"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        with pytest.warns(UserWarning, match="several images, of which the first is read"):
            assert int(Decoding().read(tmp_path / name, 1).max()) == 0


def test_colours_of_fewer_bits_than_they_are_stored_in_do_not_become_black(tmp_path):
    values = np.full((2, 2, 3), 4000)
    for white in (None, 4095):
        with pytest.raises(UnreadableImageError, match="save them with 8 bits"):
            Decoding().read(colours(tmp_path / "a.tif", values, white), 3)
    bright = Decoding().read(colours(tmp_path / "b.tif", 16 * values), 3)
    assert bright.unique().tolist() == [250]


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_an_image_is_not_larger_than_is_allowed(tmp_path, mode):
    path = tmp_path / "a.tif"
    Image.new("L", (40, 30)).convert(mode).save(path)
    enough = 40 * 30 * (2 if mode == "I;16" else 1)
    Decoding(max_pixels=enough, depth=16).read(path, 3)
    with pytest.raises(UnreadableImageError, match=r"40 × 30 pixels are more than data.max_pixels"):
        Decoding(max_pixels=enough - 1, depth=16).read(path, 3)


def test_a_large_jpeg_is_brought_down_while_it_is_decoded(tmp_path):
    Image.new("RGB", (800, 800)).save(tmp_path / "a.jpg")
    assert Decoding(max_pixels=10_000).read(tmp_path / "a.jpg", 3, 64).shape == (3, 100, 100)


def test_a_progressive_jpeg_is_held_whole_and_counts_as_such(tmp_path):
    Image.new("RGB", (800, 800)).save(tmp_path / "a.jpg", progressive=True)
    assert Decoding().read(tmp_path / "a.jpg", 3, 64).shape == (3, 100, 100)
    with pytest.raises(UnreadableImageError, match=r"800 × 800 pixels are more than"):
        Decoding(max_pixels=2 * 800 * 800 - 1).read(tmp_path / "a.jpg", 3, 64)


@pytest.mark.parametrize("kind", ["EPS", "ICO", "PDF", "PPM"])
def test_formats_that_start_programs_or_hide_their_size_are_no_images(tmp_path, kind):
    """Whatever the file is called; its content would choose the decoder."""
    Image.new("RGB", (40, 30)).save(tmp_path / "a", kind)
    (tmp_path / "a").rename(tmp_path / "a.png")
    if kind == "PPM":  # one of those that are read
        assert Decoding().read(tmp_path / "a.png", 3).shape == (3, 30, 40)
    else:
        with pytest.raises(UnreadableImageError, match=r"cannot be read \(not an image\)"):
            Decoding().read(tmp_path / "a.png", 3)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_transparent_parts_are_white(tmp_path, mode):
    image = Image.new("RGBA", (2, 1), (10, 20, 30, 255))
    image.putpixel((1, 0), (10, 20, 30, 0))
    image.convert(mode).save(tmp_path / "a.png" if mode != "PA" else tmp_path / "a.tif")
    shown = Decoding().read(tmp_path / ("a.png" if mode != "PA" else "a.tif"), 3)
    assert shown[:, 0, 1].tolist() == [255, 255, 255]
    if mode == "RGBA":
        assert shown[:, 0, 0].tolist() == [10, 20, 30]


def test_what_is_no_regular_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to("/dev/zero")
    for name in ("a.png", "b.png"):
        with pytest.raises(UnreadableImageError, match="not a regular file"):
            Decoding().read(tmp_path / name, 3)


def test_photos_of_phones_are_read_where_their_library_is_and_named_otherwise(
    tmp_path, monkeypatch
):
    heif = pytest.importorskip("pillow_heif")
    image = Image.new("RGB", (64, 48), (200, 30, 60))
    heif.from_pillow(image).save(tmp_path / "a.HEIC")
    found = Decoding().read(tmp_path / "a.HEIC", 3)
    assert found.shape == (3, 48, 64)
    assert (found.float().mean((1, 2)) - torch.tensor([200.0, 30, 60])).abs().max() < 8
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(UnreadableImageError, match=r"pip install 'lsc_continual\[heic\]'"):
        Decoding().read(tmp_path / "a.HEIC", 3)

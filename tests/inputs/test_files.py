"""Image files of every odd kind."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lsc_continual.inputs import ImageFiles
from lsc_continual.inputs.decoding import Decoding, UnreadableImageError
from tests.scenarios.layouts import broken, classes, photo, put


def pixels(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image)).movedim(-1, 0)


def assert_close(image: torch.Tensor, expected: torch.Tensor, mean_difference: float = 6.0) -> None:
    assert image.shape == expected.shape
    assert (image.float() - expected.float()).abs().mean() < mean_difference


def test_lossless_files_keep_their_pixels_whatever_they_are_called(tmp_path):
    for name in ("a.png", "b.PNG", "with space.bmp", "größe 漢字.tiff", "c.webp"):
        path = put(tmp_path / name, **({"lossless": True} if name == "c.webp" else {}))
        assert torch.equal(Decoding().read(path, 3), pixels(photo())), name
    photo().save(tmp_path / "png.JPEG", format="PNG")
    assert torch.equal(Decoding().read(tmp_path / "png.JPEG", 3), pixels(photo()))


def test_jpegs_in_grey_and_cmyk_become_colour(tmp_path):
    photo().convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    assert_close(Decoding().read(tmp_path / "cmyk.jpg", 3), pixels(photo()))
    photo().convert("L").save(tmp_path / "grey.jpg", quality=95)
    grey = Decoding().read(tmp_path / "grey.jpg", 3)
    assert torch.equal(grey[0], grey[1])
    assert_close(grey[0], torch.from_numpy(np.array(photo().convert("L"))))
    assert torch.equal(Decoding().read(tmp_path / "grey.jpg", 1), grey[:1])


@pytest.mark.parametrize("least", [None, 30])
def test_photographs_taken_sideways_are_upright(tmp_path, least):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90° clockwise
    sideways = photo().transpose(Image.Transpose.ROTATE_90)
    sideways.save(tmp_path / "a.jpg", exif=exif, quality=95)
    assert_close(Decoding().read(tmp_path / "a.jpg", 3, least), pixels(photo()))


def test_transparent_parts_become_white(tmp_path):
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putdata([0, 1])
    palette.save(tmp_path / "p.png", transparency=1)
    assert Decoding().read(tmp_path / "p.png", 3)[:, 0].T.tolist() == [
        [10, 20, 30],
        [255, 255, 255],
    ]
    Image.new("LA", (1, 1), (40, 0)).save(tmp_path / "la.png")
    assert Decoding().read(tmp_path / "la.png", 1).item() == 255
    Image.new("RGBA", (1, 1), (0, 0, 0, 128)).save(tmp_path / "rgba.png")
    assert Decoding().read(tmp_path / "rgba.png", 3).flatten().tolist() == [127, 127, 127]


def test_deep_grey_is_scaled_not_clipped(tmp_path):
    values = np.array([[0, 200, 257 * 100, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    assert Decoding().read(tmp_path / "a.png", 1).flatten().tolist() == [0, 0, 100, 255]
    Image.fromarray(values[:, :2]).save(tmp_path / "dark.png")
    assert Decoding(16).read(tmp_path / "dark.png", 1).flatten().tolist() == [0, 0]


def test_one_bit_and_animated_images(tmp_path):
    bits = Image.new("1", (2, 1))
    bits.putdata([0, 255])
    bits.save(tmp_path / "bits.png")
    assert Decoding().read(tmp_path / "bits.png", 1).flatten().tolist() == [0, 255]
    frames = [Image.new("L", (2, 2), value) for value in (80, 160)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert Decoding().read(tmp_path / "a.gif", 1).unique().tolist() == [80]


def test_files_that_are_no_images_are_named_with_the_reason(tmp_path):
    empty, text, cut = broken(tmp_path)
    for path, reason in (
        (empty, "not an image"),
        (text, "not an image"),
        (cut, "truncated"),
        (tmp_path / "missing.png", "No such file"),
    ):
        with pytest.raises(UnreadableImageError, match=reason) as error:
            Decoding().read(path, 3)
        assert str(error.value).startswith(f"{path} cannot be read (")
        assert str(error.value).count(str(path)) == 1


def files(root: Path, resolution: int = 16, channels: int = 3) -> ImageFiles:
    paths = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))
    return ImageFiles(root, paths, torch.arange(len(paths)) % 2, resolution, channels)


def test_every_image_comes_out_in_one_shape(tmp_path):
    for index, size in enumerate([(40, 30), (30, 40), (1, 1), (8, 200), (16, 16), (500, 400)]):
        put(tmp_path / f"{index}.png", index, size)
    images = files(tmp_path)
    for index in range(len(images)):
        for crop_scale in (None, 0.08):
            image = images.pixels(index, crop_scale)
            assert (image.shape, image.dtype) == ((3, 16, 16), torch.uint8)
    assert torch.equal(images.pixels(4), pixels(photo(4, (16, 16))))
    image, label = images[0]
    assert label == 0
    assert torch.equal(image, images.pixels(0).float() / 255)
    assert files(tmp_path, channels=1).pixels(0).shape == (1, 16, 16)


def test_the_middle_is_what_tests_see(tmp_path):
    put(tmp_path / "a.png", 3, (40, 16))
    assert torch.equal(files(tmp_path).pixels(0), pixels(photo(3, (40, 16)))[:, :, 12:28])


def test_a_subset_keeps_files_and_labels_together(tmp_path):
    images = files(classes(tmp_path, "a b"))
    part = images.subset(torch.tensor([5, 2]))
    assert [part.path(i) for i in range(2)] == [images.path(5), images.path(2)]
    assert part.targets == [images.targets[5], images.targets[2]]


def test_the_fingerprint_follows_the_content_and_not_the_place(tmp_path):
    here = classes(tmp_path / "here", "a b")
    before = files(here).fingerprint()
    there = tmp_path / "some where else"
    shutil.copytree(here, there)
    os.utime(there / "a" / "0.png", (0, 0))
    assert files(there).fingerprint() == before
    content = bytearray((there / "a" / "0.png").read_bytes())
    content[-20] ^= 1  # the same length
    (there / "a" / "0.png").write_bytes(content)
    assert files(there).fingerprint() != before
    assert files(here, resolution=8).fingerprint() != before
    (here / "b" / "0.png").rename(here / "b" / "00.png")
    assert files(here).fingerprint() != before

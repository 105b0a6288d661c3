"""Images of .npz files, row by row, are what numpy reads at once."""

from __future__ import annotations

import numpy as np
import pytest

from lsc_continual.errors import LSCError
from lsc_continual.inputs.pixels import as_images
from lsc_continual.inputs.preparation import Preparation
from lsc_continual.streaming.npz import NpzImages

RANDOM = np.random.RandomState(0)
BYTES = RANDOM.randint(256, size=(150, 4, 6)).astype(np.uint8)
BLACK = np.where(np.arange(150)[:, None, None] % 3, 0, BYTES)  # images that do not tell the range


@pytest.mark.parametrize(
    "x",
    [
        BYTES,
        BYTES > 99,
        BYTES.astype(np.int64),
        BLACK.astype(np.float64),
        np.minimum(BLACK, 1).astype(np.float32),
        BYTES.astype(np.float32) / 255,
        np.asfortranarray(BYTES),
        BYTES.astype(">f4"),
        np.repeat(BYTES[..., None], 3, axis=-1),
    ],
    ids=lambda x: f"{x.dtype}{x.shape}",
)
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_rows_are_read_as_the_arrays_scenario_reads_them(tmp_path, x, save):
    save(tmp_path / "x.npz", x=x)
    expected = as_images(x, "x")
    prepare = Preparation(tuple(expected.shape[1:]))
    found = [one for some in NpzImages(tmp_path / "x.npz").inputs() for one in some]
    assert [name for name, _ in found] == list(range(150))
    for (_, content), row in zip(found, expected, strict=True):
        prepared = prepare(content)
        assert prepared.dtype == row.dtype
        assert np.array_equal(prepared, row)


def test_a_table_is_read_as_it_is(tmp_path):
    x = RANDOM.randn(20, 5)
    np.savez(tmp_path / "x.npz", x=x)
    rows = [one.content for some in NpzImages(tmp_path / "x.npz").inputs() for one in some]
    prepared = np.stack([Preparation((5, 1, 1))(row).numpy() for row in rows])
    assert np.array_equal(prepared, as_images(x, "x").numpy())


def test_one_bad_image_leaves_the_others_as_they_are(tmp_path):
    x = BYTES.astype(np.float32) / 255
    x[7, 0, 0], x[9, 0, 0] = np.nan, 1e9
    np.savez(tmp_path / "x.npz", x=x)
    prepare, bad = Preparation((1, 4, 6)), []
    for name, content in (one for some in NpzImages(tmp_path / "x.npz").inputs() for one in some):
        try:
            assert np.array_equal(prepare(content)[0], x[name])
        except LSCError:
            bad.append(name)
    assert bad == [7, 9]


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["x", "x_test"], "x"),
        (["x_train", "x_test", "y_test"], "x_test"),
        (["images"], "images"),
    ],
)
def test_the_array_with_the_images_is_found(tmp_path, names, chosen):
    arrays = {name: np.full((2, 3, 3), i, np.uint8) for i, name in enumerate(names)}
    np.savez(tmp_path / "x.npz", **arrays)
    (rows,) = NpzImages(tmp_path / "x.npz").inputs()
    assert (rows[0].content == names.index(chosen)).all()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": np.zeros((2, 2, 2)), "b": np.zeros(2)}, "has no array 'x' but a, b"),
        ({"x": np.array([None, 1])}, "holds Python objects"),
        ({"x": np.zeros(3)}, "not that of images"),
    ],
)
def test_files_without_images_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(LSCError, match=message):
        NpzImages(tmp_path / "x.npz")


def test_missing_and_foreign_files_are_refused(tmp_path):
    (tmp_path / "x.npz").write_bytes(b"something else")
    for name in ("x.npz", "y.npz"):
        with pytest.raises(LSCError, match=r"cannot be read as an \.npz file"):
            NpzImages(tmp_path / name)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_every_row_of_a_damaged_file_is_named(tmp_path, save):
    path = tmp_path / "x.npz"
    x = RANDOM.randint(256, size=(2000, 8, 8)).astype(np.uint8)
    save(path, x=x)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 50] = bytes(50)
    path.write_bytes(data)
    found = [one for some in NpzImages(path).inputs() for one in some]
    assert [name for name, _ in found] == list(range(2000))
    failed = [isinstance(content, LSCError) for _, content in found]
    assert failed == sorted(failed)  # from some row on
    assert failed[-1]
    assert not failed[0]

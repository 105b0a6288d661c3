"""Images and features in .npz files."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from lsc_continual.errors import LSCError
from lsc_continual.inputs import Source
from lsc_continual.inputs.pixels import as_images
from lsc_continual.scenarios import load_images

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (12, 5, 5, 3)).astype(np.uint8)
LABELS = np.arange(12) % 3


def save(path: Path, **arrays) -> Path:
    whole = {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES[:6], "y_test": LABELS[:6]}
    whole |= arrays
    np.savez(path, **{key: value for key, value in whole.items() if value is not None})
    return path


def load(path: Path, **options):
    return load_images("arrays", Source(path, **options))


def test_images_and_labels_are_those_of_the_file(tmp_path):
    save(tmp_path / "a.npz", further=np.zeros(3), class_names=np.array(["x", "y", "z"]))
    for root in (tmp_path, tmp_path / "a.npz"):
        data = load(root)
        assert data.class_names == ["x", "y", "z"]
        assert data.train.targets == LABELS.tolist()
        assert torch.equal(data.train.images, torch.from_numpy(IMAGES).permute(0, 3, 1, 2))
        assert (len(data.test), data.input_shape, data.drawn) == (6, (3, 5, 5), False)
        assert data.split == {"train": list(map(str, range(12))), "test": list("012345")}


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (LABELS * 10 - 10, ["-10", "0", "10"]),
        (LABELS.astype(np.uint8)[:, None], ["x", "y", "z"]),
        (np.array(["cat", "ant", "bee"])[LABELS], ["ant", "bee", "cat"]),
        (np.array([b"cat", b"ant", b"bee"])[LABELS], ["ant", "bee", "cat"]),
        (LABELS + 7, ["7", "8", "9"]),
    ],
)
def test_labels_of_any_value_are_named(tmp_path, labels, names):
    given = np.array(["x", "y", "z"])
    path = save(tmp_path / "a.npz", y_train=labels, y_test=labels[:6], class_names=given)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data = load(path)
    assert data.class_names == names
    assert ["is not used" in str(w.message) for w in caught] == [True] * (names[0] != "x")
    assert sorted(set(data.train.targets)) == [0, 1, 2]
    flat = labels.ravel()
    for row, label in enumerate(data.train.targets):
        assert (flat == flat[row]).tolist() == [t == label for t in data.train.targets]


def test_names_and_labels_that_would_lose_a_class_are_refused_or_kept_apart(tmp_path):
    twice = save(tmp_path / "a.npz", class_names=np.array(["x", "y", "x"]))
    with pytest.raises(LSCError, match=r"two classes in .*a\.npz are called 'x'"):
        load(twice)
    labels = np.array([b"\xff", b"\xfe", b"ok"])[LABELS]
    data = load(save(tmp_path / "b.npz", y_train=labels, y_test=labels[:6]))
    assert data.class_names == ["\\xfe", "\\xff", "ok"]
    large = LABELS.astype(np.uint64) + np.uint64(2**63)
    with pytest.raises(LSCError, match=r"labels are below 2\*\*63"):
        load(save(tmp_path / "c.npz", y_train=large, y_test=large[:6]))


@pytest.mark.parametrize("empty", [{"x_test": None, "y_test": None}, {}])
def test_without_test_images_each_class_is_split(tmp_path, empty):
    empty = empty or {"x_test": IMAGES[:0], "y_test": LABELS[:0]}
    path = save(tmp_path / "a.npz", **empty)
    data = load(path, test_fraction=0.5)
    assert torch.tensor(data.train.targets).bincount().tolist() == [2, 2, 2]
    assert torch.tensor(data.test.targets).bincount().tolist() == [2, 2, 2]
    rows = [int(row) for row in data.split["test"]]
    assert data.test.targets == LABELS[rows].tolist()
    assert torch.equal(data.test.images, as_images(IMAGES[rows], ""))
    assert sorted(rows + [int(row) for row in data.split["train"]]) == list(range(12))
    assert load(path, test_fraction=0.5, seed=0).split == data.split


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((4, 7, 9), (4, 1, 7, 9)),
        ((4, 7, 9, 3), (4, 3, 7, 9)),
        ((4, 3, 7, 9), (4, 3, 7, 9)),
        ((4, 1, 7, 7), (4, 1, 7, 7)),
        ((4, 1, 1, 3), (4, 3, 1, 1)),
        ((4, 8, 8, 5), (4, 5, 8, 8)),
        ((4, 5, 8, 8), (4, 5, 8, 8)),
        ((4, 8, 8, 1), (4, 1, 8, 8)),
        ((4, 6), (4, 6, 1, 1)),
    ],
)
def test_the_channels_are_found(shape, expected):
    x = RNG.integers(0, 256, shape).astype(np.uint8)
    images = as_images(x, "x")
    assert images.shape == expected
    if len(shape) == 4 and shape != expected:
        assert torch.equal(images[1, :, 0, 0], torch.from_numpy(x[1, 0, 0]))
    else:
        assert images.flatten().tolist() == x.flatten().tolist()


@pytest.mark.parametrize(
    ("x", "dtype", "values"),
    [
        (np.array([0, 128, 255], np.uint8), torch.uint8, [0, 128, 255]),
        (np.array([0, 128, 255], np.int64), torch.uint8, [0, 128, 255]),
        (np.array([0, 128, 255], ">f4"), torch.uint8, [0, 128, 255]),
        (np.array([False, True]), torch.uint8, [0, 255]),
        (np.array([0, 0.5, 1], np.float64), torch.float32, [0, 0.5, 1]),
        (np.array([0, 0.5, 1], np.float16), torch.float32, [0, 0.5, 1]),
        (np.array([0, 0.5, 1], ">f4"), torch.float32, [0, 0.5, 1]),
    ],
)
def test_types_are_converted(x, dtype, values):
    images = as_images(x[None, None], "x")
    assert images.dtype == dtype
    assert images.flatten().tolist() == values


def test_features_of_a_table_keep_their_range():
    x = RNG.standard_normal((4, 6)) * 1000
    assert torch.equal(as_images(x, "x").flatten(1), torch.from_numpy(x).float())


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x_train": None}, "no array 'x_train'"),
        ({"y_test": None}, "no array 'y_test'"),
        ({"x_train": IMAGES[:5]}, r"x_train .*shape \(5, 5, 5, 3\), but there are 12 labels"),
        ({"x_train": np.float64(3)}, r"x_train .*shape \(\)"),
        ({"x_train": IMAGES[:0], "y_train": LABELS[:0]}, "x_train .* holds no images"),
        ({"x_train": IMAGES[..., None]}, "x_train .* has 5 dimensions"),
        ({"x_train": np.zeros((12, 3, 7, 3))}, "the channels cannot be told"),
        ({"x_train": np.full((12, 5, 5), np.nan)}, "x_train .* not finite"),
        ({"x_test": np.full((6, 5, 5, 3), -0.5)}, "x_test .* from -0.5 to -0.5: scale"),
        ({"x_test": np.full((6, 5, 5, 3), 1.5)}, "x_test .* from 1.5 to 1.5: scale"),
        ({"x_test": np.full((6, 5, 5, 3), 256)}, "x_test .* from 256 to 256: scale"),
        ({"x_train": np.full((12, 5, 5), "a")}, "x_train .* has the type <U1"),
        ({"x_train": np.full((12, 5, 5), None)}, "holds Python objects, which are not read"),
        ({"y_train": np.eye(12)}, r"y_train .* has shape \(12, 12\) and type float64"),
        ({"y_train": LABELS / 2}, "y_train .* one integer or text"),
        ({"y_test": LABELS[:6].astype(str)}, "y_train .* is of type int64, y_test <U"),
        ({"y_test": LABELS[:6] + 1}, "class '3', which is never trained on"),
        ({"x_test": IMAGES[:6, :4]}, r"training images have shape \(3, 5, 5\), test images"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path, arrays, message):
    path = save(tmp_path / "a.npz", **arrays)
    with pytest.raises(LSCError, match=message):
        load(path)


def test_files_that_are_no_npz_are_refused(tmp_path):
    def refused(match: str, root: Path) -> None:
        with pytest.raises(LSCError, match=match):
            load(root)

    refused("names 0 files", tmp_path)
    refused("names no file", tmp_path / "a.npz")
    good = save(tmp_path / "a.npz")
    whole = good.read_bytes()
    changed = whole.replace(IMAGES.tobytes()[:20], bytes(20))
    assert changed != whole
    for content in (b"", b"text", whole[:700], changed):
        (tmp_path / "bad").write_bytes(content)
        refused("bad cannot be read as an .npz file", tmp_path / "bad")
    np.save(tmp_path / "single.npy", IMAGES)
    refused("single.npy has no labels: put them into", tmp_path / "single.npy")
    save(tmp_path / "b.npz")
    refused("names 2 files", tmp_path)


def test_classes_can_be_chosen_and_put_in_order(tmp_path):
    path = save(tmp_path / "a.npz", class_names=np.array(["x", "y", "z"]))
    data = load(path, classes=("z", "x"))
    assert data.class_names == ["z", "x"]
    rows = [row for row, label in enumerate(LABELS.tolist()) if label != 1]
    assert data.train.targets == [0 if LABELS[row] == 2 else 1 for row in rows]
    assert torch.equal(data.train.images, as_images(IMAGES[rows], ""))
    for wanted, message in (
        (("x", "w"), "unknown class 'w': choose one of x, y, z"),
        ((), "data.classes is empty"),
        (("x", "x"), "names a class twice"),
    ):
        with pytest.raises(LSCError, match=message):
            load(path, classes=wanted)


def test_a_class_with_a_single_image_is_left_out_or_trained_on(tmp_path):
    x = np.random.default_rng(0).integers(256, size=(11, 4, 4)).astype(np.uint8)
    y = np.array([7] + [3, 9] * 5)
    np.savez(tmp_path / "d.npz", x_train=x, y_train=y)
    data = load_images("arrays", Source(tmp_path / "d.npz"))
    assert data.class_names == ["3", "9"]
    assert data.left_out["7"] == {"the only image of its class": 1}
    assert sorted(data.split["train"] + data.split["test"], key=int) == [*map(str, range(1, 11))]
    assert (len(data.train), len(data.test)) == (8, 2)
    data = load_images("arrays", Source(tmp_path / "d.npz", keep_single=True))
    assert data.class_names == ["3", "7", "9"]
    assert torch.tensor(data.train.targets).bincount().tolist() == [4, 1, 4]
    assert set(data.test.targets) == {0, 2}

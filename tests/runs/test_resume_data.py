"""A resumed run finds its data again, whatever was added, and names what has changed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from lsc_continual.runs import run as runs
from tests.runs.test_resume import outcome, quiet, refused, run, said
from tests.scenarios.layouts import classes, put


def arrays(path: Path, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    labels = np.arange(60) % 3
    images = (rng.random((60, 1, 4, 4)) * 50 + 80 * labels[:, None, None, None]).astype(np.uint8)
    np.savez(path, x_train=images, y_train=labels, x_test=images[:9], y_test=labels[:9])
    return path


def test_other_arrays_are_refused_and_moved_ones_are_found(tmp_path):
    source = arrays(tmp_path / "data.npz")
    settings = ["scenario=arrays", "scenario.experiences=3", f"data.root={source}"]
    folder = run(tmp_path / "r", *settings)
    for path in (folder / "checkpoints").glob("step-*"):
        if int(path.name[5:]) > 3:
            shutil.rmtree(path)
    expected = outcome(folder)
    arrays(source, seed=1)
    refused(
        folder, r"data\.npz are not those that .* \(images of class 0 are others; .*\): put them"
    )
    source.unlink()
    refused(folder, "names no file")
    moved = arrays(tmp_path / "moved.npz")
    runs.resume(folder, [f"data.root={moved}"], quiet())
    assert outcome(folder) == expected


LAYOUTS = {"one tree": [""], "two trees": ["train", "test"]}


@pytest.fixture(params=LAYOUTS)
def parts(request, tmp_path) -> list[Path]:
    """The folders around the class folders."""
    parts = [tmp_path / "data" / part for part in LAYOUTS[request.param]]
    for part in parts:
        classes(part, "bee cat ant", 8)
    return parts


def begun(tmp_path: Path, *settings: str) -> tuple[Path, dict]:
    """A run on class folders as it was after its first experience, and how it ends."""
    data = ["scenario=folder", "scenario.experiences=3", f"data.root={tmp_path / 'data'}"]
    quick = ["data.resolution=8", "train.workers=0", "train.batch_size=4"]
    folder = run(tmp_path / "r", *data, *quick, *settings)
    end = outcome(folder)
    experience = max(int(path.name[5:]) for path in (folder / "checkpoints").glob("step-*")) // 3
    for path in (folder / "checkpoints").glob("step-*"):
        if int(path.name[5:]) > experience:
            shutil.rmtree(path)
    return folder, end


@pytest.mark.parametrize("memory", [4, 0])
def test_what_was_added_does_not_matter(parts, tmp_path, memory):
    folder, end = begun(tmp_path, f"data.memory={memory}")
    stream = (folder / "stream.json").read_text(encoding="utf-8")
    for part in parts:
        classes(part, "aardvark zebra", 3)
        for number in range(5):
            put(part / "bee" / f"0{number}.png", 50 + number)
    console = quiet()
    runs.resume(folder, [], console)
    assert outcome(folder) == end
    added = len(parts) * (3 + 3 + 5)
    assert f"{added} left out: {added} × added since the run was started" in said(console)
    before, after = json.loads(stream), json.loads((folder / "stream.json").read_text("utf-8"))
    assert after["split"] == before["split"]
    assert after["images"]["zebra"]["left_out"] == {
        "added since the run was started": 3 * len(parts)
    }


def test_what_is_gone_is_named(parts, tmp_path):
    folder, _ = begun(tmp_path)
    (parts[0] / "bee" / "3.png").unlink()
    refused(folder, r"1 of the images that the run was started with are gone from .*bee/3\.png\)")
    shutil.rmtree(parts[0] / "cat")
    refused(
        folder, r"9 of the images .* \((train/)?bee/3.png, (train/)?cat/0.png, .*, …\): put them"
    )


@pytest.mark.parametrize("memory", [4, 0])
def test_what_has_changed_is_named(parts, tmp_path, memory):
    folder, _ = begun(tmp_path, f"data.memory={memory}")
    changed = parts[0] / "ant" / "0.png"
    original = changed.read_bytes()
    put(changed, 99)
    refused(folder, r"not those that the run was started with \(images of class ant are others\)")
    changed.write_bytes(original)
    runs.resume(folder, [], quiet())


def test_an_image_that_can_no_longer_be_read_is_a_change(parts, tmp_path):
    folder, _ = begun(tmp_path)
    (parts[0] / "ant" / "0.png").write_bytes(b"nothing")
    counts = r"class ant has (7|15) images and had (8|16)"
    with pytest.warns(UserWarning, match="1 image in .* left out"):
        refused(folder, rf"not those that the run was started with \({counts}\)")


def test_rows_that_were_added_to_arrays_do_not_matter(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (60, 4, 4), dtype=np.uint8), np.arange(60) % 3
    path = tmp_path / "data.npz"
    np.savez(path, x_train=x, y_train=y)
    folder = run(tmp_path / "r", "scenario=arrays", "scenario.experiences=3", f"data.root={path}")
    expected = outcome(folder)
    for checkpoint in (folder / "checkpoints").glob("step-*"):
        if int(checkpoint.name[5:]) > 3:
            shutil.rmtree(checkpoint)
    more = np.concatenate([x, x[::-1][:7]])
    np.savez(path, x_train=more, y_train=np.concatenate([y, [0, 1, 2, 0, 3, 3, 3]]))
    console = quiet()
    runs.resume(folder, [], console)
    assert outcome(folder) == expected
    assert "7 left out: 7 × added since the run was started" in said(console)
    np.savez(path, x_train=x[:50], y_train=y[:50])
    refused(folder, "has 50 train images, and the run was started with more")


def test_rows_that_were_added_to_given_test_images_do_not_matter_either(tmp_path):
    source = arrays(tmp_path / "data.npz")
    folder = run(tmp_path / "r", "scenario=arrays", "scenario.experiences=3", f"data.root={source}")
    expected = outcome(folder)
    for checkpoint in (folder / "checkpoints").glob("step-*"):
        if int(checkpoint.name[5:]) > 3:
            shutil.rmtree(checkpoint)
    content = dict(np.load(source))
    for key in content:
        content[key] = np.concatenate([content[key], content[key][:6]])
    np.savez(source, **content)
    console = quiet()
    runs.resume(folder, [], console)
    assert outcome(folder) == expected
    assert "12 left out: 12 × added since the run was started" in said(console)


def test_classes_that_are_gone_from_arrays_are_named(tmp_path):
    source = arrays(tmp_path / "data.npz")
    folder = run(tmp_path / "r", "scenario=arrays", "scenario.experiences=3", f"data.root={source}")
    content = dict(np.load(source))
    for part in ("train", "test"):
        kept = content[f"y_{part}"] != 1
        for key in (f"x_{part}", f"y_{part}"):
            content[key] = content[key][kept]
    np.savez(source, **content)
    refused(folder, r"classes that the run was started with are gone from .*data.npz \(1\)")


def test_files_read_from_disk_go_on_to_the_bit(tmp_path):
    root = classes(tmp_path / "data", "ant bee cat", 12)
    settings = ["scenario=folder", "scenario.experiences=3", f"data.root={root}", "data.memory=0"]
    settings += ["data.resolution=8", "augment.crop_scale=0.3", "train.batch_size=4"]
    folder = run(tmp_path / "r", *settings, "train.workers=0")
    expected = outcome(folder)
    for path in (folder / "checkpoints").glob("step-*"):
        if int(path.name[5:]) > 9:
            shutil.rmtree(path)
    runs.resume(folder, ["train.workers=2"], quiet())
    assert outcome(folder) == expected

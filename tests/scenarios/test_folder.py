"""Images in class folders."""

from __future__ import annotations

import json
import os
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lsc_continual.errors import LSCError
from lsc_continual.inputs import ImageFiles, Source, StoredImages
from lsc_continual.inputs.trees import class_folders
from lsc_continual.scenarios import load_images
from tests.scenarios.layouts import broken, classes, photo, put


def load(root: Path, **options):
    return load_images("folder", replace(Source(root), **options))


@pytest.mark.parametrize("test", ["test", "val", "valid", "validation"])
def test_training_and_test_folders_are_read(tmp_path, test):
    classes(tmp_path / "train", "zebra Ant", count=3)
    classes(tmp_path / test, "Ant zebra", count=2)
    data = load(tmp_path)
    assert data.class_names == ["Ant", "zebra"]
    assert data.train.targets == [0, 0, 0, 1, 1, 1]
    assert data.test.targets == [0, 0, 1, 1]
    assert data.split is not None
    assert data.split["test"] == [
        f"{test}/{name}/{i}.png" for name in ("Ant", "zebra") for i in (0, 1)
    ]
    assert (data.drawn, data.skipped) == (False, ())
    assert data.input_shape == (3, 30, 30)  # the shorter side
    expected = np.array(photo(10))[:, 5:35]  # Ant's first image
    assert torch.equal(data.train.images[0], torch.from_numpy(expected).movedim(-1, 0))


def test_a_tree_without_a_split_is_split_by_class_and_seed(tmp_path):
    classes(tmp_path, "a b", count=10)
    classes(tmp_path, "c", count=2)
    data = load(tmp_path)
    assert torch.tensor(data.train.targets).bincount().tolist() == [8, 8, 1]
    assert torch.tensor(data.test.targets).bincount().tolist() == [2, 2, 1]
    assert data.split == load(tmp_path).split
    assert data.split != load(tmp_path, seed=1).split
    every = sorted(data.split["train"] + data.split["test"])
    assert every == sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.png"))
    for part, images in (("train", data.train), ("test", data.test)):
        for row, path in enumerate(data.split[part]):
            with Image.open(tmp_path / path) as image:
                expected = torch.from_numpy(np.array(image)[:, 5:35]).movedim(-1, 0)
            assert torch.equal(images.images[row], expected)
            assert data.class_names[images.targets[row]] == path.split("/")[0]
    classes(tmp_path, "another", count=5)  # leaves the split of the others alone
    assert set(data.split["test"]) < set(load(tmp_path).split["test"])
    assert torch.tensor(load(tmp_path, test_fraction=0.5).test.targets).bincount().tolist() == [
        5,
        2,
        5,
        1,
    ]


def test_a_training_folder_alone_is_split(tmp_path):
    classes(tmp_path / "train", "a b")
    data = load(tmp_path)
    assert data.class_names == ["a", "b"]
    assert (len(data.train), len(data.test)) == (6, 2)
    assert data.split["test"][0].startswith("train/a/")


def test_nested_folders_count_and_hidden_files_and_others_do_not(tmp_path):
    classes(tmp_path, "a b", count=2)
    put(tmp_path / "a" / "deep" / "er" / "with space é.PNG")
    for ignored in (".DS_Store", ".hidden.png", "._0.png", "notes.txt", "Thumbs.db"):
        (tmp_path / "a" / ignored).write_bytes(b"x")
    (tmp_path / ".cache").mkdir()
    put(tmp_path / ".cache" / "0.png")
    put(tmp_path / "a" / ".thumbs" / "0.png")
    (tmp_path / "empty").mkdir()
    data = load(tmp_path)
    assert data.class_names == ["a", "b"]
    paths = sorted(data.split["train"] + data.split["test"])
    assert paths == ["a/0.png", "a/1.png", "a/deep/er/with space é.PNG", "b/0.png", "b/1.png"]
    assert data.skipped == ()


def test_the_resolution_follows_the_images(tmp_path):
    classes(tmp_path / "small", "a b", size=(20, 20))
    assert load(tmp_path / "small").input_shape == (3, 20, 20)
    classes(tmp_path / "large", "a b", size=(90, 80))
    assert load(tmp_path / "large").input_shape == (3, 64, 64)
    classes(tmp_path / "mixed", "a", size=(50, 40))
    classes(tmp_path / "mixed", "b c", size=(20, 28))
    assert load(tmp_path / "mixed").input_shape == (3, 20, 20)
    assert load(tmp_path / "mixed", resolution=10).input_shape == (3, 10, 10)
    grey = photo().convert("L")
    for name in "ab":
        (tmp_path / "grey" / name).mkdir(parents=True)
        grey.save(tmp_path / "grey" / name / "0.png")
        grey.convert("1").save(tmp_path / "grey" / name / "1.png")
    assert load(tmp_path / "grey").input_shape == (1, 30, 30)
    put(tmp_path / "grey" / "a" / "colour.png")
    assert load(tmp_path / "grey").input_shape == (3, 30, 30)


def test_images_beyond_the_memory_stay_in_files_and_are_the_same(tmp_path):
    classes(tmp_path, "a b")
    stored, files = load(tmp_path), load(tmp_path, memory=0.0)
    assert isinstance(stored.train, StoredImages)
    assert isinstance(files.train, ImageFiles)
    assert isinstance(files.test, ImageFiles)
    assert files.split == stored.split
    for part in ("train", "test"):
        one, other = getattr(stored, part), getattr(files, part)
        assert one.targets == other.targets
        for row in range(len(one)):
            assert torch.equal(one[row][0], other[row][0])


def test_unreadable_files_are_left_out_and_named(tmp_path):
    classes(tmp_path / "train", "a b", count=70)  # more than one task decodes
    classes(tmp_path / "test", "a b", count=2)
    broken(tmp_path / "train" / "a")
    with pytest.warns(UserWarning, match=r"3 images in .* left out: train/a/empty\.png") as caught:
        data = load(tmp_path)
    assert "lsc_continual" in Path(caught[0].filename).parts
    assert [entry.split(" ")[0] for entry in data.skipped] == [
        "train/a/empty.png",
        "train/a/text.png",
        "train/a/truncated.jpg",
    ]
    assert data.train.targets == [0] * 70 + [1] * 70
    expected = torch.from_numpy(np.array(photo(10))[:, 5:35]).movedim(-1, 0)
    assert torch.equal(data.train.images[70], expected)  # b's first is still b's first
    with pytest.raises(LSCError, match=r"empty\.png cannot be read .*data\.on_error=skip"):
        load(tmp_path, on_error="raise")


def test_a_long_list_of_unreadable_files_is_cut(tmp_path):
    for part in ("train", "test"):
        classes(tmp_path / part, "a b")
    for index in range(30):
        (tmp_path / "train" / "a" / f"{index}.jpg").touch()
    with pytest.warns(UserWarning, match=r"30 images .*; and 20 more$"):
        assert len(load(tmp_path).skipped) == 30


def test_what_cannot_be_learned_from_is_refused_in_a_sentence(tmp_path):
    def refused(match: str, root: Path = tmp_path, **options) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(LSCError, match=match):
                load(root, **options)

    refused(r"data\.root=.*missing is not a folder", tmp_path / "missing")
    refused(r"no class folders with images are in")
    put(tmp_path / "0.png")
    refused(r"no class folders with images are in .*give each class a folder")
    refused(r"data\.root=.*0\.png is not a folder", tmp_path / "0.png")
    broken(tmp_path / "a")
    broken(tmp_path / "b")
    (tmp_path / "a" / "truncated.jpg").unlink()
    (tmp_path / "b" / "truncated.jpg").unlink()
    refused("none of the 4 images in .* can be read")
    for path in (*broken(tmp_path / "a"), *broken(tmp_path / "b")):
        path.unlink()
    classes(tmp_path, "a b")
    classes(tmp_path, "lonely", count=1)
    assert load(tmp_path).class_names == ["a", "b"]
    refused("every class has a single image", classes=("lonely",))
    assert load(tmp_path, classes=("b", "a")).class_names == ["b", "a"]
    classes(tmp_path / "train", "a b")
    classes(tmp_path / "test", "a b c")
    refused("the test data has class 'c', which is never trained on")
    refused("unknown class 'aa': did you mean 'a'", classes=("aa", "b"))


@pytest.mark.parametrize("memory", [4.0, 0.0])
def test_names_that_are_not_utf8_or_do_things_on_terminals_are_read_and_shown_inert(
    tmp_path, memory
):
    classes(tmp_path, "a", count=2)
    classes(tmp_path / "strange", "x", count=2)
    (tmp_path / "strange" / "x").rename(tmp_path / "\udce9t\udce9 \x1b[31m")  # latin-1
    (tmp_path / "strange").rmdir()
    put(tmp_path / "a" / "x.png").rename(tmp_path / "a" / "\udcff\x1b]0;.png")
    data = load(tmp_path, memory=memory)
    assert data.class_names == ["a", "\\udce9t\\udce9 \\x1b[31m"]
    assert len(data.train) + len(data.test) == 5
    assert all(len(part[row][0]) for part in (data.train, data.test) for row in range(len(part)))
    assert "a/\\udcff\\x1b]0;.png" in data.split["train"] + data.split["test"]
    assert json.dumps(data.split, ensure_ascii=False).isprintable()


def test_folders_that_cannot_be_listed_are_refused(tmp_path):
    with pytest.raises(LSCError, match=r"0\.png cannot be listed \(Not a directory\)"):
        class_folders(tmp_path, put(tmp_path / "0.png").name)


def test_directories_are_read_once_whatever_links_lead_to_them(tmp_path):
    classes(tmp_path / "train", "cat dog", count=4)
    classes(tmp_path / "test", "cat dog", count=2)
    classes(tmp_path / "more", "deep", count=3)
    (tmp_path / "train" / "cat" / "again").symlink_to(".")
    (tmp_path / "train" / "cat" / "up").symlink_to("../..")
    (tmp_path / "train" / "cat" / "other").symlink_to("../dog")
    (tmp_path / "train" / "cat" / "tests").symlink_to("../../test/cat")
    (tmp_path / "train" / "dog" / "more").symlink_to("../../more")  # elsewhere: read
    (tmp_path / "more" / "back").symlink_to("../train/cat")
    (tmp_path / "train" / "alias").symlink_to("dog")
    (tmp_path / "train" / "broken").symlink_to("nowhere")
    data = load(tmp_path)
    assert data.class_names == ["cat", "dog"]
    assert torch.tensor(data.train.targets).bincount().tolist() == [4, 7]
    assert torch.tensor(data.test.targets).bincount().tolist() == [2, 2]
    reason = "a link to a folder that is read in another place"
    assert data.left_out["alias"][reason] == 1
    assert data.left_out["cat"][reason] >= 3


def test_what_is_left_out_is_said_by_class_and_reason(tmp_path):
    classes(tmp_path / "train", "cat dog", count=5)
    classes(tmp_path / "test", "cat dog", count=1)
    (tmp_path / "train" / "empty").mkdir()
    for name in ("notes.txt", "more.TXT", "list"):
        (tmp_path / "train" / "cat" / name).write_text("x", encoding="utf-8")
    (tmp_path / "test" / "sounds").mkdir()
    (tmp_path / "test" / "sounds" / "a.wav").touch()
    (tmp_path / "train" / "dog" / "bad.png").touch()
    with pytest.warns(UserWarning, match=r"1 image in .* left out"):
        data = load(tmp_path).limited(3)
    assert data.class_names == ["cat", "dog"]
    assert data.left_out == {
        "cat": {
            "no image (.txt)": 2,
            "no image (no extension)": 1,
            "beyond data.train_per_class=3": 2,
        },
        "dog": {"cannot be read": 1, "beyond data.train_per_class=3": 2},
        "empty": {"a folder without images": 1},
        "sounds": {"no image (.wav)": 1, "a folder without images": 1},
    }


def test_a_folder_of_other_files_alone_is_refused_with_what_it_holds(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.txt").touch()
    with pytest.raises(LSCError, match=r"there: a folder without images, no image \(\.txt\)"):
        load(tmp_path)


def test_names_that_differ_by_case_or_form_alone_are_pointed_out(tmp_path):
    classes(tmp_path, "Lion lion dog", count=3)
    for name in ("caf\u00e9", "cafe\u0301"):
        classes(tmp_path / "more", "x", count=3)
        (tmp_path / "more" / "x").rename(tmp_path / name)
    (tmp_path / "more").rmdir()
    with pytest.warns(UserWarning, match="are they one") as caught:
        data = load(tmp_path)
    assert len(data.class_names) == 5
    assert sorted(str(one.message).split(" differ")[0] for one in caught) == [
        "classes 'Lion' and 'lion'",
        "classes 'cafe\u0301' and 'caf\u00e9'",
    ]


def test_a_class_with_a_single_image_is_left_out_or_trained_on(tmp_path):
    classes(tmp_path, "a b", count=5)
    classes(tmp_path, "lonely", count=1)
    data = load(tmp_path)
    assert data.class_names == ["a", "b"]
    assert data.left_out == {"lonely": {"the only image of its class": 1}}
    assert not any("lonely" in path for paths in data.split.values() for path in paths)
    assert load(tmp_path, classes=("lonely", "b", "a")).class_names == ["b", "a"]
    data = load(tmp_path, keep_single=True)
    assert data.class_names == ["a", "b", "lonely"]
    assert torch.tensor(data.train.targets).bincount().tolist() == [4, 4, 1]
    assert torch.tensor(data.test.targets).bincount().tolist() == [1, 1]
    assert not any(data.left_out or {})


def test_links_to_an_image_of_the_same_class_are_left_out(tmp_path):
    classes(tmp_path, "a b", count=4)
    os.link(tmp_path / "a" / "0.png", tmp_path / "a" / "again.png")
    (tmp_path / "a" / "0 first.png").symlink_to("1.png")
    (tmp_path / "b" / "of a.png").symlink_to("../a/2.png")  # which is told by its pixels
    data = load(tmp_path)
    paths = [path for part in data.split.values() for path in part]
    real = [f"a/{n}.png" for n in range(1, 4)]
    assert sorted(path for path in paths if path.startswith("a")) == ["a/0.png", *real]
    assert "b/of a.png" in paths
    assert data.left_out == {"a": {"a link to an image of the same class": 2}}


def test_images_beside_the_class_folders_are_left_out_and_said(tmp_path):
    classes(tmp_path / "one", "a b", count=4)
    put(tmp_path / "one" / "loose.png")
    data = load(tmp_path / "one")
    assert data.left_out == {".": {"not in a folder of a class": 1}}
    two = tmp_path / "two"
    for part in ("train", "test", "val", "extra/deep"):
        classes(two / part, "a b", count=2)
    put(two / "test" / "loose.png")
    assert load(two).left_out == {
        "test": {"not in a folder of a class": 1},
        "val": {"beside the folders train and test": 4},
        "extra": {"beside the folders train and test": 4},
    }


def test_train_and_test_may_be_written_in_any_case(tmp_path):
    classes(tmp_path / "Train", "a b", count=3)
    classes(tmp_path / "TEST", "a b", count=2)
    data = load(tmp_path)
    assert (data.class_names, len(data.train), len(data.test)) == (["a", "b"], 6, 4)


def test_another_name_for_the_test_images_is_pointed_out(tmp_path):
    classes(tmp_path / "train", "a b", count=3)
    classes(tmp_path / "testing", "a b", count=2)
    with pytest.raises(LSCError, match="beside it is 'testing': call the folder of test images"):
        load(tmp_path)


def test_a_class_may_be_called_train(tmp_path):
    classes(tmp_path, "train plane", count=5)
    assert load(tmp_path).class_names == ["plane", "train"]


@pytest.mark.parametrize("readable", [0, 1])
def test_a_class_of_which_nothing_can_be_read_is_left_out(tmp_path, readable):
    classes(tmp_path, "a b", count=5)
    for number in range(4):
        put(tmp_path / "bad" / "0.png") if readable else None
        (tmp_path / "bad").mkdir(exist_ok=True)
        (tmp_path / "bad" / f"{number + 1}.png").write_bytes(b"nothing")
    with pytest.warns(UserWarning, match="4 images in .* left out"):
        data = load(tmp_path)
    assert data.class_names == ["a", "b"]
    assert data.left_out["bad"]["cannot be read"] == 4
    if readable:
        (reason,) = data.left_out["bad"].keys() - {"cannot be read"}
        assert reason in (
            "no test image of its class can be read",
            "no training image of its class can be read",
        )
        assert data.left_out["bad"][reason] == 1

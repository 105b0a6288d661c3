"""Small trees of real images in the layouts in which data sets come."""

from __future__ import annotations

import hashlib
import pickle
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.io import savemat
from sklearn.datasets import load_sample_image

WNIDS = ["n01440764", "n01443537", "n01484850"]
WORDS = ["tench, Tinca tinca", "goldfish, Carassius auratus", "great white shark, white shark"]


@cache
def _sample(name: str) -> Image.Image:
    return Image.fromarray(load_sample_image(name))


def photo(index: int = 0, size: tuple[int, int] = (40, 30)) -> Image.Image:
    """The index-th piece of two real photographs."""
    image = _sample(("china.jpg", "flower.jpg")[index % 2])
    left, top = 37 * index % (640 - size[0]), 23 * index % (427 - size[1])
    return image.crop((left, top, left + size[0], top + size[1]))


def put(path: Path, index: int = 0, size: tuple[int, int] = (40, 30), **options: Any) -> Path:
    """A photograph, in the format that the name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    photo(index, size).save(path, **options)
    return path


def classes(root: Path, names: str, count: int = 4, size: tuple[int, int] = (40, 30)) -> Path:
    """root/CLASS/0.png, …"""
    for label, name in enumerate(names.split()):
        for index in range(count):
            put(root / name / f"{index}.png", 10 * label + index, size)
    return root


def broken(folder: Path) -> list[Path]:
    """Files that call themselves images and cannot be read: empty, text, and cut off."""
    folder.mkdir(parents=True, exist_ok=True)
    empty, text, cut = (folder / name for name in ("empty.png", "text.png", "truncated.jpg"))
    empty.touch()
    text.write_text("This is not an image.\n", encoding="utf-8")
    content = put(folder / "whole.jpg", size=(200, 200)).read_bytes()
    (folder / "whole.jpg").unlink()
    cut.write_bytes(content[: len(content) // 2])
    return [empty, text, cut]


def cifar(root: Path, dataset: type[Any], monkeypatch: Any) -> Path:
    """Generated images as torchvision's `dataset` keeps them; its checksums are changed to fit."""
    folder = root / dataset.base_folder
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    labels = "labels" if dataset.__name__ == "CIFAR10" else "fine_labels"

    def dump(name: str, content: dict[str, Any]) -> str:
        data = pickle.dumps(content)
        (folder / name).write_bytes(data)
        return hashlib.md5(data).hexdigest()

    def part(name: str) -> list[str]:
        data = rng.integers(0, 256, (20, 3072)).astype(np.uint8)
        return [name, dump(name, {"data": data, labels: list(range(10)) * 2})]

    monkeypatch.setattr(dataset, "train_list", [part(name) for name, _ in dataset.train_list])
    monkeypatch.setattr(dataset, "test_list", [part(name) for name, _ in dataset.test_list])
    meta = dataset.meta
    md5 = dump(meta["filename"], {meta["key"]: [f"class{i}" for i in range(10)]})
    monkeypatch.setattr(dataset, "meta", {**meta, "md5": md5})
    return root


def omniglot(root: Path) -> Path:
    """Two alphabets of two characters, twenty drawers: black ink on white, one bit deep."""
    for part, alphabet in (("images_background", "Greek"), ("images_evaluation", "Angelic")):
        for character in (1, 2):
            for drawer in range(1, 21):
                image = Image.new("1", (105, 105), 1)
                image.paste(0, (20, 20, 80, 20 + 10 * character))
                name = f"{character:04}_{drawer:02}.png"
                path = root / "omniglot-py" / part / alphabet / f"character{character:02}" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                image.save(path)
    return root


def cub200(root: Path) -> Path:
    """Two birds with three images each, the last one for testing."""
    birds = ["001.Black_footed_Albatross", "002.Laysan_Albatross"]
    lists: dict[str, list[str]] = {"images": [], "image_class_labels": [], "train_test_split": []}
    folder = root / "CUB_200_2011"
    for number in range(1, 7):
        label, index = divmod(number - 1, 3)
        path = f"{birds[label]}/Bird_{index:04}.jpg"
        put(folder / "images" / path, number, (60, 50))
        lists["images"].append(f"{number} {path}")
        lists["image_class_labels"].append(f"{number} {label + 1}")
        lists["train_test_split"].append(f"{number} {int(index < 2)}")
    lists["classes"] = [f"{i} {bird}" for i, bird in enumerate(birds, 1)]
    for name, lines in lists.items():
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


def core50(root: Path) -> Path:
    """Fifty objects in sessions 1, 3 and 10, one frame each."""
    for session in (1, 3, 10):
        for number in range(1, 51):
            name = f"C_{session:02}_{number:02}_000.png"
            path = root / "core50_128x128" / f"s{session}" / f"o{number}" / name
            put(path, number, (16, 16))
    return root


def tiny_imagenet(root: Path) -> Path:
    """Three classes: two training images each and one for validation."""
    folder = root / "tiny-imagenet-200"
    lines = []
    for label, wnid in enumerate(WNIDS):
        for index in range(2):
            name = f"{wnid}_{index}.JPEG"
            put(folder / "train" / wnid / "images" / name, label + index, (64, 64))
        put(folder / "val" / "images" / f"val_{label}.JPEG", label, (64, 64))
        lines.append(f"val_{label}.JPEG\t{wnid}\t0\t0\t32\t32")
    (folder / "val" / "val_annotations.txt").write_text("\n".join(lines) + "\n")
    (folder / "wnids.txt").write_text("\n".join(reversed(WNIDS)) + "\n")
    words = [*zip(WNIDS, WORDS, strict=True), ("n00000001", "entity")]
    (folder / "words.txt").write_text("".join(f"{wnid}\t{name}\n" for wnid, name in words))
    return root


def imagenet(root: Path, *, flat: bool, wnids: list[str] = WNIDS) -> Path:
    """A training and a validation image a class; flat: validation images in one folder."""
    for label, wnid in enumerate(wnids):
        put(root / "train" / wnid / f"{wnid}_1.JPEG", label, (50, 40))
        name = f"ILSVRC2012_val_{len(wnids) - label:08}.JPEG"  # in another order than the classes
        put(root / "val" / ("" if flat else wnid) / name, label, (40, 50))
    return root


def devkit(folder: Path) -> Path:
    """The development kit for `imagenet(flat=True)`, with numbers unlike the order of wnids."""
    data = folder / "ILSVRC2012_devkit_t12" / "data"
    data.mkdir(parents=True)
    names = ["ILSVRC2012_ID", "WNID", "words", "gloss", "num_children", "children"]
    synsets = np.empty((4, 1), dtype=[(name, object) for name in names])
    numbers = {WNIDS[0]: 2, WNIDS[1]: 3, WNIDS[2]: 1, "n00001740": 1001}
    for i, (wnid, number) in enumerate(numbers.items()):
        synsets[i, 0] = (number, wnid, "some words", "a gloss", 3 * (number > 1000), [])
    savemat(data / "meta.mat", {"synsets": synsets})
    truth = "".join(f"{numbers[wnid]}\n" for wnid in reversed(WNIDS))
    (data / "ILSVRC2012_validation_ground_truth.txt").write_text(truth)
    return data.parent

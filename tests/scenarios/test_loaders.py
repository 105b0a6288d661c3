"""The scenarios that can be loaded without a network."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
import torch

from lsc_continual.errors import LSCError
from lsc_continual.inputs import Source
from lsc_continual.runs.configuration import resolve
from lsc_continual.runs.data import source_of
from lsc_continual.scenarios import load_images
from lsc_continual.scenarios.names import SCENARIOS


def test_every_scenario_has_defaults_whose_first_line_is_its_command():
    folder = Path(__file__).parents[2] / "lsc_continual" / "scenarios"
    for name in SCENARIOS:
        first = (folder / f"{name}.yaml").read_text(encoding="utf-8").splitlines()[0]
        further = ["benchmark=module:function"] if name == "python" else []
        assert first == " ".join(["# lsc-cl run", f"scenario={name}", *further])
        assert resolve([f"scenario={name}", *further]).scenario.name == name


def test_digits_are_the_1797_of_scikit_learn_split_the_same_way_every_time():
    load = SCENARIOS.load("split-digits")
    data = load(Source()).check()
    assert len(data.train) + len(data.test) == 1797
    assert data.input_shape == (1, 8, 8)
    assert data.class_names == [str(i) for i in range(10)]
    assert float(data.train.images.max()) == 1.0
    assert torch.equal(data.test.images, load(Source()).test.images)


def write_idx(path: Path, array: torch.Tensor) -> None:
    header = struct.pack(f">BBBB{array.dim()}I", 0, 0, 8, array.dim(), *array.shape)
    path.write_bytes(header + array.to(torch.uint8).numpy().tobytes())


@pytest.fixture
def mnist(tmp_path: Path) -> Path:
    """A folder in the layout of MNIST, with 40 + 20 generated images."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part, count in (("train", 40), ("t10k", 20)):
        write_idx(raw / f"{part}-images-idx3-ubyte", torch.randint(256, (count, 28, 28)))
        write_idx(raw / f"{part}-labels-idx1-ubyte", torch.arange(count) % 10)
    return tmp_path


def test_mnist_files_are_read(mnist):
    data = SCENARIOS.load("split-mnist")(Source(mnist, download=False)).check()
    assert (len(data.train), len(data.test)) == (40, 20)
    assert data.input_shape == (1, 28, 28)
    assert data.train.targets[:12] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]


def test_missing_files_are_named_with_the_way_out(tmp_path):
    with pytest.raises(LSCError, match=r"FashionMNIST is not in .*raw .*data\.root="):
        SCENARIOS.load("split-fashion-mnist")(Source(tmp_path, download=False))


@pytest.mark.parametrize("damage", ["truncated", "empty", "noise"])
def test_damaged_files_are_named(mnist, damage):
    path = mnist / "MNIST" / "raw" / "train-images-idx3-ubyte"
    content = path.read_bytes()
    path.write_bytes({"truncated": content[:1000], "empty": b"", "noise": b"\xff" * 2000}[damage])
    with pytest.raises(LSCError, match=r"the files of MNIST in .* are damaged"):
        SCENARIOS.load("split-mnist")(Source(mnist, download=False))


def test_some_classes_of_any_scenario_can_be_learned():
    source = source_of(resolve(["data.classes=[7,0]"]))
    data = load_images("split-digits", source)
    whole = load_images("split-digits")
    assert data.class_names == ["7", "0"]
    for name, label in (("7", 0), ("0", 1)):
        rows = torch.tensor(whole.train.targets) == int(name)
        kept = torch.tensor(data.train.targets) == label
        assert torch.equal(data.train.images[kept], whole.train.images[rows])

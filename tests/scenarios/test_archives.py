"""Data sets that are published as archives: CIFAR, Omniglot, CUB-200, CORe50, Tiny ImageNet."""

from __future__ import annotations

import hashlib
import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import CIFAR10, CIFAR100

from lsc_continual.errors import LSCError
from lsc_continual.inputs import Source
from lsc_continual.inputs.decoding import Decoding
from lsc_continual.scenarios import load_images
from lsc_continual.scenarios.archives import Archive
from tests.scenarios import layouts

LAYOUTS = {
    "split-omniglot": layouts.omniglot,
    "split-cub200": layouts.cub200,
    "core50": layouts.core50,
    "split-tiny-imagenet": layouts.tiny_imagenet,
}
NAMES = [*LAYOUTS, "split-cifar10", "split-cifar100"]


def load(name: str, root: Path, **options):
    return load_images(name, Source(root, download=False, **options))


@pytest.mark.parametrize("dataset", [CIFAR10, CIFAR100])
def test_cifar_is_read(tmp_path, monkeypatch, dataset):
    root = layouts.cifar(tmp_path, dataset, monkeypatch)
    name = f"split-{dataset.__name__.lower()}"
    data = load(name, root)
    assert data.class_names == [f"class{i}" for i in range(10)]
    assert (data.input_shape, len(data.test)) == ((3, 32, 32), 20)
    expected = np.array(dataset(root, train=False)[7][0])
    assert torch.equal(data.test.images[7], torch.from_numpy(expected).movedim(-1, 0))
    path = root / dataset.base_folder / dataset.train_list[0][0]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(LSCError, match=f"{dataset.__name__} is damaged or incomplete in"):
        load(name, root)


def test_omniglot_is_read_with_bright_ink(tmp_path):
    root = layouts.omniglot(tmp_path)
    data = load("split-omniglot", root)
    assert data.class_names == [
        "Greek/character01",
        "Greek/character02",
        "Angelic/character01",
        "Angelic/character02",
    ]
    assert data.train.targets == sorted([0, 1, 2, 3] * 15)
    assert data.test.targets == sorted([0, 1, 2, 3] * 5)
    assert data.input_shape == (1, 28, 28)
    ink = data.train.images.float().mean((1, 2, 3)) / 255
    assert ink[0] == pytest.approx(60 * 10 / 105**2, abs=0.01)  # as drawn
    assert ink[15] == pytest.approx(60 * 20 / 105**2, abs=0.01)
    assert data.fingerprint() == load("split-omniglot", root / "omniglot-py").fingerprint()


def test_cub200_is_read_by_its_lists(tmp_path):
    root = layouts.cub200(tmp_path)
    data = load("split-cub200", root, resolution=50)
    assert data.class_names == ["Black_footed_Albatross", "Laysan_Albatross"]
    assert (data.train.targets, data.test.targets) == ([0, 0, 1, 1], [0, 1])
    path = root / "CUB_200_2011/images/002.Laysan_Albatross/Bird_0002.jpg"
    assert torch.equal(data.test.images[1], Decoding().read(path, 3)[:, :, 5:55])
    assert load("split-cub200", root).input_shape == (3, 224, 224)
    with (root / "CUB_200_2011/images.txt").open("a") as file:
        file.write("7 002.Laysan_Albatross/Bird_0009.jpg\n")
    with pytest.raises(LSCError, match=r"do not fit together \(number '7'\)"):
        load("split-cub200", root)
    (root / "CUB_200_2011/classes.txt").write_text("1\n")
    with pytest.raises(LSCError, match=r"classes\.txt is damaged, it has the line '1'"):
        load("split-cub200", root)
    (root / "CUB_200_2011/classes.txt").unlink()
    with pytest.raises(LSCError, match=r"classes\.txt cannot be read \(No such file"):
        load("split-cub200", root)


def test_core50_keeps_three_sessions_for_testing(tmp_path):
    root = layouts.core50(tmp_path)
    data = load("core50", root, resolution=16)
    assert data.class_names[:6] == [f"plug_adapter{i}" for i in range(1, 6)] + ["mobile_phone1"]
    assert data.class_names[49] == "remote_control5"
    assert data.train.targets == list(range(50))
    assert data.test.targets == sorted([*range(50), *range(50)])
    with Image.open(root / "core50_128x128/s10/o9/C_10_09_000.png") as image:
        expected = torch.from_numpy(np.array(image)).movedim(-1, 0)
    assert any(torch.equal(data.test.images[row], expected) for row in (16, 17))


def test_tiny_imagenet_is_read_as_it_unpacks(tmp_path):
    root = layouts.tiny_imagenet(tmp_path)
    data = load("split-tiny-imagenet", root)
    assert data.class_names == ["tench", "goldfish", "great white shark"]
    assert (data.train.targets, data.test.targets) == ([0, 0, 1, 1, 2, 2], [0, 1, 2])
    path = root / "tiny-imagenet-200/val/images/val_1.JPEG"
    assert torch.equal(data.test.images[1], Decoding().read(path, 3))
    words = root / "tiny-imagenet-200/words.txt"
    words.write_text(words.read_text().replace("goldfish", "tench"))
    names = load("split-tiny-imagenet", root).class_names
    assert names == ["tench (n01440764)", "tench (n01443537)", "great white shark"]


@pytest.mark.parametrize("name", LAYOUTS)
def test_classes_can_be_chosen_before_anything_is_decoded(tmp_path, name):
    root = LAYOUTS[name](tmp_path)
    names = load(name, root, resolution=8).class_names
    data = load(name, root, resolution=8, classes=(names[1], names[0]))
    assert data.class_names == [names[1], names[0]]
    whole = load(name, root, resolution=8)
    first = whole.train.images[whole.train.targets.index(1)]
    assert torch.equal(data.train.images[0], first)
    assert set(data.test.targets) == {0, 1}


@pytest.mark.parametrize("name", NAMES)
def test_missing_data_are_named_with_the_way_out(tmp_path, name):
    with pytest.raises(LSCError, match=r"is not in .* was not downloaded .*data\.root="):
        load(name, tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["split-cub200", "core50", "split-tiny-imagenet"])
def test_the_folder_itself_can_be_the_root(tmp_path, name):
    root = LAYOUTS[name](tmp_path)
    folder = next(root.iterdir())
    assert (
        load(name, folder, resolution=8).fingerprint()
        == load(name, root, resolution=8).fingerprint()
    )


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A folder, and the address at which this machine serves it."""
    monkeypatch.setenv("no_proxy", "*")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None: ...

    folder = tmp_path / "served"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("kind", ["zip", "gztar"])
def test_an_archive_is_downloaded_verified_and_unpacked(tmp_path, served, kind):
    folder, address = served
    layouts.tiny_imagenet(tmp_path / "made")
    path = Path(shutil.make_archive(str(folder / "tiny"), kind, tmp_path / "made"))
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    url = f"{address}/{path.name}"
    archive = Archive("Tiny", url, md5, "tiny-imagenet-200", "wnids.txt")
    root = tmp_path / "root"
    assert archive.obtain(Source(root)) == root / "tiny-imagenet-200"
    assert len(list((root / "tiny-imagenet-200").rglob("*.JPEG"))) == 9
    assert sorted(p.name for p in root.iterdir()) == sorted(["tiny-imagenet-200", path.name])
    wrong = Archive("Tiny", url, "0" * 32, "tiny-imagenet-200", "wnids.txt")
    assert wrong.obtain(Source(root)) == root / "tiny-imagenet-200"  # it is there
    with pytest.raises(LSCError, match=r"Tiny is not in .* corrupted"):
        wrong.obtain(Source(tmp_path / "other"))


def test_an_archive_that_cannot_be_had_is_a_sentence(tmp_path, served):
    _, address = served
    archive = Archive("Tiny", f"{address}/none.zip", "0" * 32, "tiny", "wnids.txt")
    with pytest.raises(LSCError, match=r"Tiny is not in .*tiny and was not downloaded \(.*404"):
        archive.obtain(Source(tmp_path / "root"))
    (tmp_path / "root" / "tiny").mkdir()
    with pytest.raises(LSCError, match=r"Tiny in .*tiny has no wnids\.txt: unpack http"):
        archive.obtain(Source(tmp_path / "root"))

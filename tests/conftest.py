"""Shared pieces: one thread, and a small stream of arriving classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from avalanche.benchmarks import nc_benchmark
from PIL import Image
from rich.console import Console
from sklearn.datasets import load_digits
from torch import nn

from lsc_continual.inputs import StoredImages
from lsc_continual.runs.configuration import resolve
from lsc_continual.runs.run import run

torch.set_num_threads(1)  # small tensors gain nothing from more, and lose on a busy machine


def blobs(classes: int = 6, per_class: int = 40, features: int = 12, seed: int = 0):
    """Well separated clusters as 1×1 images with `features` channels."""
    generator = torch.Generator().manual_seed(seed)
    centres = 3 * torch.randn(classes, features, generator=generator)
    labels = torch.arange(classes).repeat_interleave(per_class)

    def draw() -> StoredImages:
        noise = torch.randn(len(labels), features, generator=generator)
        return StoredImages((centres[labels] + noise)[:, :, None, None], labels)

    return draw(), draw()


def make_blob_stream(experiences: int = 3, classes: int = 6, order: list[int] | None = None):
    train, test = blobs(classes)
    return nc_benchmark(
        train,
        test,
        n_experiences=experiences,
        task_labels=False,
        fixed_class_order=order or list(range(classes)),
    )


def make_encoder(features: int = 12) -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(features, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU()
    )


@pytest.fixture
def blob_stream():
    torch.manual_seed(0)
    return make_blob_stream()


@pytest.fixture
def encoder() -> nn.Module:
    torch.manual_seed(0)
    return make_encoder()


@pytest.fixture(scope="session")
def digits():
    """All digits as uint8 [N, 8, 8], and their labels."""
    bunch = load_digits()
    return (bunch.images * (255 / 16)).round().astype(np.uint8), bunch.target


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory) -> Path:
    """The folder of a run that learned the digits 0 to 7."""
    return _run(tmp_path_factory.mktemp("runs") / "digits")


@pytest.fixture(scope="session")
def uncalibrated_run(tmp_path_factory) -> Path:
    """As `digits_run`, without a calibrated detector."""
    return _run(tmp_path_factory.mktemp("runs") / "uncalibrated", "novelty.holdout=0")


def _run(folder: Path, *settings: str) -> Path:
    quick = ["encoder=mlp", "train.epochs=4", "system.dim=64", "data.classes=[0,1,2,3,4,5,6,7]"]
    return run(resolve([*quick, *settings, f"run.dir={folder}"]), Console(quiet=True))


@pytest.fixture
def photos(tmp_path, digits) -> Path:
    """A folder with a folder for each digit, and seven .png files in it."""
    images, labels = digits
    for label in range(10):
        folder = tmp_path / "photos" / str(label)
        folder.mkdir(parents=True)
        for number, image in enumerate(images[labels == label][:7]):
            Image.fromarray(image).save(folder / f"{number}.png")
    return tmp_path / "photos"

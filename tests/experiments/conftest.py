"""Small data in the place of the scenarios that experiments name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits

from experiments.settings import Settings

SIDE = 28


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Digits for the sets of ten classes, blots for characters and for coloured images."""
    folder = tmp_path_factory.mktemp("data")
    ten = _digits(folder / "digits.npz")
    np.savez(folder / "kmnist_test.npz", x_test=np.load(ten)["x_test"][:, :, ::-1])
    return Settings(
        root=folder,
        arrays={
            "split-fashion-mnist": ten,
            "split-mnist": ten,
            "split-omniglot": _blots(folder / "characters.npz", classes=24, channels=1),
            "split-cifar100": _blots(folder / "colours.npz", classes=12, channels=3),
        },
        say=lambda line: None,
    )


def _digits(path: Path) -> Path:
    bunch = load_digits()
    images = torch.as_tensor(bunch.images, dtype=torch.float32)[:, None] / 16
    return _write(path, images[:1000], bunch.target[:1000], train=800)


def _blots(path: Path, classes: int, channels: int) -> Path:
    """Each class a coarse random image, each of its six images that one with noise."""
    draw = torch.Generator().manual_seed(classes)
    labels = torch.arange(6 * classes) % classes
    coarse = torch.rand(classes, channels, 5, 5, generator=draw)[labels]
    noise = 0.1 * torch.randn(coarse.shape, generator=draw)
    return _write(path, (coarse + noise).clamp(0, 1), labels.numpy(), train=4 * classes)


def _write(path: Path, images: torch.Tensor, labels: np.ndarray, train: int) -> Path:
    large = F.interpolate(images, SIDE, mode="bilinear")
    x = (255 * large).to(torch.uint8).numpy()
    parts = {"x_train": x[:train], "x_test": x[train:]}
    np.savez(path, **parts, y_train=labels[:train], y_test=labels[train:])
    return path

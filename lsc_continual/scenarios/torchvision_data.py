"""Data sets that torchvision holds in memory, which it downloads and verifies: MNIST, CIFAR."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torchvision.datasets import CIFAR10, CIFAR100, MNIST, FashionMNIST

from lsc_continual.errors import LSCError, first_line
from lsc_continual.inputs import ImageData, StoredImages
from lsc_continual.inputs.source import Source


def _open_parts(dataset: type[Any], folder: Path, source: Source) -> list[Any]:
    """The training and the test part.

    Args:
        dataset: a torchvision class that takes `root`, `train` and `download`.
        folder: where it keeps its files.

    Raises:
        LSCError: missing or damaged files, or no network to download them.
    """
    name = dataset.__name__
    try:
        return [dataset(source.root, train=t, download=source.download) for t in (True, False)]
    except OSError as error:  # the network's errors among them
        raise _missing(name, folder, error) from error
    except (RuntimeError, ValueError, EOFError, AssertionError) as error:
        if "not found" in str(error) or "Error downloading" in str(error):
            raise _missing(name, folder, error) from error
        raise LSCError(
            f"the files of {name} in {folder} are damaged ({first_line(error)}): delete the folder "
            "and run again with data.download=true"
        ) from error


def _missing(name: str, folder: Path, error: Exception) -> LSCError:
    there = folder.is_dir() and any(folder.iterdir())
    state = "damaged or incomplete" if there else "not"
    return LSCError(
        f"{name} is {state} in {folder} and was not downloaded ({first_line(error).rstrip('.')}): "
        "put its files there, or pass data.root= (and data.download=true with a network)"
    )


def load_mnist(source: Source) -> ImageData:
    """60,000 + 10,000 handwritten digits of 28×28."""
    return _mnist(MNIST, source)


def load_fashion_mnist(source: Source) -> ImageData:
    """60,000 + 10,000 articles of clothing of 28×28."""
    return _mnist(FashionMNIST, source)


def _mnist(dataset: type[Any], source: Source) -> ImageData:
    parts = _open_parts(dataset, source.root / dataset.__name__ / "raw", source)
    train, test = (StoredImages(part.data.unsqueeze(1), part.targets.long()) for part in parts)
    return ImageData(train, test, list(parts[0].classes))


def load_cifar10(source: Source) -> ImageData:
    """50,000 + 10,000 photographs of 32×32 in ten classes."""
    return _cifar(CIFAR10, source)


def load_cifar100(source: Source) -> ImageData:
    """50,000 + 10,000 photographs of 32×32 in a hundred classes."""
    return _cifar(CIFAR100, source)


def _cifar(dataset: type[Any], source: Source) -> ImageData:
    parts = _open_parts(dataset, source.root / dataset.base_folder, source)
    train, test = (_cifar_images(part) for part in parts)
    return ImageData(train, test, list(parts[0].classes))


def _cifar_images(part: Any) -> StoredImages:
    pixels = torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous()
    return StoredImages(pixels, torch.tensor(part.targets))

"""Data sets that torchvision holds in memory, which it downloads and verifies: MNIST, CIFAR."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torchvision.datasets import CIFAR10, CIFAR100, MNIST, FashionMNIST

from lsc_continual.errors import LSCError, first_line
from lsc_continual.inputs import ImageData, StoredImages
from lsc_continual.inputs.pixels import as_images
from lsc_continual.inputs.source import Source


def load_mnist(source: Source) -> ImageData:
    """60,000 + 10,000 handwritten digits of 28×28."""
    return _load(MNIST, "MNIST/raw", source)


def load_fashion_mnist(source: Source) -> ImageData:
    """60,000 + 10,000 articles of clothing of 28×28."""
    return _load(FashionMNIST, "FashionMNIST/raw", source)


def load_cifar10(source: Source) -> ImageData:
    """50,000 + 10,000 photographs of 32×32 in ten classes."""
    return _load(CIFAR10, CIFAR10.base_folder, source)


def load_cifar100(source: Source) -> ImageData:
    """50,000 + 10,000 photographs of 32×32 in a hundred classes."""
    return _load(CIFAR100, CIFAR100.base_folder, source)


def _load(dataset: type[Any], place: str, source: Source) -> ImageData:
    """Both parts of a data set, in memory.

    Args:
        dataset: a torchvision class that takes `root`, `train` and `download`.
        place: where it keeps its files, below `root`.

    Raises:
        LSCError: missing or damaged files, or no network to download them.
    """
    name, folder = dataset.__name__, source.root / place
    try:
        parts = [dataset(source.root, train=t, download=source.download) for t in (True, False)]
    except OSError as error:  # the network's errors among them
        raise _missing(name, folder, error) from error
    except (RuntimeError, ValueError, EOFError, AssertionError) as error:
        if "not found" in str(error) or "Error downloading" in str(error):
            raise _missing(name, folder, error) from error
        raise LSCError(
            f"the files of {name} in {folder} are damaged ({first_line(error)}): delete the folder "
            "and run again with data.download=true"
        ) from error
    train, test = (
        StoredImages(as_images(np.asarray(part.data), name), torch.as_tensor(part.targets))
        for part in parts
    )
    return ImageData(train, test, list(parts[0].classes))


def _missing(name: str, folder: Path, error: Exception) -> LSCError:
    there = folder.is_dir() and any(folder.iterdir())
    state = "damaged or incomplete" if there else "not"
    return LSCError(
        f"{name} is {state} in {folder} and was not downloaded ({first_line(error).rstrip('.')}): "
        "put its files there, or pass data.root= (and data.download=true with a network)"
    )

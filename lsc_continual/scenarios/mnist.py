"""MNIST and its relatives, through torchvision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torchvision.datasets import MNIST, FashionMNIST

from lsc_continual.errors import LSCError, first_line
from lsc_continual.images import ImageData, StoredImages
from lsc_continual.scenarios.source import Source


def load_mnist(source: Source) -> ImageData:
    """60,000 + 10,000 handwritten digits of 28×28."""
    return _load(MNIST, source)


def load_fashion_mnist(source: Source) -> ImageData:
    """60,000 + 10,000 articles of clothing of 28×28."""
    return _load(FashionMNIST, source)


def _load(dataset: type[Any], source: Source) -> ImageData:
    name = dataset.__name__
    folder = source.root / name / "raw"
    try:
        sets = [dataset(source.root, train=t, download=source.download) for t in (True, False)]
    except OSError as error:  # the network's errors among them
        raise _missing(name, folder, first_line(error)) from error
    except (RuntimeError, ValueError, EOFError, AssertionError) as error:
        if "not found" in str(error) or "Error downloading" in str(error):
            raise _missing(name, folder, first_line(error)) from error
        raise LSCError(
            f"the files of {name} in {folder} are damaged ({first_line(error)}): delete the folder "
            "and run again with data.download=true"
        ) from error
    train, test = (StoredImages(s.data.unsqueeze(1), s.targets.long()) for s in sets)
    return ImageData(train, test, list(sets[0].classes))


def _missing(name: str, folder: Path, reason: str) -> LSCError:
    return LSCError(
        f"{name} is not in {folder} and was not downloaded ({reason.rstrip('.')}): put its four "
        "idx files there, or pass data.root= (and data.download=true with a network)"
    )

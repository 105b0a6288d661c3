"""Which images a run was trained on, so that they are known again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save
from torch import Tensor

from lsc_continual.classifier import SavedModel
from lsc_continual.errors import LSCError, first_line
from lsc_continual.inputs import ImageFiles, Images
from lsc_continual.inputs.files import file_digest, path_digest
from lsc_continual.inputs.pixels import pixel_digests
from lsc_continual.inputs.repeats import content_digests
from lsc_continual.runs.configuration import read_stored
from lsc_continual.runs.folder import CONFIG
from lsc_continual.storage.reading import open_regular

TRAINED = "training-images.safetensors"
_PIXELS, _FILES, _PATHS = "pixels", "files", "paths"
_MOST_FILES = 100_000  # that are looked into


def trained_file(images: Images) -> bytes:
    """The file's content: digests of pixels; of files; or, of very many files, of their paths."""
    if not isinstance(images, ImageFiles):
        return save({_PIXELS: np.sort(images.digests)})
    if len(images) <= _MOST_FILES:
        return save({_FILES: np.sort(content_digests(images))})
    digests = [path_digest(path) for path in images.paths.tolist()]
    return save({_PATHS: np.sort(np.array(digests, np.uint64))})


def has_gone_on(run: Path) -> bool:
    """Whether a run's model learned more since, of which the run knows nothing."""
    folder = run / "model" if (run / CONFIG).is_file() else run
    return SavedModel.read(folder).has_gone_on


class TrainedOn:
    """Tells whether images are among those that a run was trained on.

    Args:
        digests: the content of its file.
        root: what paths are relative to.
    """

    def __init__(self, digests: Mapping[str, NDArray[np.uint64]], root: Path) -> None:
        ((self._kind, self._digests),) = digests.items()
        self._root = root.resolve()

    @classmethod
    def read(cls, run: Path) -> TrainedOn | None:
        """Of a run folder, or of the `model/` in one; None where that is not written down.

        Raises:
            LSCError: the file cannot be read.
        """
        folder = run if (run / CONFIG).is_file() else run.parent
        path = folder / TRAINED
        if not (folder / CONFIG).is_file() or not path.is_file():
            return None
        try:
            with open_regular(path) as file:
                digests = load(file.read())
            root = Path(str(read_stored(folder / CONFIG)["data"]["root"]))
            found = cls(digests, root)
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise LSCError(
                f"{path} cannot be read ({first_line(error)}): remove it, and nothing is said of "
                "images that were trained on"
            ) from error
        return None if found._kind == _PATHS and not root.is_dir() else found

    def count(self, images: Sequence[tuple[Any, Tensor]]) -> int:
        """How many of some images were trained on.

        Args:
            images: each as the network takes it, behind its file, or whatever else it comes from.
        """
        if not images:
            return 0
        if self._kind == _PIXELS:
            digests = pixel_digests(torch.stack([image for _, image in images]))
            return int(np.isin(digests, self._digests).sum())
        files = [content for content, _ in images if isinstance(content, Path)]
        if self._kind == _FILES:
            found = [file_digest(path) for path in files]
        else:
            places = [path.resolve() for path in files]
            inside = [place for place in places if place.is_relative_to(self._root)]
            found = [path_digest(bytes(place.relative_to(self._root))) for place in inside]
        return int(np.isin(np.array(found, np.uint64), self._digests).sum())

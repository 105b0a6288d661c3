"""Images of unknown classes, in the shape that a network is used to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torchvision.transforms.v2.functional import resize, rgb_to_grayscale

from lsc_continual.errors import LSCError
from lsc_continual.inputs import Images, StoredImages
from lsc_continual.inputs.files import ImageFiles
from lsc_continual.inputs.npz import headers, read_arrays
from lsc_continual.inputs.pixels import as_images
from lsc_continual.inputs.reading import read_all
from lsc_continual.inputs.source import Source
from lsc_continual.inputs.trees import image_paths
from lsc_continual.scenarios.names import SCENARIOS

_KEYS = ("x_test", "x", "x_train")
_MOST = 10_000  # images of a larger set are taken at equal distances


def load_unknown(
    name: str, source: Source, shape: tuple[int, int, int], inverted: bool = False
) -> Images:
    """The test images of a scenario, all images below a folder, or those of an .npz file.

    Args:
        name: of a scenario, or a path.
        source: where the scenario's data are.
        shape: channels, height and width that they are brought to.
        inverted: whether the network takes the negatives of image files.

    Raises:
        LSCError: there is no such thing, or no image in it.
    """
    path = Path(name)
    if name in SCENARIOS and name not in ("folder", "arrays", "python"):
        data = SCENARIOS.load(name)(replace(source, resolution=shape[1], classes=None))
        images = _some(data.test, source)
    elif path.is_dir():
        paths = image_paths(path)
        unlabelled, channels = torch.zeros(len(paths)).long(), 1 if shape[0] == 1 else 3
        files = ImageFiles(path, paths, unlabelled, shape[1], channels, source.decoding)
        images = _some(files, source)
        if inverted:
            images = 255 - images
    elif path.suffix == ".npz" and path.is_file():
        images = _some(_of_file(path), source)
    else:
        raise LSCError(
            f"novelty.others names {name!r}, which is no scenario with data of its own, no folder "
            "and no .npz file: see `lsc-cl ls scenarios`, or give the path of the images"
        )
    if not len(images):
        raise LSCError(
            f"novelty.others names {name!r}, which holds no image that can be read: leave it out"
        )
    return StoredImages(_fitted(images, shape, name), torch.zeros(len(images)).long())


def _some(images: Images, source: Source) -> Tensor:
    """Not too many of them, in memory."""
    if len(images) > _MOST:
        images = images.subset(torch.linspace(0, len(images) - 1, _MOST).long())
    if isinstance(images, ImageFiles):
        images, _ = read_all(images, skip=source.on_error == "skip")
    assert isinstance(images, StoredImages)
    return images.images


def _of_file(path: Path) -> StoredImages:
    found = headers(path)
    for key in _KEYS:
        if key in found and found[key].shape[:1] != (0,):
            images = as_images(read_arrays(path, [key])[key], f"{key} in {path}")
            return StoredImages(images, torch.zeros(len(images)).long())
    raise LSCError(f"{path} has no images under x_test, x or x_train: write it anew")


def _fitted(images: Tensor, shape: tuple[int, int, int], name: str) -> Tensor:
    """Resized, and grey or coloured as `shape` asks for."""
    if images.shape[1] != shape[0]:
        if {images.shape[1], shape[0]} != {1, 3}:
            raise LSCError(
                f"novelty.others names {name!r}, whose inputs have {images.shape[1]} channels, but "
                f"the network takes {shape[0]}: leave it out"
            )
        grey = shape[0] == 1
        images = rgb_to_grayscale(images) if grey else images.expand(-1, 3, -1, -1).contiguous()
    if images.shape[2:] != shape[1:]:
        images = resize(images, list(shape[1:]), antialias=True)
    return images

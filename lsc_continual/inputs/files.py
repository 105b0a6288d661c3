"""Images in files, decoded when they are needed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from lsc_continual.errors import LSCError, first_line
from lsc_continual.inputs.base import Images
from lsc_continual.inputs.stored import as_unit_range

_SAMPLED = 1024  # files whose content enters the fingerprint
_SAMPLED_BYTES = 65_536


class UnreadableImageError(LSCError):
    """A file that is not an image, or a damaged one."""


class ImageFiles(Images):
    """Image files, each brought to one size.

    Args:
        root: the folder that `paths` are relative to.
        paths: of the files.
        labels: LongTensor[count].
        resolution: height and width of what comes out.
        channels: 1 (grey) or 3 (colour).
    """

    def __init__(
        self, root: Path, paths: Sequence[str], labels: Tensor, resolution: int, channels: int = 3
    ) -> None:
        super().__init__(labels)
        self.root = root
        # One array: a list of a million strings would be copied into every worker process, page by
        # page, as reference counts change.
        self.paths = np.array([path.encode() for path in paths], dtype=np.bytes_)
        self.resolution = resolution
        self.channels = channels

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.channels, self.resolution, self.resolution

    def path(self, index: int) -> Path:
        relative: bytes = self.paths[index]
        return self.root / relative.decode()

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return as_unit_range(self.pixels(index)), self.targets[index]

    def pixels(self, index: int, crop_scale: float | None = None) -> Tensor:
        """Image i as uint8 [channels, resolution, resolution].

        Args:
            crop_scale: cut out a random part of at least this share of the area, as usual in
                training; by default the middle, as usual in testing.

        Raises:
            UnreadableImageError: the file is missing, damaged or not an image.
        """
        from torchvision.transforms import v2  # late: it takes a second to import

        side = self.resolution
        if crop_scale is None:
            return centre(read_image(self.path(index), self.channels, side), side)
        crop = v2.RandomResizedCrop(side, scale=(crop_scale, 1.0), antialias=True)
        cut: Tensor = crop(read_image(self.path(index), self.channels))
        return cut

    def subset(self, rows: Tensor) -> ImageFiles:
        paths = [self.paths[row].decode() for row in rows.tolist()]
        labels = torch.tensor(self.targets)[rows]
        return ImageFiles(self.root, paths, labels, self.resolution, self.channels)

    def fingerprint(self) -> str:
        """Of all names and labels, and of size and content of some files spread over them.

        Asking a million files for their size takes minutes on some file systems.
        """
        digest = hashlib.sha256(repr(self.shape).encode())
        digest.update(torch.tensor(self.targets).numpy().tobytes())
        digest.update("\n".join(path.decode() for path in self.paths.tolist()).encode())
        for index in np.linspace(0, len(self) - 1, min(_SAMPLED, len(self)), dtype=int):
            try:
                digest.update(str(self.path(index).stat().st_size).encode())
                with self.path(index).open("rb") as file:
                    digest.update(file.read(_SAMPLED_BYTES))
            except OSError:
                digest.update(b"cannot be read")
        return digest.hexdigest()[:16]


def read_image(path: Path, channels: int, least: int | None = None) -> Tensor:
    """A file as uint8 [channels, height, width], upright, whatever its mode.

    Args:
        least: the shorter side may be brought down to about this length while decoding (JPEG can,
            and it is much faster).

    Raises:
        UnreadableImageError: the file is missing, damaged or not an image.
    """
    from torchvision.transforms.v2 import functional as TF  # late, as above

    try:
        with Image.open(path) as image:
            if least is not None:
                image.draft(None, (least, least))
            upright = ImageOps.exif_transpose(image)
            pixels: Tensor = TF.pil_to_tensor(_in_mode(upright, "L" if channels == 1 else "RGB"))
    except Exception as error:  # decoders raise whatever they like on damaged files
        raise UnreadableImageError(f"{path} cannot be read ({_reason(error)})") from error
    return pixels


def _reason(error: Exception) -> str:
    """What is wrong with a file, without its path."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    return (isinstance(error, OSError) and error.strerror) or first_line(error)


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    """The image in 8-bit grey ("L") or colour ("RGB"); transparent parts become white."""
    if image.mode.startswith("I"):  # 16 or 32 bits; Pillow's own conversion would clip them
        values = np.asarray(image, dtype=np.float64)
        deep = image.mode != "I" or values.max(initial=0) > 255
        image = Image.fromarray((values / 257 if deep else values).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert(mode)


def centre(image: Tensor, side: int) -> Tensor:
    """[channels, height, width] scaled by its shorter side, then cut: [channels, side, side]."""
    from torchvision.transforms.v2 import functional as TF  # late, as above

    if image.shape[-2:] == (side, side):
        return image
    cut: Tensor = TF.center_crop(TF.resize(image, [side], antialias=True), [side, side])
    return cut

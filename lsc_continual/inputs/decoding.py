"""From an image file to 8-bit pixels, without guessing what its numbers mean."""

from __future__ import annotations

import warnings
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from lsc_continual.errors import LSCError, first_line
from lsc_continual.inputs.trees import EXTENSIONS
from lsc_continual.settings.data import MAX_PIXELS
from lsc_continual.storage.reading import open_regular

_BYTES = 4  # of a pixel of `MAX_PIXELS`
_BYTES_DEEP = 8  # of a pixel that has more than 8 bits, while it is scaled
_BITS_PER_SAMPLE, _PHOTOMETRIC, _MAX_SAMPLE_VALUE, _SAMPLE_FORMAT = 258, 262, 281, 339  # of TIFF
_TWELVE_BITS = 2**12


class UnreadableImageError(LSCError):
    """A file that is not an image, or a damaged one, or one whose numbers may mean anything."""


class Decoding(NamedTuple):
    """How files become pixels."""

    depth: int | None = None
    """Bits of a grey value in files that do not say it; None: such files are refused."""
    max_pixels: int = MAX_PIXELS
    """Of an image, counted as 4 bytes each while it is decoded; half as many of 16 or 32 bits, and
    of progressive JPEG."""

    def read(self, path: Path, channels: int, least: int | None = None) -> Tensor:
        """A file as uint8 [channels, height, width], upright, whatever its mode.

        Args:
            channels: 1 (grey) or 3 (colour).
            least: the shorter side may be brought down to about this length while decoding (JPEG
                can, and it is much faster).

        Raises:
            UnreadableImageError: the file is missing, damaged, not an image or too large; or it
                does not say what its numbers mean.
        """
        from torchvision.transforms.v2 import functional as TF  # late: it takes a second

        try:
            _register_heif(path)
            with open_regular(path) as file, open_image(file) as image:
                if "progressive" in image.info:  # which is held whole, however small it comes out
                    self._check_size(image)
                if least is not None:
                    image.draft(None, (least, least))
                self._check_size(image)
                if getattr(image, "is_animated", False):
                    warnings.warn(
                        "some files hold several images, of which the first is read", stacklevel=1
                    )
                pixels: Tensor = TF.pil_to_tensor(
                    self._in_mode(image, "L" if channels == 1 else "RGB")
                )
        except Exception as error:  # decoders raise whatever they like on damaged files
            raise UnreadableImageError(f"{path} cannot be read ({_reason(error)})") from error
        return pixels

    def _check_size(self, image: Image.Image) -> None:
        deep = image.mode[0] in "IF" or "progressive" in image.info
        held = image.width * image.height * (_BYTES_DEEP if deep else _BYTES)
        if held > self.max_pixels * _BYTES:
            raise LSCError(
                f"{image.width:,} × {image.height:,} pixels are more than "
                f"data.max_pixels={self.max_pixels} allows"
            )

    def _in_mode(self, file: Image.Image, mode: str) -> Image.Image:
        """Upright, in 8-bit grey ("L") or colour ("RGB"); transparent parts become white."""
        deep_colours = _has_deep_colours(file)
        ImageOps.exif_transpose(file, in_place=True)
        image = file
        if file.mode[0] in "IF":  # 16 or 32 bits; Pillow's own conversion would clip them
            values = np.asarray(image)
            top = self._highest(file, values)
            shown = (values * (255 / top) + 1e-6).astype(np.uint8)
            white_is_zero = _tag(file, _PHOTOMETRIC) == (0,)
            image = Image.fromarray(255 - shown if white_is_zero else shown)
        elif deep_colours:
            self._check_colours(file)
        if image.has_transparency_data:
            image = image if image.mode == "RGBA" else image.convert("RGBA")
            white = Image.new("RGB", image.size, "white")
            white.paste(image, mask=image.getchannel("A"))
            image = white
        return image if image.mode == mode else image.convert(mode)

    def _highest(self, file: Image.Image, values: NDArray[Any]) -> float:
        """The value that means white.

        Raises:
            LSCError: the file does not say it, or holds something beyond.
        """
        low, high = float(values.min(initial=0)), float(values.max(initial=0))
        if not np.isfinite([low, high]).all() or not np.isfinite(values).all():
            raise LSCError("it holds values that are not finite")
        whole = bool((values == np.rint(values)).all())
        top = self._told(file, high, whole)
        if top is None:
            raise LSCError(
                f"its values, {low:g} to {high:g}, could be of several depths: say by data.depth "
                "how many bits they have"
            )
        if low < 0 or high > top:
            raise LSCError(f"its values, {low:g} to {high:g}, are not between 0 and {top:g}")
        return top

    def _told(self, image: Image.Image, high: float, whole: bool) -> float | None:
        """The value that means white, by format, tag or setting; None where nothing tells it."""
        asked = None if self.depth is None else 2.0**self.depth - 1
        if image.mode == "F":
            return 1.0 if high <= 1 else 255.0 if whole and high <= 255 else asked
        if image.format == "PPM":  # whose own white Pillow brings to that
            return 65535.0
        if named := _tag(image, _MAX_SAMPLE_VALUE):
            return float(max(named))
        bits = max(_tag(image, _BITS_PER_SAMPLE), default=16)
        if bits < 16:
            return 2.0**bits - 1
        signed = max(_tag(image, _SAMPLE_FORMAT), default=1) == 2
        top = 2.0 ** (bits - signed) - 1
        if bits > 16 or high > 65535:
            return asked
        # PNG says that white is 65535, and some cameras write 12 bits into it all the same.
        enough = _TWELVE_BITS if image.format == "PNG" else (top + 1) / 2
        return top if high >= enough else asked

    def _check_colours(self, image: Image.Image) -> None:
        """Refuse colours of 12 bits in 16, of which the upper 8 bits are nearly black."""
        named, depth = max(_tag(image, _MAX_SAMPLE_VALUE), default=0), self.depth or 0
        highest = max(high for _, high in _extrema(image))
        dark = highest * 256 < _TWELVE_BITS and not depth and not named
        if dark or 0 < named < _TWELVE_BITS or 0 < depth < 16:
            raise LSCError(
                "its colours have 16 bits and seem to use fewer, which are not told apart: save "
                "them with 8 bits, or say data.depth=16"
            )


def _has_deep_colours(image: Image.Image) -> bool:
    """Whether Pillow takes the upper 8 of 16 bits of each colour."""
    if image.format == "PNG" and image.mode[0] not in "IF":
        return any("16" in str(tile[3]) for tile in getattr(image, "tile", ()))
    return max(_tag(image, _BITS_PER_SAMPLE), default=8) > 8


def _extrema(image: Image.Image) -> list[tuple[float, float]]:
    found: Any = image.getextrema()
    return list(found) if isinstance(found[0], tuple) else [found]


def _tag(image: Image.Image, number: int) -> tuple[int, ...]:
    """A tag of a TIFF; empty where it is not there."""
    value = getattr(image, "tag_v2", {}).get(number, ())
    return tuple(value) if isinstance(value, tuple) else (value,)


def open_image(file: BinaryIO) -> Image.Image:
    """An image of one of the formats that are read, not decoded yet."""
    return Image.open(file, formats=_formats())


@cache
def _formats() -> tuple[str, ...]:
    """Pillow's names of the formats that are read: others start programs, EPS for example."""
    Image.init()
    return tuple({Image.EXTENSION[end] for end in EXTENSIONS if end in Image.EXTENSION})


def _register_heif(path: Path) -> None:
    if path.suffix.lower() in (".heic", ".heif"):
        import pillow_heif

        pillow_heif.register_heif_opener()
        _formats.cache_clear()


def _reason(error: Exception) -> str:
    """What is wrong with a file, without its path."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    if isinstance(error, ModuleNotFoundError):
        return "HEIC needs another library: pip install 'lsc_continual[heic]'"
    return (isinstance(error, OSError) and error.strerror) or first_line(error)


class Cut(NamedTuple):
    """How an image is brought to a square."""

    crop: float | None = 1.0
    """The part of its shorter side that is kept; None: it is squeezed, and nothing is cut off."""
    interpolation: str = "bilinear"

    def __call__(self, image: Tensor, side: int) -> Tensor:
        """uint8 [channels, height, width] -> [channels, side, side]."""
        from torchvision.transforms import InterpolationMode  # late: it takes a second
        from torchvision.transforms.v2 import functional as TF

        mode = InterpolationMode(self.interpolation)
        if self.crop is None:
            squeezed: Tensor = TF.resize(image, [side, side], mode, antialias=True)
            return squeezed
        edge = max(side, round(side / self.crop))
        if image.shape[-2:] == (side, side) == (edge, edge):
            return image
        scaled = TF.resize(image, [edge], mode, antialias=True)
        cut: Tensor = TF.center_crop(scaled, [side, side])
        return cut

    def least(self, side: int) -> int:
        """How short the shorter side may be before."""
        return side if self.crop is None else max(side, round(side / self.crop))

"""What encoders of other people's have in common."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lsc_continual.encoders.names import is_ready
from lsc_continual.errors import LSCError, first_line
from lsc_continual.inputs.decoding import Cut
from lsc_continual.storage.reading import read_text

_LARGEST = 2**24  # bytes of a file that describes a network
_PLACES = "/", ".", "~"  # with which a path begins
_LARGEST_SIDE = 1024  # of the images that a network takes
_CODE = ("auto_map", "attn_implementation", "quantization_config", "backbone", "custom_pipelines")
_LEFT_OUT = ("id2label", "label2id", "dtype", "torch_dtype")  # of a head, and of the weights
_INTERPOLATIONS = ("nearest", "bilinear", "bicubic")  # of tensors; for others, the last

Architecture = dict[str, Any]
"""In JSON types: what a network of other people's consists of, enough to build it again without
their files. It names nothing but what the library that builds it has itself."""


class ReadyEncoder(nn.Module):
    """A network of other people's that says how it is built and what it takes."""

    architecture: Architecture
    input_shape: tuple[int, int, int]
    """Channels, height, width of its inputs; of texts, their bytes (see `text_bytes`)."""
    cut: Cut = Cut()
    """How an image file is brought to that shape."""
    network: nn.Module

    @property
    def num_features(self) -> int:
        """How many numbers it gives for an input."""
        return int(self.architecture["features"])


class ReadyImages(ReadyEncoder):
    """A network for images, with its own normalisation: images in [0, 1] of any size -> features.

    Args:
        network: it itself, normalised images of `side` -> [batch, …].
        architecture: how it is built; has "side", "mean" and "std", "crop" and "interpolation".
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        side = int(architecture["side"])
        if not 0 < side <= _LARGEST_SIDE:
            raise LSCError(f"images of {side} pixels a side are more than {_LARGEST_SIDE}")
        self.input_shape = 3, side, side
        self.cut = cut_of(architecture)
        self.network = network
        for name in ("mean", "std"):
            values = torch.tensor([float(v) for v in architecture[name]]).view(1, -1, 1, 1)
            self.register_buffer(name, values)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1] == 1:
            x = x.expand(-1, 3, -1, -1)
        if x.shape[2:] != self.input_shape[1:]:  # a benchmark's own size
            x = F.interpolate(x, self.input_shape[1:], mode="bicubic", antialias=True)
        return self.features((x - self.mean) / self.std)

    def features(self, x: Tensor) -> Tensor:
        """What the network says of normalised images."""
        found: Tensor = self.network(x)
        return found


def architecture_of(model: nn.Module) -> Architecture:
    """How the encoder of a network is built, if it is one of other people's; else empty."""
    ready = (m.architecture for m in model.modules() if isinstance(m, ReadyEncoder))
    return next(ready, {})


def cut_of(architecture: Architecture) -> Cut:
    """How image files are brought to the shape that an encoder takes."""
    if "interpolation" not in architecture:
        return Cut()
    crop, told = architecture["crop"], str(architecture["interpolation"])
    if crop is not None and not 0.1 <= float(crop) <= 1:
        raise LSCError(f"no part of an image is {crop}")
    interpolation = told if told in _INTERPOLATIONS else _INTERPOLATIONS[-1]
    return Cut(None if crop is None else float(crop), interpolation)


def split_name(name: str) -> tuple[str, str]:
    """ "hf:facebook/dinov2-small" -> "hf", "facebook/dinov2-small"."""
    kind, _, rest = name.partition(":")
    return kind, rest


def local_name(name: str) -> str:
    """The name without the place of a folder, which is nobody else's business."""
    kind, rest = split_name(name)
    place = Path(rest).expanduser()
    is_place = place.is_dir() or rest.startswith(_PLACES)
    return f"{kind}:{place.resolve().name}" if is_ready(name) and is_place else name


def read_json(path: Path) -> dict[str, Any]:
    """A file of JSON that describes a network.

    Raises:
        LSCError: it is none, or is not there.
    """
    try:
        content = json.loads(read_text(path, _LARGEST))
    except (OSError, ValueError, RecursionError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or first_line(error)
        raise LSCError(f"{path} cannot be read ({reason}): bring the model's own") from error
    if not isinstance(content, dict):
        raise LSCError(f"{path} describes no network: bring the model's own")
    return content


def described(config: Any) -> dict[str, Any]:
    """What a configuration of transformers' says of the network, in JSON types."""
    content = json.loads(config.to_json_string(use_diff=False))
    kept: dict[str, Any] = without_code(content)
    return {key: value for key, value in kept.items() if key not in _LEFT_OUT}


def without_code(config: Any) -> Any:
    """A description without what would have other people's code loaded, or weights."""
    if isinstance(config, list):
        return [without_code(part) for part in config]
    if not isinstance(config, dict):
        return config
    return {
        key: without_code(value)
        for key, value in config.items()
        if not key.startswith("_") and not any(word in key for word in _CODE)
    }


def without_pooler(network: nn.Module) -> nn.Module:
    """A network of transformers' without a layer whose output is not used."""
    if isinstance(getattr(network, "pooler", None), nn.Module):
        setattr(network, "pooler", None)  # noqa: B010 (whose type is not known)
    return network


def quiet() -> None:
    """Keep transformers from drawing bars and from telling of weights that are not needed."""
    from transformers.utils import logging as of_transformers

    logging: Any = of_transformers  # parts of which have no types
    logging.disable_progress_bar()
    logging.set_verbosity_error()


def folder_of(name: str) -> Path | None:
    """The folder that "kind:FOLDER" names; None where it is a name of the hub.

    Raises:
        LSCError: it looks like a folder, and is not there.
    """
    kind, rest = split_name(name)
    path = Path(rest).expanduser()
    if path.is_dir():
        return path
    if rest.startswith(_PLACES):
        raise LSCError(f"there is no folder {rest}: correct encoder={kind}:…")
    return None


@contextmanager
def brought(name: str, extra: str, files: str) -> Iterator[None]:
    """Says in a sentence what keeps a network of other people's from coming.

    Args:
        name: as the user gave it.
        extra: that brings its library.
        files: what its folder has to hold.
    """
    try:
        yield
    except ImportError as error:
        raise LSCError(
            f"encoder {name!r} needs another library ({first_line(error)}): pip install "
            f"'lsc_continual[{extra}]'"
        ) from error
    except LSCError:
        raise
    except Exception as error:  # somebody else's code
        reason = first_line(error)
        if folder_of(name) is not None:
            raise LSCError(
                f"encoder {name!r} cannot be read ({reason}): its folder has to hold {files}"
            ) from error
        raise LSCError(
            f"encoder {name!r} cannot be had ({reason}): connect to the network, or bring its "
            f"folder ({files}) and name it, encoder={split_name(name)[0]}:FOLDER"
        ) from error


def options_of(name: str, given: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """The options of an encoder, those not given with their defaults.

    Raises:
        LSCError: it has no such option.
    """
    if unknown := sorted(given.keys() - known.keys()):
        raise LSCError(f"encoder {name!r} has no option {unknown[0]!r}: it has {', '.join(known)}")
    return {**known, **given}

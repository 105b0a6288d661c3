"""An encoder's weights, from a file or from an earlier run."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from lsc_continual.errors import LSCError, first_line

_SUFFIXES = (".safetensors", ".pt", ".pth")
_OF_A_RUN = ("model/weights.safetensors", "weights.safetensors")


def is_path(weights: str) -> bool:
    """Whether this is a file or a folder rather than the name of torchvision weights."""
    return weights.endswith(_SUFFIXES) or "/" in weights or Path(weights).exists()


def load_weights(encoder: nn.Module, path: str) -> None:
    """Give an encoder the weights in a .safetensors, .pt or .pth file, a run or a model folder.

    The encoder may be a part of what the file holds: its names there may have a prefix.

    Raises:
        LSCError: no such file, nothing safe to load, or weights of another network.
    """
    stored, own = _read(path), encoder.state_dict()
    first = next(iter(own), "")
    prefixes = [name.removesuffix(first) for name in stored if name.endswith(first)]
    for prefix in sorted(prefixes, key=len):
        part = {name: stored[prefix + name] for name in own if prefix + name in stored}
        if len(part) == len(own) and all(part[n].shape == own[n].shape for n in own):
            encoder.load_state_dict(part)
            return
    raise LSCError(
        f"the weights in {path} are not those of this encoder: use the encoder, and the "
        "encoder.options, that they were trained with"
    )


def _read(path: str) -> dict[str, Any]:
    file = Path(path)
    if file.is_dir():
        file = next((file / name for name in _OF_A_RUN if (file / name).is_file()), file)
    if not file.is_file():  # nor a device, which may never end
        raise LSCError(f"encoder.weights={path} is no file of weights, and no run: correct it")
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        content = torch.load(file, map_location="cpu", weights_only=True)
    except (SafetensorError, OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise LSCError(
            f"the weights in {file} cannot be read ({first_line(error)}): save the encoder's "
            "state_dict() as .safetensors or with torch.save"
        ) from error
    tensors = isinstance(content, Mapping) and {
        name: value for name, value in content.items() if isinstance(value, torch.Tensor)
    }
    if not tensors:
        raise LSCError(f"{file} holds no state_dict: save that of the encoder")
    return tensors

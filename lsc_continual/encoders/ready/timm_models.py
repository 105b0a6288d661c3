"""timm's models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from lsc_continual.encoders.ready.base import (
    Architecture,
    ReadyImages,
    brought,
    folder_of,
    options_of,
    split_name,
    without_code,
)
from lsc_continual.errors import LSCError, unknown_name

_OPTIONS = {"pretrained": True, "img_size": None, "global_pool": None}
_FILES = "config.json and model.safetensors, as timm saves them for its hub"
_REFUSED = ("pretrained", "checkpoint", "cache", "features_only", "device", "dtype")


def timm_encoder(
    name: str, options: Mapping[str, Any], architecture: Architecture | None = None
) -> ReadyImages:
    """The model "timm:NAME", "timm:ORGANISATION/NAME" of the hub, or "timm:FOLDER".

    Args:
        options: `pretrained`, `img_size`, `global_pool`.
        architecture: of an earlier one, which is built without weights.
    """
    with brought(name, "timm", _FILES):
        if architecture is not None:
            return ReadyImages(_built(architecture), architecture)
        return _brought(name, options_of(name, options, _OPTIONS))


def _brought(name: str, options: dict[str, Any]) -> ReadyImages:
    import timm
    from timm.data.config import resolve_model_data_config

    folder, (_, rest) = folder_of(name), split_name(name)
    source = rest
    if folder is not None:
        source = f"local-dir:{folder.resolve()}"
    elif "/" in rest:
        source = f"hf-hub:{rest.removeprefix('hf-hub:')}"
    elif not timm.is_model(rest.partition(".")[0]):
        raise unknown_name("model of timm", rest, timm.list_models())
    args = {k: v for k, v in options.items() if k != "pretrained" and v is not None}
    model: Any = timm.create_model(source, pretrained=options["pretrained"], num_classes=0, **args)
    resolve: Any = resolve_model_data_config
    took = resolve(model)
    if took["input_size"][0] != 3:
        raise LSCError(f"encoder {name!r} takes {took['input_size'][0]} channels, not colours")
    own = {k: v for k, v in getattr(model, "_model_args", {}).items() if k != "num_classes"}
    architecture = {
        "name": model.pretrained_cfg["architecture"],
        "args": without_code(own),
        "side": took["input_size"][-1],
        "mean": list(took["mean"]),
        "std": list(took["std"]),
        "crop": None if took["crop_mode"] == "squash" else took["crop_pct"],
        "interpolation": took["interpolation"],
    }
    return ReadyImages(model, architecture)


def _built(architecture: Architecture) -> nn.Module:
    import timm

    name, args = str(architecture["name"]), dict(architecture["args"])
    if not timm.is_model(name):
        raise LSCError(f"timm has no model {name!r}: install the version that it was saved with")
    if refused := [key for key in args if any(word in key for word in _REFUSED)]:
        raise LSCError(f"a model of timm is not built with {refused[0]}")
    model: nn.Module = timm.create_model(name, pretrained=False, num_classes=0, **args)
    return model

"""Vision models of transformers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from lsc_continual.encoders.ready.base import (
    Architecture,
    ReadyImages,
    brought,
    described,
    folder_of,
    options_of,
    quiet,
    split_name,
    without_code,
    without_pooler,
)
from lsc_continual.errors import LSCError

_OPTIONS = {"pretrained": True, "pool": "auto"}
_POOLS = ("auto", "pooler", "cls", "mean")
_FILES = "config.json, model.safetensors and preprocessor_config.json"
_INTERPOLATIONS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}  # as Pillow counts
_OF_OTHERS = ("timm_wrapper", "timm_backbone")  # which build what their description names
_WITH_VISION = {"clip": "clip_vision_model", "siglip": "siglip_vision_model"}


class HFImages(ReadyImages):
    """As `ReadyImages`, with one vector an image taken from what transformers' models give."""

    def features(self, x: Tensor) -> Tensor:
        output = self.network(pixel_values=x)
        pool = self.architecture["pool"]
        if pool == "pooler":
            pooled: Tensor = output.pooler_output
        else:
            tokens: Tensor = output.last_hidden_state
            if tokens.ndim == 4:  # a map of a convolutional network
                pooled = tokens.mean((2, 3))
            else:
                pooled = tokens[:, 0] if pool == "cls" else tokens.mean(1)
        return pooled.flatten(1)


def hf_encoder(
    name: str, options: Mapping[str, Any], architecture: Architecture | None = None
) -> HFImages:
    """The vision model "hf:ORGANISATION/NAME" of the hub, or "hf:FOLDER".

    Args:
        options: `pretrained`; `pool`, by default the pooler where its weights come with the model,
            the class token of transformers without, and the mean of maps.
        architecture: of an earlier one, which is built without weights.
    """
    with brought(name, "hf", _FILES):
        if architecture is not None:
            network = _built(dict(architecture["config"]))
            used = architecture["pool"] == "pooler"
            return HFImages(network if used else without_pooler(network), architecture)
        return _brought(name, options_of(name, options, _OPTIONS))


def _brought(name: str, options: dict[str, Any]) -> HFImages:
    from transformers import AutoConfig, AutoImageProcessor

    if options["pool"] not in _POOLS:
        raise LSCError(f"encoder.options.pool is one of {', '.join(_POOLS)}")
    quiet()
    where = folder_of(name) or split_name(name)[1]
    config = AutoConfig.from_pretrained(where, trust_remote_code=False)
    if config.model_type in _WITH_VISION:
        config = config.vision_config
    kept = described(config)
    network, missing = _built(kept), ["pooler"]
    if options["pretrained"]:
        kind: Any = type(network)
        network, found = kind.from_pretrained(
            where, config=network.config, trust_remote_code=False, output_loading_info=True
        )
        missing = [key for key in found["missing_keys"] if "pooler" in key]
        if lost := sorted(set(found["missing_keys"]) - set(missing)):
            raise LSCError(f"its weights lack {len(lost)} parts, such as {lost[0]}")
    processors: Any = AutoImageProcessor
    processor = processors.from_pretrained(where, trust_remote_code=False)
    architecture = {"config": kept, **_preprocessing(processor), "pool": options["pool"]}
    made = HFImages(network.float(), architecture)
    if options["pool"] == "auto":
        architecture["pool"] = _pool(made, missing)
    if architecture["pool"] != "pooler":
        without_pooler(made.network)
    return made


def _pool(made: HFImages, missing: list[str]) -> str:
    """How the model's vector is taken: by its pooler where it was trained."""
    import torch

    with torch.no_grad():
        output = made.eval().network(pixel_values=torch.zeros(1, *made.input_shape))
    if getattr(output, "pooler_output", None) is not None and not missing:
        return "pooler"
    return "cls" if output.last_hidden_state.ndim == 3 else "mean"


def _built(config: dict[str, Any]) -> nn.Module:
    from transformers import AutoConfig, AutoModel
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES

    kind = str(config.pop("model_type", ""))
    known = {*MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES, *_WITH_VISION.values()}
    if kind not in known or kind in _OF_OTHERS:
        raise LSCError(f"{kind or 'it'} is no kind of vision model that transformers builds")
    built = AutoConfig.for_model(kind, **without_code(config))
    config["model_type"] = kind
    models: Any = AutoModel
    model: nn.Module = models.from_config(built, trust_remote_code=False)
    return model.float()


def _preprocessing(processor: Any) -> dict[str, Any]:
    """Side, crop, interpolation, mean and std of an image processor."""

    def sides(size: Any) -> tuple[int | None, int | None]:
        """Shorter edge, and a side that both have to have."""
        if isinstance(size, int):
            return size, None
        size = dict(size or {})
        return size.get("shortest_edge"), size.get("height")

    edge, exact = sides(getattr(processor, "size", None))
    _, cropped = sides(getattr(processor, "crop_size", None))
    share = getattr(processor, "crop_pct", None)
    crop: float | None = 1.0
    if getattr(processor, "do_center_crop", False) and cropped:
        side, crop = cropped, cropped / (edge or exact or cropped)
    elif edge:  # as ConvNeXt's, which enlarges, then cuts
        side, crop = edge, float(share or 1.0)
    else:
        side, crop = exact or 224, None  # squeezed to a square
    normalised = getattr(processor, "do_normalize", True)
    return {
        "side": side,
        "crop": crop,
        "interpolation": _INTERPOLATIONS.get(int(getattr(processor, "resample", 2)), "bilinear"),
        "mean": list(processor.image_mean) if normalised else [0.0] * 3,
        "std": list(processor.image_std) if normalised else [1.0] * 3,
    }

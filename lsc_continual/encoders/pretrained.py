"""Any torchvision classification model as an encoder, with or without its weights."""

from __future__ import annotations

from typing import Any
from urllib.error import URLError

import torchvision.models
from torch import Tensor, nn

from lsc_continual.errors import LSCError, unknown_name


class _ToRGB(nn.Module):
    """Repeats the channel of greyscale images: torchvision's models take three channels."""

    def forward(self, x: Tensor) -> Tensor:
        return x.expand(-1, 3, -1, -1)


def torchvision_encoder(
    name: str, input_shape: tuple[int, int, int], weights: str | None, options: dict[str, Any]
) -> nn.Module:
    """The torchvision model `name` without its last linear layer."""
    if weights is not None:
        known = [w.name for w in torchvision.models.get_model_weights(name)]
        if weights not in (*known, "DEFAULT"):
            raise unknown_name(f"weights of {name}", weights, [*known, "DEFAULT"])
    try:
        model = torchvision.models.get_model(name, weights=weights, **options)
    except (URLError, OSError) as error:
        raise LSCError(
            f"the weights {weights!r} of {name!r} could not be downloaded ({error}): connect to "
            "the network, or leave out encoder.weights"
        ) from error
    linear = [key for key, module in model.named_modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise LSCError(f"encoder {name!r} does not end in a linear layer: choose another model")
    parent, _, last = linear[-1].rpartition(".")
    width = model.get_submodule(linear[-1]).in_features
    setattr(model.get_submodule(parent), last, nn.Identity())
    if hasattr(model, "aux_logits"):  # GoogLeNet and Inception: further outputs in training only
        model.aux_logits = False
        for auxiliary in ("aux1", "aux2", "AuxLogits"):
            if hasattr(model, auxiliary):
                setattr(model, auxiliary, None)
    if hasattr(model, "transform_input"):  # torchvision switches it on with weights only
        model.transform_input = True
    encoder = nn.Sequential(_ToRGB(), model) if input_shape[0] == 1 else model
    encoder.num_features = width
    return encoder

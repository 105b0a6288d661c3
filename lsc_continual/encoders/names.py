"""The encoders by name. Nothing heavy is imported."""

from __future__ import annotations

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from lsc_continual.registry import Entry, Registry

_READY = ("timm:", "hf:", "text:")


def is_ready(name: str) -> bool:
    """Whether an encoder is one of other people's that knows itself how it is built."""
    return name.startswith(_READY)


def takes_texts(name: str) -> bool:
    """Whether an encoder's inputs are texts."""
    return name.startswith("text:")


@cache
def torchvision_names() -> tuple[str, ...]:
    """Names of torchvision's image classification models, read off its sources.

    Importing torchvision to ask it would load torch, which takes seconds.
    """
    spec = find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        return ()
    names: list[str] = []
    for path in sorted(Path(spec.submodule_search_locations[0], "models").glob("*.py")):
        names += re.findall(
            r"^@register_model\(\)\n(?:@.*\n)*def (\w+)\(", path.read_text("utf-8"), re.MULTILINE
        )
    return tuple(names)


ENCODERS: Registry[Entry] = Registry(
    "encoder",
    "a class of modules, or a function that returns one, called with encoder.options",
    {
        "auto": Entry(
            "lsc_continual.encoders.default:default_encoder",
            "resnet-small for images, mlp for vectors",
        ),
        "vectors": Entry(
            "lsc_continual.encoders.vectors:Vectors",
            "none: inputs are features already, such as another network's embeddings",
        ),
        "mlp": Entry(
            "lsc_continual.encoders.mlp:MLP",
            "two hidden layers of 256 units",
            options={"width": 256, "depth": 2},
        ),
        "resnet-small": Entry(
            "lsc_continual.encoders.resnet:resnet_small",
            "3 residual blocks, for 8×8 to 64×64",
            options={"width": 32, "depth": 1, "pool": 2},
        ),
        "resnet18-cifar": Entry(
            "lsc_continual.encoders.resnet:resnet18_cifar",
            "ResNet-18 with a 3×3 stem",
            options={"width": 64},
        ),
        "timm:NAME": Entry(
            "lsc_continual.encoders.ready.timm_models:timm_encoder",
            "timm's models, with their weights, or a folder of one",
            pattern=r"timm:.+",
        ),
        "hf:NAME": Entry(
            "lsc_continual.encoders.ready.hf_models:hf_encoder",
            "vision models of transformers, with their weights, or a folder of one",
            pattern=r"hf:.+",
        ),
        "text:NAME": Entry(
            "lsc_continual.encoders.ready.text_models:text_encoder",
            "texts: sentence-transformers' models, with their weights, or a folder of one",
            pattern=r"text:.+",
        ),
        "resnet50, …": Entry(
            "lsc_continual.encoders.pretrained:torchvision_encoder",
            "any torchvision classification model",
            members=torchvision_names,
        ),
    },
)

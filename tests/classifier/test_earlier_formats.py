"""Models that earlier versions wrote do what they did then.

Each description is what that version wrote for `lsc-cl run encoder=mlp encoder.options.width=4
encoder.options.depth=1 system.dim=8 novelty.score=maxcos novelty.fpr=0.2` and the settings named
beside it. The tensors are drawn anew; what the network says of an image is computed from them here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from itertools import permutations
from math import log, sqrt
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from safetensors.torch import save
from torch import Tensor
from torch.nn.functional import relu

from lsc_continual import load_model
from lsc_continual.classifier.folder import load_detector
from lsc_continual.systems import make_system


class Earlier(NamedTuple):
    """What a version wrote of a model."""

    settings: str
    description: str
    """The content of model.json, broken into lines."""
    shapes: dict[str, tuple[int, ...]]
    """Of the tensors in weights.safetensors."""
    targets: str
    """The sign of each coordinate of the targets of classes 1, 4, 5, 7, 3, 9, 0, 8, 2, 6."""


AFFINE = ".+.-..+. .-.+..+. -....++. +.....-+ ..+..-.+ ...-+..+ ..-...++ +.+-.... +-.+.... .+.+...-"
RANDOM = ".+....+- +....-+. +...-+.. .+...+-. +..-+... .-.+..+. +-..+... -+....+. ...+..+- .-+....+"
SPREAD = ".+....+- ....+.-+ +.+..-.. .-..+.+. +.-+.... +..-.+.. ....-.++ -.++.... .+...-.+ .+-.+..."
ORDER = [1, 4, 5, 7, 3, 9, 0, 8, 2, 6]


def encoder(place: str = "encoder.1.1", width: int = 4) -> dict[str, tuple[int, ...]]:
    return {f"{place}.bias": (width,), f"{place}.weight": (width, 64)}


def projection(width: int) -> dict[str, tuple[int, ...]]:
    return {"projection.bias": (8,), "projection.weight": (8, width)}


def standardized(place: str, width: int) -> dict[str, tuple[int, ...]]:
    return {
        f"{place}.num_batches_tracked": (),
        f"{place}.running_mean": (width,),
        f"{place}.running_var": (width,),
    }


def hidden(units: int, width: int = 4) -> dict[str, tuple[int, ...]]:
    layer = {"hidden.1.bias": (units,), "hidden.1.weight": (units, width)}
    return layer | standardized("hidden.0", width) | standardized("standardization", units)


EARLIER = {
    "3 at first": Earlier(
        "allocation=random",
        """{"format": 3, "spec": {"encoder": "mlp", "input_shape": [1, 8, 8],
        "class_names": ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
        "encoder_options": {"width": 4, "depth": 1}, "mean": [0.305], "std": [0.376],
        "system": "v21", "dim": 8, "head": {"allocation": "random", "seed": 0, "scale": 16.0,
        "unknown_prior": 0.1488095238095238, "normalize": true}},
        "targets": {"system": {"name": "v21", "dim": 8},
        "allocation": {"name": "random", "seed": 0, "count": 10,
        "addresses": [101, 94, 63, 70, 38, 109, 36, 96, 113, 139]},
        "labels": [1, 4, 5, 7, 3, 9, 0, 8, 2, 6]},
        "detector": {"score": "maxcos", "fpr": 0.2, "per_class": false}}""",
        encoder() | projection(4),
        RANDOM,
    ),
    "3": Earlier(
        "",
        """{"format": 3, "spec": {"encoder": "mlp", "input_shape": [1, 8, 8],
        "class_names": ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
        "encoder_options": {"width": 4, "depth": 1}, "mean": [0.305], "std": [0.376],
        "system": "v21", "dim": 8, "head": {"allocation": "affine", "seed": 0, "scale": 16.0,
        "unknown_prior": 0.1488095238095238, "normalize": true}, "inverted": false},
        "targets": {"system": {"name": "v21", "dim": 8},
        "allocation": {"name": "affine", "seed": 0, "count": 10},
        "labels": [1, 4, 5, 7, 3, 9, 0, 8, 2, 6]},
        "detector": {"score": "maxcos", "fpr": 0.2, "per_class": false}}""",
        encoder() | projection(4),
        AFFINE,
    ),
    "4": Earlier(
        "allocation=spread",
        """{"format": 4, "spec": {"encoder": "mlp", "input_shape": [1, 8, 8],
        "class_names": ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
        "encoder_options": {"width": 4, "depth": 1}, "mean": [0.305], "std": [0.376],
        "system": "v21", "dim": 8, "head": {"allocation": "spread", "seed": 0, "scale": 16.0,
        "unknown_prior": 0.1488095238095238, "normalize": true}, "inverted": false},
        "targets": {"system": {"name": "v21", "dim": 8},
        "allocation": {"name": "spread", "seed": 0, "count": 10,
        "addresses": [101, 155, 9, 115, 19, 62, 166, 30, 136, 43]},
        "labels": [1, 4, 5, 7, 3, 9, 0, 8, 2, 6]},
        "detector": {"score": "maxcos", "fpr": 0.2, "per_class": false}}""",
        encoder() | projection(4),
        SPREAD,
    ),
    "5": Earlier(
        "strategy=lsc-analytic analytic.features=6",
        """{"format": 5, "spec": {"encoder": "mlp", "input_shape": [1, 8, 8],
        "class_names": ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
        "encoder_options": {"width": 4, "depth": 1}, "mean": [0.305], "std": [0.376],
        "system": "v21", "dim": 8, "head": {"allocation": "affine", "seed": 0, "scale": 16.0,
        "unknown_prior": 0.1488095238095238, "normalize": true}, "inverted": false,
        "random_features": {"features": 6, "seed": 0}},
        "targets": {"system": {"name": "v21", "dim": 8},
        "allocation": {"name": "affine", "seed": 0, "count": 10},
        "labels": [1, 4, 5, 7, 3, 9, 0, 8, 2, 6]},
        "detector": {"score": "maxcos", "fpr": 0.2, "per_class": false}}""",
        encoder("encoder.encoder.1.1") | {"encoder.directions": (6, 4)} | projection(6),
        AFFINE,
    ),
    "6": Earlier(
        "encoder.standardize=true",
        """{"format": 6, "spec": {"encoder": "mlp", "input_shape": [1, 8, 8],
        "class_names": ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
        "encoder_options": {"width": 4, "depth": 1}, "mean": [0.305], "std": [0.376],
        "system": "v21", "dim": 8, "head": {"allocation": "affine", "seed": 0, "scale": null,
        "unknown_prior": 0.1488095238095238, "normalize": true}, "inverted": false,
        "random_features": {}, "standardize": true},
        "targets": {"system": {"name": "v21", "dim": 8},
        "allocation": {"name": "affine", "seed": 0, "count": 10},
        "labels": [1, 4, 5, 7, 3, 9, 0, 8, 2, 6]},
        "detector": {"score": "maxcos", "fpr": 0.2, "per_class": false}}""",
        encoder() | standardized("standardization", 4) | projection(4),
        AFFINE,
    ),
    "7 at first": Earlier(
        "encoder.standardize=true encoder.options.width=6",
        """{"format": 7, "spec": {"encoder": "mlp", "input_shape": [1, 8, 8],
        "class_names": ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
        "encoder_options": {"width": 6, "depth": 1}, "mean": [0.305], "std": [0.376],
        "system": "v21", "dim": 8, "head": {"allocation": "affine", "seed": 0, "scale": null,
        "unknown_prior": 0.1488095238095238, "normalize": true}, "inverted": false,
        "random_features": {}, "standardize": true, "hidden": null},
        "targets": {"system": {"name": "v21", "dim": 8},
        "allocation": {"name": "affine", "seed": 0, "count": 10},
        "labels": [1, 4, 5, 7, 3, 9, 0, 8, 2, 6]},
        "detector": {"score": "maxcos", "fpr": 0.2, "per_class": false}}""",
        encoder(width=6) | hidden(1024, width=6) | projection(1024),
        AFFINE,
    ),
    "7": Earlier(
        "encoder.standardize=true encoder.hidden=5",
        """{"format": 7, "spec": {"encoder": "mlp", "input_shape": [1, 8, 8],
        "class_names": ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
        "encoder_options": {"width": 4, "depth": 1}, "mean": [0.305], "std": [0.376],
        "system": "v21", "dim": 8, "head": {"allocation": "affine", "seed": 0, "scale": null,
        "unknown_prior": 0.1488095238095238, "normalize": true}, "inverted": false,
        "random_features": {}, "standardize": true, "hidden": 5},
        "targets": {"system": {"name": "v21", "dim": 8},
        "allocation": {"name": "affine", "seed": 0, "count": 10},
        "labels": [1, 4, 5, 7, 3, 9, 0, 8, 2, 6]},
        "detector": {"score": "maxcos", "fpr": 0.2, "per_class": false}}""",
        encoder() | hidden(5) | projection(5),
        AFFINE,
    ),
}


def drawn(shapes: Mapping[str, tuple[int, ...]], seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    tensors = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    for name, tensor in tensors.items():
        if name.endswith("running_var"):
            tensors[name] = 0.5 + tensor**2
        if name.endswith("num_batches_tracked"):
            tensors[name] = torch.tensor(80)
    return tensors


def write_model(folder: Path, description: str, **tensors: dict[str, Tensor]) -> None:
    """A folder as all these versions wrote it, with the checksums that `sha256sum` makes."""
    folder.mkdir(parents=True)
    text = json.dumps(json.loads(description))
    files = {"model.json": text.encode()}
    files |= {f"{name}.safetensors": save(content) for name, content in tensors.items()}
    seal = [f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files)]
    for name, content in {**files, "SHA256SUMS": "".join(seal).encode()}.items():
        (folder / name).write_bytes(content)


def embedding(weights: Mapping[str, Tensor], images: Tensor) -> Tensor:
    """encoder → random features → hidden layer → standardisation → projection."""

    def linear(place: str, x: Tensor) -> Tensor:
        return x @ weights[f"{place}.weight"].T + weights[f"{place}.bias"]

    def standard(place: str, x: Tensor) -> Tensor:
        if f"{place}.running_mean" not in weights:
            return x
        mean, variance = weights[f"{place}.running_mean"], weights[f"{place}.running_var"]
        return (x - mean) / (variance + 1e-5).sqrt()

    x = ((images - 0.305) / 0.376).flatten(1)
    if "encoder.directions" in weights:
        x = relu(relu(linear("encoder.encoder.1.1", x)) @ weights["encoder.directions"].T)
    else:
        x = relu(linear("encoder.1.1", x))
    if "hidden.1.weight" in weights:
        x = relu(linear("hidden.1", standard("hidden.0", x)))
    return linear("projection", standard("standardization", x))


def vectors(signs: str) -> Tensor:
    """FloatTensor[count, 8], of length 1."""
    value = {"+": 1, "-": -1, ".": 0}
    return torch.tensor([[value[sign] for sign in row] for row in signs.split()]) / sqrt(3)


@pytest.mark.parametrize("version", EARLIER)
def test_a_model_does_what_it_did(version: str, tmp_path: Path) -> None:
    earlier = EARLIER[version]
    weights = drawn(earlier.shapes)
    embeddings = drawn({"known": (30, 8), "reference": (20, 8)}, seed=1)
    write_model(
        tmp_path / "run" / "model", earlier.description, weights=weights, calibration=embeddings
    )
    images = torch.randn(300, 1, 8, 8, generator=torch.Generator().manual_seed(2))
    model, spec = load_model(tmp_path / "run")
    assert not model.training
    assert spec.class_names == list("0123456789")

    z = embedding(weights, images)
    torch.testing.assert_close(model.embed(images), z, rtol=1e-4, atol=1e-4)
    cosines = torch.nn.functional.normalize(z) @ vectors(earlier.targets).T
    predicted = torch.tensor(ORDER)[cosines.argmax(1)]
    assert len(predicted.unique()) > 3, "the images are told apart"
    output = model(images)
    assert torch.equal(output.argmax(1), predicted)

    every = torch.tensor(sorted(set(permutations([1.0, 1.0, -1.0, 0, 0, 0, 0, 0])))) / sqrt(3)
    assert len(every) == 168
    total = (16 * torch.nn.functional.normalize(z) @ every.T).logsumexp(1)
    owned, prior = (16 * cosines).logsumexp(1), 25 / 168
    normalizer = torch.logaddexp(owned + log(1 - prior), total + log(prior))
    expected = 16 * cosines - normalizer[:, None]
    torch.testing.assert_close(output[:, ORDER], expected, rtol=1e-4, atol=1e-3)

    known = torch.nn.functional.normalize(embeddings["known"]) @ vectors(earlier.targets).T
    at_least = (known.amax(1) <= cosines.amax(1)[:, None]).sum(1)
    p_value = (1 + at_least) / 31
    flagged = torch.where(p_value > 0.2, predicted, -1)
    assert 0 < (flagged == -1).sum() < 300
    assert torch.equal(load_detector(tmp_path / "run", model.head).predict(z), flagged)


def test_tables_of_targets_are_read_as_format_4_wrote_them(tmp_path: Path) -> None:
    description = """{"format": 4, "spec": {"encoder": "mlp", "input_shape": [1, 8, 8],
        "class_names": [], "encoder_options": {"width": 4, "depth": 1}, "mean": null, "std": null,
        "system": "v22", "dim": 64, "head": {"allocation": "random"}, "inverted": false},
        "targets": {"system": {"name": "v22", "dim": 64},
        "allocation": {"name": "random", "seed": 0, "count": 70000}, "labels": {}}}"""
    generator = torch.Generator().manual_seed(0)
    labels = 7 * torch.randperm(70_000, generator=generator)
    addresses = torch.randperm(1_000_000, generator=generator)[:70_000]
    ascending, owners = addresses.sort()
    tables = {
        "allocation.addresses": ascending,
        "allocation.owners": owners.int(),
        "allocation.ranks": owners.argsort().int(),
        "labels.starts": labels,
        "labels.lengths": torch.ones_like(labels),
    }
    weights = drawn(encoder("encoder.1") | {"projection.bias": (64,), "projection.weight": (64, 4)})
    write_model(tmp_path / "m", description, weights=weights, calibration={}, targets=tables)
    model, _ = load_model(tmp_path / "m")
    z = torch.randn(20, 64, generator=generator)
    cosines = z @ make_system("v22", 64).vectors(addresses).T
    assert torch.equal(model.head.predict(z), labels[cosines.argmax(1)])

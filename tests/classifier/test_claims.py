"""A specification asks for no more than its weights are: told before memory is taken."""

from __future__ import annotations

import copy
import json
import os
import random
import resource
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save

from lsc_continual import LSCError, StreamClassifier, load_model
from lsc_continual.classifier.files import model_files
from lsc_continual.classifier.folder import ModelSpec
from lsc_continual.novelty import NoveltyDetector
from lsc_continual.storage.folders import write_folder

WILD = [0, -1, 2**31, 2**62, 10**30, 4_000_000, 1e308, -1.5, float("nan"), None, True, "", "v21"]
WILD += ["a" * 500, "permutohedron", "resnet50", "regnet_y_400mf", [], [1], [[0, 10**12]], {}]
WILD += [{"x": 1}, [2**40] * 3, "\x1b[31m", "\ud800", "os:system"]


def model(kind: str) -> dict[str, bytes]:
    """The files of a small model."""
    torch.manual_seed(0)
    if kind == "mlp":
        spec = ModelSpec("mlp", (1, 8, 8), ["a", "b", "c"], {"width": 8, "depth": 1}, dim=8)
    elif kind == "hidden":
        spec = ModelSpec("resnet-small", (3, 16, 16), ["a", "b", "c"], {"width": 4}, dim=8)
        spec.hidden, spec.standardize = 12, True
    else:
        spec = ModelSpec("mlp", (1, 8, 8), ["a", "b", "c"], {"width": 8}, system="v22", dim=8)
        spec.random_features = {"features": 30, "seed": 1}
    spec.head = {"allocation": "affine", "seed": 0, "scale": 8.0}
    network = spec.build()
    network.head.add_classes([0, 1, 2])
    known, reference = torch.randn(40, 8), torch.randn(20, 8)
    return model_files(network, spec, NoveltyDetector(network.head).calibrate(known, reference))


@pytest.fixture(scope="module")
def models() -> dict[str, dict[str, bytes]]:
    return {kind: model(kind) for kind in ("mlp", "hidden", "random features")}


def written(folder: Path, files: dict[str, bytes], **changes) -> Path:
    description = json.loads(files["model.json"])
    for path, value in changes.items():
        *place, last = path.split("__")
        part = description
        for key in place:
            part = part[key]
        part[last] = value
    write_folder(folder, {**files, "model.json": json.dumps(description).encode()})
    return folder


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("hidden", {"spec__hidden": 4_000_000}),
        ("hidden", {"spec__encoder_options": {"width": 100_000}}),
        ("hidden", {"spec__input_shape": [3, 100_000, 100_000]}),
        ("hidden", {"spec__input_shape": [1, 16, 16]}),
        ("mlp", {"spec__encoder_options": {"width": 10**9}}),
        ("mlp", {"spec__encoder_options": {"width": 1, "depth": 10**7}}),
        ("mlp", {"spec__input_shape": [1, 10**5, 10**5]}),
        ("mlp", {"spec__dim": 10**8}),
        ("mlp", {"spec__class_names": ["a"]}),
        ("mlp", {"spec__class_names": [1, 2, 3]}),
        ("mlp", {"spec__head__mystery": 1}),
        ("mlp", {"spec__encoder": "resnet18", "spec__encoder_options": {"num_classes": 10**9}}),
        ("mlp", {"spec__encoder": "vit_b_16"}),
        ("mlp", {"spec__encoder": "regnet_y_400mf", "spec__encoder_options": {"num_classes": 9}}),
        ("mlp", {"targets__labels": {"integers": [[0, 10**12]]}}),
        ("mlp", {"targets__labels": {"starts": [0, 5], "lengths": [2, 10**9]}}),
        (
            "mlp",
            {
                "targets__labels": {"starts": [0, 5], "lengths": [2, 10**9]},
                "targets__allocation__count": 10**9 + 2,
                "targets__system__dim": 100,
                "spec__dim": 100,
            },
        ),
        ("random features", {"spec__random_features": {"features": 10**9}}),
    ],
)
def test_a_claim_that_the_weights_do_not_bear_out_is_refused_at_no_cost(
    models, tmp_path, kind, changes
):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    folder = written(tmp_path / "m", models[kind], **changes)
    with pytest.raises(LSCError, match=r"is damaged|cannot be|wrong type|shape"):
        load_model(folder)
    assert time.perf_counter() - start < 20
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 2**20  # kibibytes


def test_the_models_themselves_load(models, tmp_path):
    for kind, files in models.items():
        assert StreamClassifier.load(written(tmp_path / kind, files), device="cpu")


@pytest.mark.parametrize("seed", range(150))
def test_a_resealed_mutation_loads_or_is_one_sentence(models, tmp_path, seed):
    rng = random.Random(seed)
    files = dict(rng.choice([*models.values()]))
    description = json.loads(files["model.json"])
    for _ in range(rng.choice([1, 1, 2, 3])):
        _mutate(rng, files, description)
    write_folder(tmp_path / "m", {**files, "model.json": json.dumps(description).encode()})
    before, refused = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, ""
    try:
        classifier = StreamClassifier.load(tmp_path / "m", device="cpu")
        answers = classifier.predict(torch.rand(2, *classifier.spec.input_shape))
    except LSCError as error:
        refused = str(error)
    assert "\n" not in refused
    assert refused or len(answers) == 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**20  # kibibytes


def _mutate(rng: random.Random, files: dict[str, bytes], description: dict) -> None:
    if rng.random() < 0.75:
        place = rng.choice([path for path in _paths(description) if path])
        part = description
        try:
            for key in place[:-1]:
                part = part[key]
            part[place[-1]] = copy.deepcopy(rng.choice(WILD))
        except (KeyError, IndexError, TypeError):  # an earlier mutation took it away
            return
        return
    name = rng.choice(["weights.safetensors", "calibration.safetensors"])
    if rng.random() < 0.3:
        content = bytearray(files[name])
        content[rng.randrange(min(300, len(content)))] = rng.randrange(256)
        files[name] = bytes(content)
        return
    try:
        tensors = load(files[name])
    except Exception:  # an earlier mutation damaged it
        return
    key = rng.choice([*tensors])
    odd = [tensors[key].flatten().repeat(2), torch.zeros(0), torch.tensor(1.0)]
    odd.append(torch.full_like(tensors[key].double(), torch.nan))
    tensors[key] = rng.choice(odd)
    files[name] = save(tensors)


def _paths(value, above=()):
    yield above
    items = value.items() if isinstance(value, dict) else []
    items = enumerate(value[:5]) if isinstance(value, list) else items
    for key, part in items:
        yield from _paths(part, (*above, key))


def test_files_that_the_seal_does_not_name_are_not_read(models, tmp_path):
    """Of 60 GB each, as they say."""
    folder = written(tmp_path / "m", models["mlp"])
    extra = folder / "extra"
    extra.touch()
    os.truncate(extra, 60 * 2**30)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(LSCError, match="its files are not those that SHA256SUMS names"):
        load_model(folder)
    extra.unlink()
    os.truncate(folder / "weights.safetensors", 2**31)
    with pytest.raises(LSCError, match="its files do not match SHA256SUMS"):
        load_model(folder)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**17  # kibibytes

"""Models on disk: whole or refused, whatever their size, and networks as they were trained."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save

from lsc_continual import LSCError
from lsc_continual.classifier.files import model_files
from lsc_continual.classifier.folder import ModelSpec, load_model
from lsc_continual.runs.checkpoints import Checkpoints
from lsc_continual.storage.folders import read_folder, write_folder
from lsc_continual.targets import Targets
from tests.runs.damage import damage


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models of one kind."""
    root = tmp_path_factory.mktemp("models")
    spec = ModelSpec("mlp", (1, 8, 8), ["a", "b"], {"width": 8, "depth": 1}, dim=8)
    for name in ("one", "other"):
        torch.manual_seed(len(name))
        model = spec.build()
        model.head.add_classes([0, 1])
        write_folder(root / name, model_files(model, spec))
    return root


def test_whatever_happens_to_a_model_it_is_itself_or_refused(models, tmp_path):
    original = load_model(models / "one")[0].state_dict()
    refused = whole = 0
    for seed in range(150):
        rng = random.Random(seed)
        root = tmp_path / str(seed)
        shutil.copytree(models, root)
        both = sorted(path for path in root.rglob("*") if path.is_file())
        done = [damage(root / "one", rng, both) for _ in range(rng.choice([1, 1, 2, 4]))]
        try:
            found = load_model(root / "one")[0].state_dict()
        except LSCError as error:
            refused += "\n" not in str(error)
        else:
            whole += 1
            assert list(found) == list(original), done
            assert all(torch.equal(found[name], original[name]) for name in original), done
        shutil.rmtree(root)
    assert refused + whole == 150
    assert refused > 120


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"format": 99},
            r"has format 99, this version reads 3 to 9: use the version that wrote it",
        ),
        ({"spec": {"dim": 17}}, r"is damaged"),
        ({"spec": {"encoder": "resnte-small"}}, r"did you mean 'resnet-small'"),
        ({"spec": {"mystery": 1}}, r"is damaged"),
        ({"targets": None}, r"is damaged"),
        ({"targets": {}}, r"is damaged"),
        ({"spec": None}, r"is damaged"),
    ],
)
def test_whole_models_that_make_no_sense_are_refused(models, tmp_path, change, message):
    files = read_folder(models / "one")
    description = json.loads(files["model.json"])
    for key, value in change.items():
        merged = {**description[key], **value} if isinstance(value, dict) and value else value
        description[key] = merged
    write_folder(tmp_path / "m", {**files, "model.json": json.dumps(description).encode()})
    with pytest.raises(LSCError, match=message) as caught:
        load_model(tmp_path / "m")
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with a file of tables: of addresses, and of scattered labels."""
    folder = tmp_path_factory.mktemp("large") / "model"
    spec = ModelSpec("mlp", (1, 8, 8), [], {"width": 8, "depth": 1})
    spec.system, spec.dim, spec.head = "v22", 64, {"allocation": "random"}
    model = spec.build()
    model.head.add_classes(7 * torch.randperm(70_000, generator=torch.Generator().manual_seed(0)))
    write_folder(folder, model_files(model, spec))
    return folder


def test_large_target_maps_are_mapped_from_a_file_of_their_own(large, tmp_path):
    assert (large / "model.json").stat().st_size < 1000
    folder = tmp_path / "model"
    shutil.copytree(large, folder)
    targets = load_model(folder)[0].head.targets
    shutil.rmtree(folder)  # as when a run goes on writing
    labels = targets.labels_of(torch.arange(70_000))
    assert torch.equal(labels.sort().values, 7 * torch.arange(70_000))
    assert torch.equal(targets.ordinals(labels), torch.arange(70_000))
    assert torch.equal(targets.allocation.owner(targets.addresses()), torch.arange(70_000))
    original = load_model(large)[0].head.targets
    targets.add(["new"])
    original.add(["new"])
    assert torch.equal(targets.addresses(), original.addresses())


def test_whatever_happens_to_a_large_model_it_is_itself_or_refused(large, tmp_path):
    original = load_model(large)[0].head.targets
    refused = 0
    for seed in range(60):
        rng = random.Random(seed)
        folder = tmp_path / str(seed)
        shutil.copytree(large, folder)
        damage(folder, rng, [])
        try:
            found = load_model(folder)[0].head.targets
        except LSCError as error:
            refused += "\n" not in str(error)
        else:
            assert torch.equal(found.addresses(), original.addresses())
            assert found.labels == original.labels
        shutil.rmtree(folder)
    assert refused > 50


def test_tables_that_make_no_sense_are_refused(large, tmp_path):
    files = read_folder(large)
    tables = load(files["targets.safetensors"])
    for name in tables:
        for change in (tables[name][1:], tables[name] // 14, tables[name].int()[:, None]):
            write_folder(
                tmp_path / "m", {**files, "targets.safetensors": save(tables | {name: change})}
            )
            with pytest.raises(LSCError, match="damaged"):
                load_model(tmp_path / "m")


def test_checkpoints_hold_large_target_maps(large, tmp_path):
    targets = load_model(large)[0].head.targets
    kept = Checkpoints(tmp_path)
    kept.write(1, {"targets": targets.to_dict()})
    restored = Targets.from_dict(kept.latest()["targets"])
    assert torch.equal(restored.addresses(), targets.addresses())
    assert restored.labels == targets.labels
    assert (tmp_path / "step-000000001" / "state.json").stat().st_size < 1000


@pytest.mark.parametrize(
    ("classes", "units"),
    [(257, 1024), (256, 0)],  # behind 128 features
)
def test_the_hidden_layer_follows_the_stream_and_comes_back(tmp_path, classes, units):
    names = [str(name) for name in range(classes)]
    spec = ModelSpec("resnet-small", (1, 8, 8), names, {"width": 8}, dim=384)
    spec.standardize = spec.hidden = None
    model = spec.build().eval()
    assert model.hidden_units == units
    model.head.add_classes(range(classes))
    write_folder(tmp_path / "model", model_files(model, spec))
    loaded, written = load_model(tmp_path / "model")
    assert written.hidden == units
    x = torch.rand(4, 1, 8, 8)
    assert torch.equal(loaded.embed(x), model.embed(x))

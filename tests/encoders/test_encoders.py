"""Encoders by name, from torchvision, and the user's own."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torchvision import models

from lsc_continual.encoders import make_encoder
from lsc_continual.encoders.names import ENCODERS, is_ready, torchvision_names
from lsc_continual.errors import LSCError

OWN = [name for name, entry in ENCODERS.items() if entry.members is None and not is_ready(name)]


@pytest.mark.parametrize("name", [*OWN, "resnet18", "squeezenet1_0", "mobilenet_v3_small"])
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32)])
def test_an_encoder_gives_the_features_it_promises(name, shape):
    if name == "squeezenet1_0":
        with pytest.raises(LSCError, match="does not end in a linear layer"):
            make_encoder(name, shape)
        return
    encoder = make_encoder(name, shape, mean=[0.5] * shape[0], std=[0.2] * shape[0])
    assert encoder.training
    assert encoder(torch.rand(2, *shape)).flatten(1).shape == (2, encoder.num_features)


def test_inputs_are_normalised_first():
    raw = make_encoder("mlp", (1, 2, 2))
    torch.manual_seed(0)
    normalised = make_encoder("mlp", (1, 2, 2), mean=[0.5], std=[0.25])
    raw.load_state_dict(normalised[1].state_dict())
    x = torch.rand(3, 1, 2, 2)
    assert torch.allclose(normalised(x), raw((x - 0.5) / 0.25))


def test_a_users_encoder_is_called_with_the_options(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n"
        "def tiny(width):\n    return nn.Sequential(nn.Flatten(), nn.Linear(4, width))\n"
        "number = 3\n"
        "def none():\n    return None\n"
    )
    monkeypatch.chdir(tmp_path)
    encoder = make_encoder("mine:tiny", (1, 2, 2), options={"width": 5})
    assert encoder(torch.zeros(1, 1, 2, 2)).shape == (1, 5)
    with pytest.raises(LSCError, match="'mine:number' is int, which cannot be called"):
        make_encoder("mine:number", (1, 2, 2))
    with pytest.raises(LSCError, match="gave NoneType, not a torch module"):
        make_encoder("mine:none", (1, 2, 2))
    with pytest.raises(LSCError, match="does not accept images of shape"):
        make_encoder("mine:tiny", (1, 3, 3), options={"width": 5})
    with pytest.raises(LSCError, match="cannot be built with"):
        make_encoder("mine:tiny", (1, 2, 2))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnet1", {}, "did you mean 'resnet18'"),
        ("nomodule:thing", {}, "cannot import 'nomodule'"),
        ("mlp", {"options": {"widht": 3}}, "cannot be built with"),
        ("mlp", {"options": {"width": -5}}, "cannot be built with"),
        ("mlp", {"options": {"width": 0}}, "gives no features"),
        ("resnet-small", {"options": {"pool": 0}}, "gives no features"),
        (":x", {}, "cannot import ''"),
        ("mlp", {"weights": "DEFAULT"}, "has no ready weights"),
        ("torch.nn:Flatten", {"weights": "DEFAULT"}, "loads its own weights"),
        ("resnet18", {"weights": "IMAGENET"}, "unknown weights of resnet18"),
        ("vit_b_16", {}, "does not accept images of shape"),
    ],
)
def test_wrong_encoders_are_refused_in_a_sentence(name, options, message):
    with pytest.raises(LSCError, match=message):
        make_encoder(name, (3, 32, 32), **options)


def test_any_module_works_as_encoder():
    assert isinstance(make_encoder("torch.nn:Flatten", (1, 2, 2)), nn.Flatten)


def _same(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(p, other.state_dict()[n]) for n, p in one.state_dict().items())


def test_weights_come_from_files_and_from_earlier_runs(tmp_path, digits_run):
    trained = make_encoder("mlp", (1, 8, 8))
    torch.save(trained.state_dict(), tmp_path / "encoder.pt")
    save_file(nn.Sequential(nn.ReLU(), trained).state_dict(), tmp_path / "part.safetensors")
    for name in ("encoder.pt", "part.safetensors"):
        assert _same(trained, make_encoder("mlp", (1, 8, 8), weights=str(tmp_path / name)))
    ready = make_encoder("mlp", (1, 8, 8), weights=str(digits_run))
    stored = load_file(digits_run / "model" / "weights.safetensors")
    last = list(ready.state_dict().values())[-1]
    assert any(torch.equal(last, value) for value in stored.values() if value.shape == last.shape)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("none.pt", None, "is no file of weights, and no run"),
        ("broken.safetensors", b"x", "cannot be read"),
        ("broken.pt", b"x", "cannot be read"),
        ("other.pt", {"weight": torch.zeros(2)}, "are not those of this encoder"),
        ("list.pt", [1, 2], "holds no state_dict"),
        ("module.pt", nn.ReLU(), "cannot be read"),
    ],
)
def test_wrong_weights_are_refused_in_a_sentence(file, content, message, tmp_path):
    if isinstance(content, bytes):
        (tmp_path / file).write_bytes(content)
    elif content is not None:
        torch.save(content, tmp_path / file)
    with pytest.raises(LSCError, match=message):
        make_encoder("mlp", (1, 8, 8), weights=str(tmp_path / file))


def test_torchvisions_models_are_known_without_importing_it():
    assert set(torchvision_names()) == set(models.list_models(module=models))

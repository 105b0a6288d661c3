"""Encoders of other people's: what they take, and that they can be built again without files."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
import torch.nn.functional as F

from lsc_continual.encoders import make_encoder
from lsc_continual.encoders.cache import EmbeddingStore, remember
from lsc_continual.encoders.making import ready_encoder
from lsc_continual.encoders.ready.base import without_code
from lsc_continual.errors import LSCError
from lsc_continual.inputs.decoding import Cut
from lsc_continual.inputs.texts import text_bytes, texts_of
from tests.encoders.ready_models import hf_folder, text_folder, timm_folder

TEXTS = ["the cat sat", "a dog ran on the road the dog", "mat"]


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("ready")
    return {
        "timm": timm_folder(root / "timm"),
        "hf": hf_folder(root / "hf"),
        "clip": hf_folder(root / "clip", "clip"),
        "convnext": hf_folder(root / "convnext", "convnext"),
        "text": text_folder(root / "text", dense=True),
    }


def as_inputs(texts, longest):
    rows = [torch.from_numpy(text_bytes(text, longest)) for text in texts]
    return torch.stack(rows)[:, :, None, None].float() / 255


@pytest.mark.parametrize("kind", ["timm", "hf", "clip", "convnext", "text"])
def test_built_again_from_its_architecture_it_says_the_same(folders, kind):
    name = f"{kind if kind in ('timm', 'text') else 'hf'}:{folders[kind]}"
    first = ready_encoder(name).eval()
    architecture = json.loads(json.dumps(first.architecture))
    nowhere = f"{name.partition(':')[0]}:gone"
    again = make_encoder(nowhere, first.input_shape, architecture=architecture).eval()
    again.load_state_dict(first.state_dict())
    x = torch.rand(3, *first.input_shape)
    if kind == "text":
        x = as_inputs(TEXTS, first.input_shape[0])
    with torch.no_grad():
        torch.testing.assert_close(again(x), first(x))
        assert first(x).shape == (3, first.num_features)


@pytest.mark.parametrize(
    ("kind", "cut"),
    [
        ("timm", Cut(0.9, "bicubic")),
        ("hf", Cut(None, "bilinear")),
        ("clip", Cut(0.8, "bicubic")),
        ("convnext", Cut(0.875, "bicubic")),
    ],
)
def test_the_preprocessing_is_that_of_the_weights(folders, kind, cut):
    encoder = ready_encoder(f"{'timm' if kind == 'timm' else 'hf'}:{folders[kind]}")
    assert encoder.cut == cut
    assert encoder.input_shape == (3, 32, 32)


def test_timm_says_what_timm_says(folders):
    import timm

    encoder = ready_encoder(f"timm:{folders['timm']}").eval()
    model = timm.create_model(f"local-dir:{folders['timm']}", pretrained=True, num_classes=0).eval()
    x = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(encoder(x), model((x - 0.5) / 0.5))


@pytest.mark.parametrize(("kind", "pooled"), [("hf", False), ("clip", True), ("convnext", True)])
def test_transformers_models_are_pooled_by_what_was_trained(folders, kind, pooled):
    encoder = ready_encoder(f"hf:{folders[kind]}").eval()
    x = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        output = encoder.network(pixel_values=(x - encoder.mean) / encoder.std)
        expected = output.pooler_output if pooled else output.last_hidden_state[:, 0]
        torch.testing.assert_close(encoder(x), expected.flatten(1))


def test_images_of_another_size_and_grey_ones_are_brought_to_theirs(folders):
    encoder = ready_encoder(f"timm:{folders['timm']}").eval()
    with torch.no_grad():
        assert encoder(torch.rand(2, 1, 8, 8)).shape == (2, 16)


@pytest.mark.parametrize("pool", ["mean_tokens", "cls_token", "max_tokens", "mean_sqrt_len_tokens"])
def test_texts_are_pooled_one_by_one_as_together(tmp_path, pool):
    encoder = ready_encoder(f"text:{text_folder(tmp_path / 'm', pool=pool)}").eval()
    x = as_inputs(TEXTS, encoder.input_shape[0])
    with torch.no_grad():
        together, alone = encoder(x), torch.cat([encoder(row[None]) for row in x])
        hidden = encoder.network(torch.tensor([[4, 5, 7]])).last_hidden_state[0]
    torch.testing.assert_close(together, alone)
    expected = {
        "mean_tokens": hidden.mean(0),
        "cls_token": hidden[0],
        "max_tokens": hidden.amax(0),
        "mean_sqrt_len_tokens": hidden.sum(0) / 3**0.5,
    }
    torch.testing.assert_close(together[0], F.normalize(expected[pool], dim=0))


def test_texts_survive_as_bytes():
    texts = ["naïve café ☃", "a" * 20, "two\nlines"]
    assert texts_of(as_inputs(texts, 20)) == texts
    assert texts_of(as_inputs(["☃" * 7], 20)) == ["☃" * 6]  # a character that is cut is left out
    with pytest.raises(LSCError, match="the text is empty"):
        text_bytes(" \0 ", 20)


def test_a_description_names_no_code():
    config = {
        "hidden_size": 8,
        "auto_map": {"AutoModel": "evil--code"},
        "_attn_implementation": "somebody/kernels",
        "attn_implementation": "somebody/kernels",
        "vision": [{"quantization_config": {}, "backbone": "somebody/else", "layers": 2}],
    }
    assert without_code(config) == {"hidden_size": 8, "vision": [{"layers": 2}]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"modules.json": '[{"type": "my.Evil", "path": ""}]'}, "asks for 'Evil'"),
        ({"modules.json": '[{"type": "x.Pooling", "path": "../../m"}]'}, "a folder elsewhere"),
        ({"1_Pooling/config.json": '{"pooling_mode_weightedmean_tokens": true}'}, "weightedmean"),
        ({"config.json": '{"model_type": "vit"}'}, "vit is no kind of text model"),
        ({"modules.json": "no"}, "has to hold modules.json, config.json"),
    ],
)
def test_texts_models_that_are_not_known_are_refused(folders, tmp_path, change, message):
    shutil.copytree(folders["text"], tmp_path / "m")
    for name, content in change.items():
        (tmp_path / "m" / name).write_text(content)
    with pytest.raises(LSCError, match=message):
        ready_encoder(f"text:{tmp_path / 'm'}")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("timm:resnet99", {}, "unknown model of timm 'resnet99': did you mean"),
        ("timm:/nowhere", {}, "there is no folder /nowhere"),
        ("timm:resnet18", {"depth": 3}, "has no option 'depth': it has pretrained, img_size"),
        ("hf:nobody/nothing", {}, "connect to the network, or bring its folder"),
        ("text:nobody/nothing", {}, "connect to the network, or bring its folder"),
        ("hf:{text}", {}, "bert is no kind of vision model"),
    ],
)
def test_what_cannot_be_had_is_told_in_a_sentence(folders, name, options, message):
    with pytest.raises(LSCError, match=message):
        ready_encoder(name.format(**folders), options=options)


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "timm_wrapper", "architecture": "hf-hub:somebody/else", "model_args": {}},
        {"model_type": "timm_backbone", "backbone": "resnet18"},
        {"model_type": "llama"},
    ],
)
def test_a_description_builds_nothing_that_it_names(folders, config):
    told = ready_encoder(f"hf:{folders['hf']}").architecture
    with pytest.raises(LSCError, match="is no kind of vision model"):
        make_encoder("hf:x", (3, 32, 32), architecture={**told, "config": config})
    timm = ready_encoder(f"timm:{folders['timm']}").architecture
    for change in ({"name": "local-dir:/"}, {"args": {"checkpoint_path": "/x"}}):
        with pytest.raises(LSCError, match="timm"):
            make_encoder("timm:x", (3, 32, 32), architecture={**timm, **change})


def test_weights_in_half_precision_are_used_in_full(folders, tmp_path):
    from transformers import AutoModel

    shutil.copytree(folders["text"], tmp_path / "half")
    AutoModel.from_pretrained(folders["text"]).half().save_pretrained(tmp_path / "half")
    first = ready_encoder(f"text:{tmp_path / 'half'}")
    again = make_encoder("text:x", first.input_shape, architecture=first.architecture)
    for encoder in (first, again):
        assert {p.dtype for p in encoder.parameters()} == {torch.float32}


def test_weights_of_another_network_are_refused(folders, tmp_path):
    from safetensors.torch import load_file, save_file

    shutil.copytree(folders["text"], tmp_path / "m")
    weights = load_file(tmp_path / "m/model.safetensors")
    save_file({f"other.{k}": v for k, v in weights.items()}, tmp_path / "m/model.safetensors")
    with pytest.raises(LSCError, match="lack"):
        ready_encoder(f"text:{tmp_path / 'm'}")


def test_embeddings_are_computed_once(tmp_path):
    linear = torch.nn.Linear(4, 3).eval()
    calls = []
    linear.register_forward_hook(lambda *_: calls.append(1))
    x = torch.rand(5, 4)
    with torch.no_grad():
        plain = linear(x)
        counted = []
        original = linear.forward
        linear.forward = lambda x: counted.append(len(x)) or original(x)
        remember(linear, tmp_path)
        assert torch.equal(linear(x), plain)
        assert torch.equal(linear(torch.cat([x[3:], torch.ones(1, 4)]))[:2], plain[3:])
    assert counted == [5, 1]
    other = torch.nn.Linear(4, 3).eval()  # of other weights, which has a file of its own
    remember(other, tmp_path)
    with torch.no_grad():
        assert not torch.equal(other(x), plain)
    assert len(list(tmp_path.glob("*.sqlite"))) == 2


def test_a_cache_that_is_none_is_told(tmp_path):
    (tmp_path / "x.sqlite").write_text("something else, and long enough to be looked at " * 9)
    with pytest.raises(LSCError, match=r"x\.sqlite is damaged .*: delete it"):
        EmbeddingStore(tmp_path / "x.sqlite")
    with pytest.raises(LSCError, match="cannot be made"):
        EmbeddingStore(tmp_path / "x.sqlite" / "y.sqlite")

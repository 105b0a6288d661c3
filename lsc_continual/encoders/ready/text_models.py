"""sentence-transformers' models of texts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lsc_continual.encoders.ready.base import (
    Architecture,
    ReadyEncoder,
    brought,
    described,
    folder_of,
    options_of,
    quiet,
    read_json,
    split_name,
    without_code,
    without_pooler,
)
from lsc_continual.errors import LSCError
from lsc_continual.inputs.texts import texts_of
from lsc_continual.storage.reading import read_text

_OPTIONS = {"pretrained": True, "max_length": None}
_FILES = "modules.json, config.json, model.safetensors and tokenizer.json"
_PATTERNS = ["*.json", "*.safetensors", "*.txt", "*.model"]  # of a model's files, those that count
_ELSEWHERE = ["onnx/*", "openvino/*"]
_TOGETHER = 64  # texts that the network is given at once, of similar length
_BYTES, _MOST_BYTES = 8, 2**16  # of a token, and of a text
_LARGEST_TOKENIZER = 2**26  # bytes
_POOLS = ("cls", "mean", "max", "mean_sqrt_len", "lasttoken")
_ACTIVATIONS = {"Tanh": nn.Tanh, "Identity": nn.Identity, "ReLU": nn.ReLU, "GELU": nn.GELU}


class TextEncoder(ReadyEncoder):
    """A transformer for texts: their bytes (see `text_bytes`), [batch, bytes, 1, 1] -> vectors.

    Args:
        network: it itself.
        tokenizer: the content of its tokenizer.json, uint8.
        architecture: has "config", "pool", "dense", "normalize", "max_length", "prompt",
            "lower_case", and "tokenizer", how long that is.
    """

    tokenizer: Tensor

    def __init__(self, network: nn.Module, tokenizer: Tensor, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        longest = int(architecture["max_length"])
        self.input_shape = max(1, min(_BYTES * longest, _MOST_BYTES)), 1, 1
        self.network = network
        self.dense = nn.Sequential(*map(_dense, architecture["dense"]))
        self.register_buffer("tokenizer", tokenizer)
        self._tokenizer: Any = None

    def forward(self, x: Tensor) -> Tensor:
        prompt = self.architecture["prompt"]
        texts = [prompt + text for text in texts_of(x)]
        if self.architecture["lower_case"]:
            texts = [text.lower() for text in texts]
        encodings = self._tokens().encode_batch(texts)
        order = sorted(range(len(texts)), key=lambda i: len(encodings[i].ids))
        parts = []
        for start in range(0, len(order), _TOGETHER):
            some = [encodings[i] for i in order[start : start + _TOGETHER]]
            parts.append(self._vectors(self._batch(some, x.device)))
        found = torch.cat(parts)
        back = torch.empty(len(order), dtype=torch.long)
        back[order] = torch.arange(len(order))
        return found[back.to(found.device)]

    def _batch(self, encodings: list[Any], device: torch.device) -> dict[str, Tensor]:
        length = max(1, *(len(one.ids) for one in encodings))
        pad = int(self.architecture["config"].get("pad_token_id") or 0)

        def rows(numbers: list[list[int]], filler: int) -> Tensor:
            return torch.tensor([row + [filler] * (length - len(row)) for row in numbers]).to(
                device
            )

        return {
            "input_ids": rows([one.ids for one in encodings], pad),
            "attention_mask": rows([one.attention_mask for one in encodings], 0),
        }

    def _vectors(self, tokens: dict[str, Tensor]) -> Tensor:
        hidden = self.network(**tokens).last_hidden_state
        mask = tokens["attention_mask"][..., None].to(hidden)
        pool = self.architecture["pool"]
        if pool == "cls":
            vectors = hidden[:, 0]
        elif pool == "max":
            vectors = hidden.masked_fill(mask == 0, -torch.inf).amax(1)
        elif pool == "lasttoken":
            last = tokens["attention_mask"].sum(1).clamp_min(1) - 1
            vectors = hidden[torch.arange(len(hidden), device=hidden.device), last]
        else:
            counts = mask.sum(1).clamp_min(1)
            vectors = (hidden * mask).sum(1) / (counts if pool == "mean" else counts.sqrt())
        vectors = self.dense(vectors)
        if self.architecture["normalize"]:
            vectors = nn.functional.normalize(vectors, dim=1)
        return vectors  # type: ignore[no-any-return]

    def _tokens(self) -> Any:
        if self._tokenizer is None:
            from tokenizers import Tokenizer

            self._tokenizer = Tokenizer.from_str(bytes(self.tokenizer.cpu().numpy()).decode())
            self._tokenizer.enable_truncation(int(self.architecture["max_length"]))
            self._tokenizer.no_padding()
        return self._tokenizer

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_tokenizer": None}


def text_encoder(
    name: str, options: Mapping[str, Any], architecture: Architecture | None = None
) -> TextEncoder:
    """The model "text:ORGANISATION/NAME" of the hub, or "text:FOLDER".

    Args:
        options: `pretrained`; `max_length` in tokens, by default the model's.
        architecture: of an earlier one, which is built without weights.
    """
    with brought(name, "text", _FILES):
        if architecture is None:
            return _brought(name, options_of(name, options, _OPTIONS))
        size = int(architecture["tokenizer"])
        if not 0 <= size < _LARGEST_TOKENIZER or architecture["pool"] not in _POOLS:
            raise LSCError("it describes no model of texts")
        network = without_pooler(_built(dict(architecture["config"])))
        return TextEncoder(network, torch.zeros(size, dtype=torch.uint8), architecture)


def _brought(name: str, options: dict[str, Any]) -> TextEncoder:
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    quiet()
    folder = folder_of(name)
    if folder is None:
        from huggingface_hub import snapshot_download

        where = split_name(name)[1]
        folder = Path(
            snapshot_download(where, allow_patterns=_PATTERNS, ignore_patterns=_ELSEWHERE)
        )
    found = _modules(folder)
    config = AutoConfig.from_pretrained(found.transformer, trust_remote_code=False)
    kept = described(config)
    network = _built(kept)
    if options["pretrained"]:
        kind: Any = AutoModel
        network, loaded = kind.from_pretrained(
            found.transformer, trust_remote_code=False, output_loading_info=True
        )
        if lost := sorted(key for key in loaded["missing_keys"] if "pooler" not in key):
            raise LSCError(f"the weights in {found.transformer} lack {lost[0]}: bring the model's")
    told = found.transformer / "sentence_bert_config.json"
    own = read_json(told) if told.is_file() else {}
    tokenizer = AutoTokenizer.from_pretrained(found.transformer, trust_remote_code=False)
    lengths = (
        options["max_length"] or own.get("max_seq_length"),
        tokenizer.model_max_length,
        _positions(network),
    )
    content = tokenizer.backend_tokenizer.to_str().encode()
    architecture = {
        "config": kept,
        "pool": found.pool,
        "dense": found.dense,
        "normalize": found.normalize,
        "max_length": min(length for length in lengths if length),
        "prompt": found.prompt,
        "lower_case": bool(own.get("do_lower_case", False)),
        "tokenizer": len(content),
    }
    as_bytes = torch.frombuffer(bytearray(content), dtype=torch.uint8)
    made = TextEncoder(without_pooler(network).float(), as_bytes, architecture)
    if options["pretrained"]:
        for layer, place in zip(made.dense, found.dense_folders, strict=True):
            _load_dense(layer, place)
    return made


def _positions(network: nn.Module) -> int | None:
    """How many tokens a network has positions for; some begin to count behind that of padding."""
    count = getattr(network.config, "max_position_embeddings", None)
    table = getattr(getattr(network, "embeddings", None), "position_embeddings", None)
    offset = getattr(table, "padding_idx", None)
    return count if count is None or offset is None else int(count) - int(offset) - 1


class _Modules:
    """What the files of a sentence-transformers folder say of its modules.

    Attributes:
        transformer: folder of the network and its tokenizer.
    """

    def __init__(self, folder: Path) -> None:
        self.transformer, self.pool, self.normalize, self.prompt = folder, "mean", False, ""
        self.dense: list[dict[str, Any]] = []
        self.dense_folders: list[Path] = []


def _modules(folder: Path) -> _Modules:
    """The modules of a folder; one without modules.json is a transformer, pooled by its mean."""
    found = _Modules(folder)
    listed = folder / "modules.json"
    if not listed.is_file():
        return found
    for module in json.loads(read_text(listed, 2**20)):
        kind, place = str(module["type"]).rpartition(".")[2], folder / str(module["path"])
        if not place.resolve().is_relative_to(folder.resolve()):
            raise LSCError(f"{listed} names a folder elsewhere: bring the model's own")
        if kind == "Transformer":
            found.transformer = place
        elif kind == "Pooling":
            found.pool = _pool(read_json(place / "config.json"), place)
        elif kind == "Normalize":
            found.normalize = True
        elif kind == "Dense":
            dense = read_json(place / "config.json")
            activation = str(dense.get("activation_function", "Tanh")).rpartition(".")[2]
            kept = {key: dense[key] for key in ("in_features", "out_features")}
            found.dense.append(
                {**kept, "bias": bool(dense.get("bias", True)), "activation": activation}
            )
            found.dense_folders.append(place)
        elif kind != "Dropout":
            raise LSCError(f"{listed} asks for {kind!r}, which is not known: choose another model")
    prompts = folder / "config_sentence_transformers.json"
    if prompts.is_file():
        told = read_json(prompts)
        default = told.get("default_prompt_name")
        found.prompt = str((told.get("prompts") or {}).get(default, "")) if default else ""
    return found


def _pool(config: dict[str, Any], place: Path) -> str:
    """One of `_POOLS`."""
    told = config.get("pooling_mode")
    names = [told] if isinstance(told, str) else list(told or ())
    names += [
        key.removeprefix("pooling_mode_").removesuffix("_tokens").removesuffix("_token")
        for key, value in config.items()
        if key.startswith("pooling_mode_") and value is True
    ]
    if len(names) != 1 or names[0] not in _POOLS:
        raise LSCError(
            f"{place} pools by {', '.join(map(str, names)) or 'nothing'}, which is not known: "
            "choose another model"
        )
    return str(names[0])


def _dense(told: Mapping[str, Any]) -> nn.Module:
    activation = _ACTIVATIONS.get(str(told["activation"]))
    if activation is None:
        raise LSCError(f"its layer's activation {told['activation']!r} is not known")
    linear = nn.Linear(int(told["in_features"]), int(told["out_features"]), bool(told["bias"]))
    return nn.Sequential(linear, activation())


def _load_dense(layer: nn.Module, place: Path) -> None:
    from safetensors.torch import load_file

    weights = load_file(place / "model.safetensors")
    layer.load_state_dict({k.replace("linear.", "0."): v for k, v in weights.items()})


def _built(config: dict[str, Any]) -> nn.Module:
    from transformers import AutoConfig, AutoModel
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

    kind = str(config.get("model_type", ""))
    if kind not in MODEL_FOR_MASKED_LM_MAPPING_NAMES:
        raise LSCError(f"{kind or 'it'} is no kind of text model that is built here")
    rest = {key: value for key, value in without_code(config).items() if key != "model_type"}
    models: Any = AutoModel
    model: nn.Module = models.from_config(
        AutoConfig.for_model(kind, **rest), trust_remote_code=False
    )
    return model.float()

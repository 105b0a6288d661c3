"""Tiny networks with random weights, in folders as their libraries write them."""

from __future__ import annotations

import json
from pathlib import Path

import torch


def timm_folder(folder: Path) -> Path:
    import timm
    from timm.models import save_for_hf

    args = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 1, "num_heads": 2}
    model = timm.create_model("vit_tiny_patch16_224", pretrained=False, num_classes=3, **args)
    save_for_hf(model, folder, model_args=args)
    return folder


def hf_folder(folder: Path, kind: str = "vit") -> Path:
    import transformers as t

    tiny = {"num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    sizes = {"hidden_size": 16, "image_size": 32, "patch_size": 8, **tiny}
    square = {"height": 32, "width": 32}
    if kind == "vit":
        model = t.ViTForImageClassification(t.ViTConfig(**sizes))
        processor = t.ViTImageProcessor(size=square)
    elif kind == "clip":
        words = {"hidden_size": 16, "vocab_size": 9, "bos_token_id": 1, "eos_token_id": 2, **tiny}
        model = t.CLIPModel(t.CLIPConfig(vision_config=sizes, text_config=words, projection_dim=8))
        processor = t.CLIPImageProcessor(size={"shortest_edge": 40}, crop_size=square)
    else:
        shape = {"hidden_sizes": [4, 4, 8, 16], "depths": [1, 1, 1, 1]}
        model = t.ConvNextForImageClassification(t.ConvNextConfig(**shape))
        processor = t.ConvNextImageProcessor(size={"shortest_edge": 32})
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def text_folder(folder: Path, *, pool: str = "mean", dense: bool = False) -> Path:
    """As sentence-transformers writes them."""
    import transformers as t
    from safetensors.torch import save_file
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"the cat dog sat ran on a mat road".split()]  # noqa: SIM905
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    t.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", model_max_length=16
    ).save_pretrained(folder)
    tiny = {"num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = t.BertConfig(vocab_size=len(words), hidden_size=16, **tiny)
    t.BertModel(config).save_pretrained(folder)
    types = ["Transformer", "Pooling", *(["Dense"] if dense else []), "Normalize"]
    modules = [
        {"path": "" if name == "Transformer" else f"{i}_{name}", "type": f"sentence.{name}"}
        for i, name in enumerate(types)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    told = {"word_embedding_dimension": 16, f"pooling_mode_{pool}": True}
    (folder / "1_Pooling/config.json").write_text(json.dumps(told))
    if dense:
        (folder / "2_Dense").mkdir()
        told = {"in_features": 16, "out_features": 8, "bias": False}
        told["activation_function"] = "torch.nn.modules.activation.Tanh"
        (folder / "2_Dense/config.json").write_text(json.dumps(told))
        weights = {"linear.weight": torch.randn(8, 16)}
        save_file(weights, folder / "2_Dense/model.safetensors")
    return folder

"""The files of a trained classifier: safetensors and JSON, no pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from lsc_continual.classifier.spec import ModelSpec
from lsc_continual.encoders.ready.base import architecture_of, local_name
from lsc_continual.errors import LSCError, inert
from lsc_continual.network.target_classifier import TargetClassifier
from lsc_continual.novelty import NoveltyDetector
from lsc_continual.storage.folders import not_sealed, write_folder

_FORMAT, _LATEST = 7, 9
READABLE = (3, 4, 5, 6, 7, 8, 9)
# 3 had no tables, and lists of all labels; 4 no random features; 5 no standardised ones; 6 no
# hidden layer; the first models of 7 do not say how wide theirs is. 8 are living models, whose
# labels are names, and hold a calibration; 9 are those that hold a solution instead, and all whose
# encoder is other people's.
DESCRIPTION, WEIGHTS = "model.json", "weights.safetensors"
CALIBRATION = "calibration.safetensors"
MEMORY = "memory.safetensors"  # of a living model
LEARNER = "learner.json", "state.json", "state.safetensors"
"""What a model that learns by replay keeps to go on from: settings and history; its state."""
TABLES = "targets.safetensors"  # the large parts of the target map, if it has any


def model_files(
    model: TargetClassifier,
    spec: ModelSpec,
    detector: NoveltyDetector | None = None,
    *,
    state: Mapping[str, Any] | None = None,
) -> dict[str, bytes]:
    """The content of a `model/` folder: specification, targets, weights, and the embeddings that
    the detector was calibrated on; large target maps are in a file of their own.

    Args:
        state: what a living model keeps to go on, and to calibrate itself: JSON types, and tensors
            in its part "memory".
    """
    weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    targets, tables = _without_tables(model.head.targets.to_dict())
    built = asdict(spec) | {"hidden": model.hidden_units}  # whatever becomes of the default
    if spec.depth is None:  # versions that do not know it can read the others
        del built["depth"]
    version = _FORMAT if state is None else _LATEST
    if architecture := architecture_of(model):
        version = _LATEST
        built |= {"encoder": local_name(spec.encoder), "architecture": architecture}
    else:
        del built["architecture"]
    description: dict[str, Any] = {"format": version, "spec": built, "targets": targets}
    memory: dict[str, Tensor] = {}
    if state is not None:
        plain = {k: v for k, v in state["memory"].items() if not isinstance(v, Tensor)}
        memory = {k: v for k, v in state["memory"].items() if k not in plain}
        description["life"] = {**state, "memory": plain}
    calibration = {}
    if detector is not None and detector.known is not None and detector.scale is not None:
        settings = {"score": detector.score_name, "fpr": detector.fpr}
        settings["per_class"] = detector.per_class
        description["detector"] = settings
        if detector.among_themselves:
            description["detector"] = settings | {"among_themselves": True}
        calibration = {
            "known": detector.known.cpu(),
            "reference": detector.known[:0].cpu()
            if detector.reference is None
            else detector.reference.cpu(),
            "scale": torch.tensor(detector.scale, dtype=torch.float64),
        }
    text = json.dumps(description, ensure_ascii=False)
    files = {
        DESCRIPTION: text.encode(),
        WEIGHTS: save(weights),
    }
    files |= {MEMORY: save(memory)} if memory else {CALIBRATION: save(calibration)}
    return files | ({TABLES: save(tables)} if tables else {})


def _without_tables(targets: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What `Targets.to_dict` said without the tensors in its parts, and these as "part.name"."""
    kept, tables = dict(targets), {}
    for part, content in targets.items():
        if isinstance(content, dict):
            kept[part] = {k: value for k, value in content.items() if not isinstance(value, Tensor)}
            tables.update({f"{part}.{k}": content[k] for k in content if k not in kept[part]})
    return kept, tables


def save_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Put a model in the place of what is in a folder, whole or not at all.

    Raises:
        LSCError: it cannot be written, or holds something else, which would be lost.
    """
    if other := not_sealed(folder):
        raise LSCError(
            f"{folder} holds something else than a model ({inert(other)}): choose another folder"
        )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        write_folder(folder, files)
    except OSError as error:
        raise LSCError(
            f"{folder} cannot be written ({error.strerror}): make room or choose another; what "
            "was there is as it was"
        ) from error

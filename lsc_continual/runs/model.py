"""A trained classifier on disk: safetensors and JSON, no pickle."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from lsc_continual.classifier import TargetClassifier
from lsc_continual.encoders import make_encoder
from lsc_continual.errors import LSCError, NotCalibratedError, first_line
from lsc_continual.heads import TargetHead
from lsc_continual.novelty import NoveltyDetector
from lsc_continual.runs.sealed import read_folder
from lsc_continual.systems import make_system
from lsc_continual.targets import Targets

_FORMAT = 2
_DESCRIPTION, _WEIGHTS, _DETECTOR = "model.json", "weights.safetensors", "detector.safetensors"


@dataclass
class ModelSpec:
    """Everything that is needed to build the network again."""

    encoder: str
    input_shape: tuple[int, int, int]
    class_names: list[str]
    """Name of each class label."""
    encoder_options: dict[str, Any] = field(default_factory=dict)
    mean: list[float] | None = None
    std: list[float] | None = None
    system: str = "v21"
    dim: int = 64
    head: dict[str, Any] = field(default_factory=dict)
    """Options of the `TargetHead`."""
    inverted: bool = False
    """Whether the network was trained on the negatives of image files."""

    def build(self, weights: str | None = None) -> TargetClassifier:
        """The untrained classifier."""
        encoder = make_encoder(
            self.encoder,
            self.input_shape,
            weights=weights,
            options=self.encoder_options,
            mean=self.mean,
            std=self.std,
        )
        model = TargetClassifier(
            encoder, TargetHead(make_system(self.system, self.dim), **self.head)
        )
        if not model.is_settled:
            model.settle(torch.zeros(1, *self.input_shape))
        return model


def model_files(model: TargetClassifier, spec: ModelSpec) -> dict[str, bytes]:
    """The content of a `model/` folder: specification, targets and weights."""
    weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    description = {"format": _FORMAT, "spec": asdict(spec), "targets": model.head.targets.to_dict()}
    text = json.dumps(description, ensure_ascii=False)
    return {_DESCRIPTION: text.encode(), _WEIGHTS: save(weights)}


def load_model(folder: str | Path) -> tuple[TargetClassifier, ModelSpec]:
    """The classifier that a run left in its `model/` folder, in evaluation mode, and its data.

    Args:
        folder: a `model/` folder or a run folder.

    Raises:
        LSCError: no model is there, it is damaged, or another version wrote it.
    """
    folder, files = _read(folder)
    try:
        description = json.loads(files[_DESCRIPTION])
        if description["format"] != _FORMAT:
            raise LSCError(
                f"the model in {folder} has format {description['format']}, this version reads "
                f"{_FORMAT}: use the version that wrote it"
            )
        stored = description["spec"]
        spec = ModelSpec(**{**stored, "input_shape": tuple(stored["input_shape"])})
        model = spec.build()
        model.load_state_dict(load(files[_WEIGHTS]))
        model.head.restore(Targets.from_dict(description["targets"]))
    except (ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        if isinstance(error, LSCError):
            raise
        raise LSCError(f"the model in {folder} is damaged: {first_line(error)}") from error
    return model.eval(), spec


def load_detector(
    folder: str | Path, head: TargetHead, score: str | None = None, fpr: float | None = None
) -> NoveltyDetector:
    """The novelty detector, calibrated on what the run left in its `model/` folder.

    Args:
        folder: a `model/` folder or a run folder.
        head: of the model in it.
        score: another novelty score than the run's.
        fpr: another false-alarm rate than the run's.

    Raises:
        NotCalibratedError: the run left nothing to calibrate on.
        LSCError: no model is there, it is damaged, or a wrong score or rate.
    """
    folder, files = _read(folder)
    if _DETECTOR not in files:
        raise NotCalibratedError(
            f"{folder} holds no calibration, so nothing says where the unknown begins: train the "
            "run again with this version"
        )
    detector = NoveltyDetector(head, score or "mass", 0.05 if fpr is None else fpr)
    return detector.calibrate(load(files[_DETECTOR])["embeddings"])


def _read(folder: str | Path) -> tuple[Path, dict[str, bytes]]:
    """The `model/` folder, and the files in it."""
    folder = Path(folder)
    if (folder / "model").is_dir():
        folder = folder / "model"
    if not (folder / _DESCRIPTION).is_file():
        raise LSCError(f"{folder} holds no model: {_DESCRIPTION} is missing")
    return folder, read_folder(folder)

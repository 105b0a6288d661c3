"""Run folders that earlier versions left are read, shown, and gone on with."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
from dataclasses import asdict
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console
from safetensors.torch import save
from torch import Tensor

from lsc_continual.compare.summary import figures_of
from lsc_continual.machine.interruption import InterruptedRunError
from lsc_continual.runs.checkpoints import Checkpoints
from lsc_continual.runs.configuration import read_stored, reopen, resolve
from lsc_continual.runs.metrics import RunMetrics
from lsc_continual.runs.progress import TrainingProgress
from lsc_continual.runs.report import render_report
from lsc_continual.runs.run import resume, run
from tests.runs.test_report import Page

# What the first version wrote.
CONFIG = """
seed: 0
scenario:
  name: split-digits
  experiences: 5
  increment: null
  base_classes: 0
  class_order: [4, 1, 7, 5, 3, 9, 0, 8, 6, 2]
data:
  root: data
  download: true
  mean: [0.305]
  std: [0.376]
strategy:
  name: lsc
system:
  name: v21
  dim: 16
allocation:
  name: affine
loss:
  name: softmax
  scale: 16.0
  unknown_prior: 0.01
  normalize: true
encoder:
  name: mlp
  weights: null
  options:
    width: 8
augment:
  rotate: 10.0
  translate: 0.1
  zoom: 0.1
  flip: false
replay:
  size: 200
  distillation: 1.0
train:
  epochs: 1
  batch_size: 32
  optimizer: adamw
  lr: 0.001
  weight_decay: 0.0001
  schedule: cosine
  device: auto
run:
  dir: RUN
"""
METRICS = """{"scenario": "split-digits", "strategy": "lsc", "seed": 0, "environment":
{"lsc_continual": "0.1.0", "python": "3.11.7", "torch": "2.14.1+cu130", "avalanche": "0.6.0",
"platform": "Linux x86_64", "processor": "AMD EPYC", "cpu_threads": 1, "device": "cpu"},
"experiences": [
{"classes": [4, 1], "accuracy_seen": 0.45, "accuracy_by_experience": [0.45],
"parameters": 736, "state_bytes": 2944, "train_seconds": 0.25, "images_per_second": 7617.28,
"novelty": {"mass": {"auroc": 0.5271, "fpr95": 0.8746, "oscr": 0.2518},
"max_cosine": {"auroc": 0.5543, "fpr95": 0.8523, "oscr": 0.2534}}},
{"classes": [7, 5], "accuracy_seen": 0.325, "accuracy_by_experience": [0.494, 0.1428],
"parameters": 736, "state_bytes": 2945, "train_seconds": 0.5, "images_per_second": 8486.20,
"novelty": {}}],
"final": {"last_accuracy": 0.325, "average_incremental_accuracy": 0.3875, "forgetting": -0.044}}
"""


def quiet() -> Console:
    return Console(file=StringIO(), width=200)


def metrics_of(folder: Path) -> dict[str, Any]:
    """Less the times."""
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    for entry in metrics["experiences"]:
        del entry["train_seconds"], entry["images_per_second"]
    return metrics


def leaves(node: Any, key: str = "") -> dict[str, Any]:
    if not isinstance(node, dict):
        return {key: node}
    parts = (leaves(value, f"{key}.{name}" if key else name) for name, value in node.items())
    return {name: value for part in parts for name, value in part.items()}


def test_metrics_without_later_figures_are_shown_and_compared(tmp_path: Path) -> None:
    words = Page(render_report(json.loads(METRICS), CONFIG)).words
    assert {"32.5%", "38.8%", "-4.4%", "4, 1", "49.4%", "0.527", "0.554", "7,617"} <= set(words)
    (tmp_path / "metrics.json").write_text(METRICS, encoding="utf-8")
    assert figures_of(RunMetrics.read(tmp_path / "metrics.json")) == {
        "last_accuracy": 0.325,
        "average_incremental_accuracy": 0.3875,
        "forgetting": pytest.approx(-0.044),
        "train_seconds": 0.75,
        "parameters": 736,
        "state_bytes": 2945,
    }


def test_settings_that_came_later_are_at_their_defaults(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG, encoding="utf-8")
    config = leaves(asdict(reopen(read_stored(tmp_path / "config.yaml"))))
    stored = leaves(yaml.safe_load(CONFIG))
    stored["scenario.class_order"] = list("4175390862")  # by names, as they are written now
    assert {key: config[key] for key in stored} == stored
    defaults = leaves(asdict(resolve(["encoder=mlp"])))
    later = config.keys() - stored.keys()
    assert {"novelty.score", "checkpoint.keep", "data.train_per_class"} <= later
    assert {key: config[key] for key in later} == {key: defaults[key] for key in later}


def test_a_run_of_the_first_version_is_gone_on_with(tmp_path: Path) -> None:
    text = CONFIG.replace("RUN", str(tmp_path / "run"))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "run" / "metrics.json").write_text(METRICS, encoding="utf-8")
    console = quiet()
    resume(tmp_path / "run", [], console)
    assert "there is no checkpoint yet: starting from the beginning" in console.file.getvalue()
    arrived = [set(entry["classes"]) for entry in metrics_of(tmp_path / "run")["experiences"]]
    assert arrived == [{4, 1}, {7, 5}, {3, 9}, {0, 8}, {6, 2}]


SETTINGS = [
    "encoder=mlp",
    "encoder.options.width=4",
    "encoder.options.depth=1",
    "system=v21",
    "system.dim=8",
    "replay.size=6",
    "novelty.holdout=0.2",
    "novelty.fpr=0.2",
    "data.train_per_class=30",
    "train.epochs=12",
    "train.batch_size=8",
    "train.lr=0.01",
    "train.device=cpu",
]


@pytest.fixture
def interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a run that SIGTERM stopped in the middle of its second experience."""
    after = TrainingProgress.after_training_iteration

    def stop(self: TrainingProgress, strategy: Any, **kwargs: Any) -> None:
        after(self, strategy, **kwargs)
        if strategy.clock.train_iterations == 100:
            os.kill(os.getpid(), signal.SIGTERM)

    folder = tmp_path / "interrupted"
    with monkeypatch.context() as patch:
        patch.setattr(TrainingProgress, "after_training_iteration", stop)
        with pytest.raises(InterruptedRunError):
            run(resolve([*SETTINGS, f"run.dir={folder}"]), quiet())
    return folder


def format_2(state: dict[str, Any]) -> dict[str, Any]:
    """What a checkpoint of format 2 says, for strategy=lsc, in its order."""

    def pick(part: dict[str, Any], names: str) -> dict[str, Any]:
        return {name: part[name] for name in names.split()}

    strategy = state["strategy"]
    plugins = strategy["plugins"]
    replay, calibration = plugins["EmbeddingReplay"], plugins["NoveltyCalibration"]
    recorder = state["recorder"]
    later = {"class_names", "accuracy_old", "accuracy_new"}
    reservoir = "seen_classes labels weights places generator"
    return {
        "format": 2,
        "state": {
            "experience": state["experience"],
            "trained": state["trained"],
            "strategy": {
                "model": pick(
                    strategy["model"],
                    "encoder.1.1.weight encoder.1.1.bias projection.weight projection.bias",
                ),
                "optimizer": pick(strategy["optimizer"], "state param_groups"),
                "scaler": {},
                "clock": pick(
                    strategy["clock"],
                    "train_iterations train_exp_counter train_exp_epochs train_exp_iterations "
                    "train_epoch_iterations total_iterations",
                ),
                "plugins": [
                    {
                        "buffer": pick(replay["buffer"], reservoir),
                        "teacher": pick(
                            replay["teacher"], "0.1.1.weight 0.1.1.bias 4.weight 4.bias"
                        ),
                        "taught": replay["taught"],
                    },
                    pick(
                        plugins["CosineDecay"],
                        "T_max eta_min base_lrs last_epoch _step_count _is_initial "
                        "_get_lr_called_within_step _last_lr",
                    ),
                    pick(plugins["TrainingProgress"], "images seconds"),
                    {
                        "store": pick(calibration["store"], reservoir),
                        "known": calibration["known"],
                        "reference": calibration["reference"],
                    },
                    pick(plugins["OpenWorldEvaluation"], "seen learned"),
                ],
                "random": [pick(strategy["random"][0], "python numpy torch cuda")],
                "skipped": [],
                "position": pick(strategy["position"], "seed epoch done"),
                "targets": {
                    "system": {"name": "v21", "dim": 8},
                    "allocation": {"name": "affine", "seed": 0, "count": 4},
                    "labels": [1, 4, 5, 7],
                },
            },
            "config": state["config"],
            "fingerprint": state["fingerprint"],
            "environment": state["environment"],
            "recorder": {
                "experiences": [
                    {key: value for key, value in entry.items() if key not in later}
                    for entry in recorder["experiences"]
                ],
                "results": [
                    pick(entry, "accuracy_seen accuracy_old accuracy_new accuracy_by_experience")
                    for entry in recorder["experiences"]
                ],
                "novelty_score": "auto",
                **pick(recorder, "unreadable_files seconds"),
            },
        },
    }


def packed(value: Any, tensors: dict[str, Tensor]) -> Any:
    """JSON in which dictionaries are lists of pairs, so that keys may be numbers."""
    if isinstance(value, Tensor):
        tensors[name := str(len(tensors))] = value.contiguous()
        return {"$tensor": name}
    if isinstance(value, dict):
        return {"$dict": [[key, packed(part, tensors)] for key, part in value.items()]}
    if isinstance(value, tuple):
        return {"$tuple": [packed(part, tensors) for part in value]}
    return [packed(part, tensors) for part in value] if isinstance(value, list) else value


def test_a_checkpoint_of_format_2_is_gone_on_from(tmp_path: Path, interrupted: Path) -> None:
    state = Checkpoints(interrupted / "checkpoints").latest()
    tensors: dict[str, Tensor] = {}
    text = json.dumps(packed(format_2(state), tensors), ensure_ascii=False)
    files = {"state.json": text.encode(), "tensors.safetensors": save(tensors)}
    seal = "".join(f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files))
    shutil.rmtree(interrupted / "checkpoints")
    folder = interrupted / "checkpoints" / "step-000000101"
    folder.mkdir(parents=True)
    for name, content in {**files, "SHA256SUMS": seal.encode()}.items():
        (folder / name).write_bytes(content)

    console = quiet()
    resume(interrupted, [], console)
    assert "going on with experience 2/5, epoch 5, after 5 batches" in console.file.getvalue()
    whole = run(resolve([*SETTINGS, f"run.dir={tmp_path / 'whole'}"]), quiet())
    assert metrics_of(interrupted) == metrics_of(whole)
    for name in ("model.json", "weights.safetensors", "calibration.safetensors"):
        assert (interrupted / "model" / name).read_bytes() == (whole / "model" / name).read_bytes()

"""One run: data in at one end, a run folder at the other."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from torch import nn
from torch.utils.tensorboard import SummaryWriter

from lsc_continual.catalog import STRATEGIES
from lsc_continual.errors import CapacityError, LSCError
from lsc_continual.novelty.evaluation import OpenWorldEvaluation, OpenWorldResult
from lsc_continual.runs.build import model_spec, pick_device
from lsc_continual.runs.environment import describe_environment
from lsc_continual.runs.folder import RunFolder, write_folder_atomically
from lsc_continual.runs.model import save_model
from lsc_continual.runs.progress import TrainingProgress, experience_line, result_table
from lsc_continual.runs.report import render_report
from lsc_continual.scenarios import class_order, experience_sizes, load_images, make_stream


def run(config: DictConfig, console: Console) -> Path:
    """Train and evaluate as configured; returns the run folder.

    Everything the user may have got wrong is refused before the folder is made. After each
    experience, metrics and the model are on disk.

    Raises:
        LSCError: something the user can mend.
    """
    device = pick_device(config.train.device)
    seed_everything(config.seed)
    data = load_images(config.scenario.name, config.data.root, config.data.download)
    data = data.limited(config.data.train_per_class)
    classes = len(data.class_names)
    scenario = config.scenario
    sizes = experience_sizes(
        classes, scenario.experiences, scenario.increment, scenario.base_classes
    )
    order = class_order(classes, scenario.class_order, config.seed)
    config.scenario.class_order = order  # so that config.yaml says all
    spec = model_spec(config, data)
    progress = TrainingProgress(console, len(sizes))
    evaluation = OpenWorldEvaluation()
    build = STRATEGIES.load(config.strategy.name)
    strategy = build(config, spec, device, [evaluation, progress])
    system = strategy.model.head.system
    config.loss.unknown_prior = strategy.model.head.unknown_prior
    if classes > system.size:
        raise CapacityError(
            f"{classes} classes do not fit {system.name!r} in {system.dim} dimensions, which holds "
            f"{system.size}: use system.dim={system.min_dim(classes)} or more"
        )
    stream = make_stream(data, order, sizes)

    name = f"{scenario.name}-{config.strategy.name}-seed{config.seed}"
    folder = RunFolder(config.run.dir, name)
    folder.write("config.yaml", OmegaConf.to_yaml(config))
    console.print(
        f"{scenario.name}: {classes} classes in {len(sizes)} experiences, {len(data.train):,} "
        f"training images; {system.size:,} targets of {system.name} in {system.dim} dimensions",
        soft_wrap=True,
        highlight=False,
    )

    metrics: dict[str, Any] = {
        "scenario": scenario.name,
        "strategy": config.strategy.name,
        "seed": config.seed,
        "environment": describe_environment(device),
        "experiences": [],
    }
    results: list[OpenWorldResult] = []
    start = time.perf_counter()
    with SummaryWriter(str(folder.path)) as events:
        for index, experience in enumerate(stream.train_stream):
            try:
                strategy.train(experience)
            except LSCError as error:
                kept = f"; what was learned before is in {folder.path}" if index else ""
                raise type(error)(f"{error}{kept}") from error
            finally:
                progress.close()
            strategy.eval(stream.test_stream)
            result = evaluation.result(index)
            results.append(result)
            arriving = [order[i] for i in range(sum(sizes[:index]), sum(sizes[: index + 1]))]
            metrics["experiences"].append(
                {
                    "classes": arriving,
                    "accuracy_seen": result.accuracy_seen,
                    "accuracy_by_experience": result.accuracy_by_experience,
                    "parameters": sum(p.numel() for p in strategy.model.parameters()),
                    "state_bytes": state_bytes(strategy.model),
                    "train_seconds": progress.seconds,
                    "images_per_second": progress.images_per_second,
                    "novelty": result.novelty,
                }
            )
            metrics["final"] = summarize(metrics["experiences"])
            folder.write_metrics(metrics)
            folder.keep_checkpoint(
                f"experience-{index + 1:03d}",
                lambda path: save_model(path, strategy.model, spec),
            )
            _log_events(events, index, result, progress)
            console.print(
                experience_line(index, len(sizes), result, progress.images_per_second),
                soft_wrap=True,
                highlight=False,
            )
    write_folder_atomically(folder.model, lambda path: save_model(path, strategy.model, spec))
    folder.write("report.html", render_report(metrics, OmegaConf.to_yaml(config)))

    final = metrics["final"]
    console.print(result_table(metrics, results))
    console.print(
        f"last accuracy {final['last_accuracy']:.2%}, average incremental accuracy "
        f"{final['average_incremental_accuracy']:.2%}, forgetting {final['forgetting']:.2%}, "
        f"{time.perf_counter() - start:.0f} s",
        soft_wrap=True,
        highlight=False,
    )
    console.print(f"run folder: {folder.path}", soft_wrap=True, highlight=False)
    return folder.path


def seed_everything(seed: int) -> None:
    """Seed Python, numpy and torch. On one machine, CPU runs are then reproducible to the bit."""
    random.seed(seed)
    np.random.seed(seed)  # Avalanche draws from the global generator
    torch.manual_seed(seed)


def state_bytes(model: nn.Module) -> int:
    """Bytes of all parameters and buffers."""
    return sum(t.numel() * t.element_size() for t in model.state_dict().values())


def summarize(experiences: list[dict[str, Any]]) -> dict[str, float]:
    """Last and average incremental accuracy, and forgetting.

    Forgetting is the mean, over all experiences but the last, of the best accuracy ever reached
    on an experience's classes less the accuracy at the end (Chaudhry et al., ECCV 2018).
    """
    seen = [entry["accuracy_seen"] for entry in experiences]
    rows = [entry["accuracy_by_experience"] for entry in experiences]
    lost = [max(row[j] for row in rows[j:-1]) - rows[-1][j] for j in range(len(rows) - 1)]
    return {
        "last_accuracy": seen[-1],
        "average_incremental_accuracy": sum(seen) / len(seen),
        "forgetting": sum(lost) / len(lost) if lost else 0.0,
    }


def _log_events(
    events: SummaryWriter, index: int, result: OpenWorldResult, progress: TrainingProgress
) -> None:
    """TensorBoard scalars, one point an experience."""
    scalars = {
        "accuracy/seen": result.accuracy_seen,
        "accuracy/new": result.accuracy_new,
        "speed/images_per_second": progress.images_per_second,
    }
    if result.accuracy_old is not None:
        scalars["accuracy/old"] = result.accuracy_old
    for name, quality in result.novelty.items():
        scalars |= {f"novelty/{name}/{key}": value for key, value in quality.items()}
    for name, value in scalars.items():
        events.add_scalar(name, value, index + 1)

"""Peers as the command line names them, from a configuration."""

from __future__ import annotations

from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn

from lsc_continual.catalog import PEERS
from lsc_continual.encoders import make_encoder
from lsc_continual.errors import LSCError, first_line
from lsc_continual.machine import distributed
from lsc_continual.machine.devices import pick_precision
from lsc_continual.runs.build import (
    make_augmentation,
    make_loading,
    make_optimizer,
    model_spec,
)
from lsc_continual.runs.progress import TrainingProgress
from lsc_continual.runs.stream import Stream
from lsc_continual.strategies.peers.batches import forwarded
from lsc_continual.strategies.peers.masking import LogitScores, MaskUnseen
from lsc_continual.strategies.peers.network import Features
from lsc_continual.strategies.peers.setup import Peer, Setup


def build_peer(
    config: DictConfig, stream: Stream, device: torch.device, progress: TrainingProgress
) -> Peer:
    """The peer of `strategy.name`, under the same conditions as `LSC`.

    Raises:
        LSCError: it cannot learn from such a stream or in such a way.
    """
    name = config.strategy.name
    if distributed.world_size() > 1:
        raise LSCError(f"strategy={name} trains in one process: start it without torchrun")
    precision = pick_precision(config.train.precision, device)
    if precision == "fp16":
        raise LSCError(f"strategy={name} has no train.precision=fp16: use bf16 or fp32")
    experiences = stream.benchmark.train_stream
    if not all(hasattr(part.dataset, "targets_task_labels") for part in experiences):
        raise LSCError(
            f"strategy={name} needs a benchmark with task labels, though all of them be 0, as "
            "Avalanche's nc_benchmark gives them"
        )
    spec = model_spec(config, stream)
    encoder = make_encoder(
        spec.encoder,
        spec.input_shape,
        weights=config.encoder.weights,
        options=spec.encoder_options,
        mean=spec.mean,
        std=spec.std,
    )
    if device.type == "cuda":
        encoder.to(memory_format=torch.channels_last)
    progress.count = forwarded

    def optimizer(model: nn.Module) -> Any:
        return make_optimizer(config, model)

    setup = Setup(
        features=Features(encoder, spec.input_shape, bf16=precision == "bf16"),
        classes=len(stream.class_names),
        make_optimizer=optimizer,
        batch_size=config.train.batch_size,
        epochs=config.train.epochs,
        memory_size=config.replay.size,
        pretrained=config.encoder.weights is not None,
        device=device,
        loading=make_loading(config, device),
        change=make_augmentation(config, stream.in_memory),
        cosine=config.train.schedule == "cosine",
        train_stream=experiences,
        progress=progress,
        options=OmegaConf.to_container(config.strategy.options),  # type: ignore[arg-type]
    )
    try:
        peer: Peer = PEERS.load(name)(setup)
    except AssertionError as error:  # how Avalanche refuses a combination of options
        raise LSCError(f"strategy.options do not fit {name}: {first_line(error)}") from error
    return peer


def add_scores(peer: Peer) -> tuple[Any, str]:
    """Novelty scores for a peer, and the name of the one that speaks for it.

    Those of the library pytorch-ood where it is installed, else msp and energy. Of its scores, vim
    and Mahalanobis distances are among the best (docs/novelty.md); vim needs a linear last layer.
    """
    mask = MaskUnseen()
    peer.strategy.plugins.append(mask)
    try:
        from lsc_continual.strategies.peers.ood_scores import BaselineScores
    except ModuleNotFoundError:
        return LogitScores(mask), "msp"
    scores = BaselineScores(peer.features, peer.classifier, peer.memory)
    peer.strategy.plugins.append(scores)
    return scores, "mahalanobis" if peer.classifier is None else "vim"

"""What several processes send each other at every step, as classes grow.

    torchrun --nproc-per-node=2 -m experiments distributed

Gradients are counted in bytes as DistributedDataParallel hands them over, for this package's
classifier and for the same encoder with a linear head.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from torch.nn.parallel import DistributedDataParallel

from experiments.outcome import Outcome, Row, Table
from experiments.settings import Settings, option
from lsc_continual import (
    StructuredSoftmaxLoss,
    TargetClassifier,
    TargetHead,
    make_encoder,
    make_system,
)
from lsc_continual.machine import distributed
from lsc_continual.strategies.parallel import replicate

TITLE = "What processes send each other, as classes grow"
PAGE = "docs/training.md"

_SHAPE, _BATCH = (3, 32, 32), 16


@dataclass(frozen=True)
class Options:
    """Under which encoder, and how many classes."""

    encoder: str = option("resnet-small", help="name of the encoder")
    classes: tuple[int, ...] = option((10, 1_000, 100_000), help="how many")


def measure(settings: Settings, options: Options) -> Outcome:
    """A row for each number of classes; alone, a process sends itself what it would send others."""
    distributed.start()
    if not dist.is_initialized():
        dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        rows = [_row(classes, options.encoder) for classes in options.classes]
        title = f"gradients a step, {options.encoder}, {distributed.world_size()} processes"
    finally:
        distributed.stop()
    return Outcome(tables=[Table(title, rows)])


def _row(classes: int, encoder: str) -> Row:
    torch.manual_seed(0)
    head = TargetHead(make_system("v21", dim=384), unknown_prior=1.0)
    head.add_classes(range(classes))
    ours = replicate(TargetClassifier(make_encoder(encoder, _SHAPE), head), torch.device("cpu"))
    body = make_encoder(encoder, _SHAPE)
    linear = nn.Sequential(body, nn.Linear(int(body.num_features), classes))  # type: ignore[arg-type]
    theirs = replicate(linear, torch.device("cpu"))
    return {
        "classes": classes,
        "targets, bytes": gradient_bytes(ours, StructuredSoftmaxLoss(), classes),
        "linear head, bytes": gradient_bytes(theirs, F.cross_entropy, classes),
    }


def gradient_bytes(
    replica: DistributedDataParallel, loss: Callable[[Any, Tensor], Tensor], classes: int
) -> int:
    """Bytes that one training step hands to the other processes."""
    sent: list[int] = []

    def counting(state, bucket):  # type: ignore[no-untyped-def]  # torch compares annotations, and
        sent.append(bucket.buffer().nbytes)  # does not know their text
        return allreduce_hook(None, bucket)  # type: ignore[arg-type]

    replica.register_comm_hook(None, counting)
    labels = torch.randint(classes, (_BATCH,))
    loss(replica(torch.rand(_BATCH, *_SHAPE)), labels).backward()
    return sum(sent)

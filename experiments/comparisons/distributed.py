"""What several processes send each other at every step, as classes grow.

    torchrun --nproc-per-node=2 benchmarks/distributed.py    # a table; --json FILE writes it too

Gradients are counted in bytes as DistributedDataParallel hands them over, for this package's
classifier and for the same encoder with a linear head.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from torch.nn.parallel import DistributedDataParallel

from lsc_continual import (
    StructuredSoftmaxLoss,
    TargetClassifier,
    distributed,
    make_encoder,
    make_system,
)
from lsc_continual.network.heads import TargetHead
from lsc_continual.strategies.parallel import replicate

SHAPE, BATCH = (3, 32, 32), 16


def gradient_bytes(
    replica: DistributedDataParallel, loss: Callable[[Any, Tensor], Tensor], classes: int
) -> int:
    """Bytes that one training step hands to the other processes."""
    sent: list[int] = []

    def counting(state, bucket):  # torch compares annotations, and does not know their text
        sent.append(bucket.buffer().nbytes)
        return allreduce_hook(None, bucket)

    replica.register_comm_hook(None, counting)
    labels = torch.randint(classes, (BATCH,))
    loss(replica(torch.rand(BATCH, *SHAPE)), labels).backward()
    return sum(sent)


def measure(classes: int, encoder: str) -> dict[str, int]:
    torch.manual_seed(0)
    head = TargetHead(make_system("v21", dim=384), unknown_prior=1.0)
    head.add_classes(range(classes))
    ours = replicate(TargetClassifier(make_encoder(encoder, SHAPE), head), torch.device("cpu"))
    body = make_encoder(encoder, SHAPE)
    linear = nn.Sequential(body, nn.Linear(body.num_features, classes))
    theirs = replicate(linear, torch.device("cpu"))
    return {
        "classes": classes,
        "targets, bytes": gradient_bytes(ours, StructuredSoftmaxLoss(), classes),
        "linear head, bytes": gradient_bytes(theirs, F.cross_entropy, classes),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoder", default="resnet-small")
    parser.add_argument("--classes", type=int, nargs="+", default=[10, 1_000, 100_000])
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    distributed.start()
    rows = [measure(classes, arguments.encoder) for classes in arguments.classes]
    if distributed.rank() == 0:
        title = f"gradients a step, {arguments.encoder}, {distributed.world_size()} processes"
        table = Table(title=title, title_justify="left")
        for column in rows[0]:
            table.add_column(column, justify="right")
        for row in rows:
            table.add_row(*(f"{value:,}" for value in row.values()))
        Console().print(table)
        if arguments.json:
            arguments.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    distributed.stop()


if __name__ == "__main__":
    main()

"""Embeddings of known and unknown inputs, made up."""

from __future__ import annotations

import torch

from lsc_continual import TargetHead, make_system


def make_head(classes: int = 8) -> TargetHead:
    torch.manual_seed(0)
    head = TargetHead(make_system("v21", 12), scale=12.0)
    head.add_classes(range(classes))
    return head


def embeddings(head: TargetHead, count: int, noise: float, known: bool) -> torch.Tensor:
    """Near owned targets, or in no particular place and shorter."""
    if not known:
        return 0.5 * torch.randn(count, head.system.dim)
    targets = head.targets.vectors(torch.randint(len(head.targets), (count,)))
    return 3 * targets + noise * torch.randn(count, head.system.dim)

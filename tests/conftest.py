"""Shared pieces: one thread, and a small stream of arriving classes."""

from __future__ import annotations

import pytest
import torch
from avalanche.benchmarks import nc_benchmark
from torch import nn

from lsc_continual.scenarios import StoredImages

torch.set_num_threads(1)  # small tensors gain nothing from more, and lose on a busy machine


def blobs(classes: int = 6, per_class: int = 40, features: int = 12, seed: int = 0):
    """Well separated clusters as 1×1 images with `features` channels."""
    generator = torch.Generator().manual_seed(seed)
    centres = 3 * torch.randn(classes, features, generator=generator)
    labels = torch.arange(classes).repeat_interleave(per_class)

    def draw() -> StoredImages:
        noise = torch.randn(len(labels), features, generator=generator)
        return StoredImages((centres[labels] + noise)[:, :, None, None], labels)

    return draw(), draw()


def make_blob_stream(experiences: int = 3, classes: int = 6, order: list[int] | None = None):
    train, test = blobs(classes)
    return nc_benchmark(
        train,
        test,
        n_experiences=experiences,
        task_labels=False,
        fixed_class_order=order or list(range(classes)),
    )


def make_encoder(features: int = 12) -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(features, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU()
    )


@pytest.fixture
def blob_stream():
    torch.manual_seed(0)
    return make_blob_stream()


@pytest.fixture
def encoder() -> nn.Module:
    torch.manual_seed(0)
    return make_encoder()

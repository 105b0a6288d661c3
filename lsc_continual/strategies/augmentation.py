"""Augmentation of whole training batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from avalanche.core import SupervisedPlugin
from torch import Tensor

from lsc_continual.experiences.loader import Step
from lsc_continual.experiences.plan import batch_seed
from lsc_continual.inputs.geometry import RandomGeometry
from lsc_continual.strategies.stages import Stage, Staged

_TOGETHER = 8  # images that share one draw of a torchvision transform


class BatchAugmentation(Staged, SupervisedPlugin, supports_distributed=True):  # type: ignore[call-arg]
    """Changes training batches at random, on their device.

    The draws depend on an image's place in the batch alone, so several processes that share a
    batch change its images as one process would.

    Args:
        transform: a `RandomGeometry`, which changes each image in its own way; or any transform of
            torchvision's, FloatTensor[images, channels, height, width] to the same. Those draw one
            set of random parameters a call, so the batch goes through in groups of eight: far
            cheaper than image by image, and nearly as varied over an epoch.
    """

    stage = Stage.LOADER

    def __init__(self, transform: RandomGeometry | Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.transform = transform

    def before_training_iteration(self, strategy: Any, **kwargs: Any) -> None:
        images = strategy.mbatch[0]
        step = getattr(strategy.dataloader, "step", None)
        if not isinstance(step, Step):
            # Other loaders put new and replayed images one after another; a shuffle mixes them.
            order = torch.randperm(len(images)).to(images.device)
            seed = int(torch.randint(2**62, ()))
            changed = self._changed(images[order], seed, 0, len(images))
            strategy.mbatch[0] = changed[order.argsort()]
        else:
            strategy.mbatch[0] = self._changed(images, step.seed, step.start, len(step.labels))

    def _changed(self, images: Tensor, seed: int, start: int, total: int) -> Tensor:
        if isinstance(self.transform, RandomGeometry):
            return self.transform(images, seed, start, total)
        first = min(_TOGETHER - start % _TOGETHER, len(images))
        sizes = [first] + [_TOGETHER] * ((len(images) - first) // _TOGETHER)
        sizes += [rest] if (rest := len(images) - sum(sizes)) else []
        parts = []
        with torch.random.fork_rng(devices=[]):
            for number, part in enumerate(images.split(sizes), start // _TOGETHER):
                torch.default_generator.manual_seed(batch_seed(seed, 0, number))
                parts.append(self.transform(part))
        return torch.cat(parts)

"""Augmentation of whole training batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from avalanche.core import SupervisedPlugin
from torch import Tensor

from lsc_continual.images.loader import Step
from lsc_continual.images.plan import batch_seed

_TOGETHER = 8  # images that share one draw of random parameters


class BatchAugmentation(SupervisedPlugin, supports_distributed=True):  # type: ignore[call-arg]
    """Applies a torchvision transform to training batches, on their device.

    Transforms draw one set of random parameters a call, so the batch goes through in groups of
    eight: far cheaper than image by image, and nearly as varied over an epoch.

    The draws depend on the place of a group in the batch alone, so several processes that share a
    batch change its images as one process would.

    Args:
        transform: FloatTensor[images, channels, height, width] to the same.
    """

    def __init__(self, transform: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.transform = transform

    def before_training_iteration(self, strategy: Any, **kwargs: Any) -> None:
        images = strategy.mbatch[0]
        step = getattr(strategy.dataloader, "step", None)
        if isinstance(step, Step):
            strategy.mbatch[0] = self._transformed(images, step.seed, step.start)
            return
        # Other loaders put new and replayed images one after another; a shuffle mixes them.
        order = torch.randperm(len(images)).to(images.device)
        changed = self._transformed(images[order], int(torch.randint(2**62, ())), 0)
        strategy.mbatch[0] = changed[order.argsort()]

    def _transformed(self, images: Tensor, seed: int, start: int) -> Tensor:
        first = min(_TOGETHER - start % _TOGETHER, len(images))
        sizes = [first] + [_TOGETHER] * ((len(images) - first) // _TOGETHER)
        sizes += [rest] if (rest := len(images) - sum(sizes)) else []
        parts = []
        with torch.random.fork_rng(devices=[]):
            for number, part in enumerate(images.split(sizes), start // _TOGETHER):
                torch.default_generator.manual_seed(batch_seed(seed, 0, number))
                parts.append(self.transform(part))
        return torch.cat(parts)

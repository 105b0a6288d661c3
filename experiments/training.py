"""The loop that the claims about training share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler

from experiments.data import Part

Loss = Callable[[Tensor, Tensor], Tensor]
"""(The model's output, labels) -> a number."""


@dataclass(frozen=True)
class Recipe:
    """How a network is trained: AdamW on shuffled batches.

    Args:
        decay: of the weights.
        cosine: whether the learning rate falls to 0 along a cosine; else it is constant.
    """

    epochs: int
    batch_size: int = 128
    lr: float = 1e-3
    decay: float = 0.0
    cosine: bool = True


def train(
    model: nn.Module,
    loss: Loss,
    part: Part,
    recipe: Recipe,
    *,
    seed: int,
    augment: Callable[[Tensor, int], Tensor] | None = None,
    optimizer: torch.optim.Optimizer | None = None,
) -> Iterator[int]:
    """Train; yields the number of epochs done after each, so that the caller can look.

    Args:
        augment: (images, seed of the draws) -> images, for example a `RandomGeometry`.
        optimizer: instead of AdamW over all parameters.
    """
    optimizer = optimizer or torch.optim.AdamW(
        model.parameters(), lr=recipe.lr, weight_decay=recipe.decay
    )
    scheduler: LRScheduler | None = None
    steps = -(-len(part.labels) // recipe.batch_size)
    if recipe.cosine:
        scheduler = CosineAnnealingLR(optimizer, recipe.epochs * steps)
    shuffle = torch.Generator().manual_seed(seed)
    step = 0
    for epoch in range(recipe.epochs):
        model.train()
        order = torch.randperm(len(part.labels), generator=shuffle).to(part.labels.device)
        for rows in order.split(recipe.batch_size):
            images, labels = part.rows(rows)
            if augment is not None:
                images = augment(images, hash((seed, step)) % 2**31)
            optimizer.zero_grad()
            loss(model(images), labels).backward()
            optimizer.step()
            if scheduler is not None:
                scheduler.step()
            step += 1
        yield epoch + 1


@torch.no_grad()
def outputs(model: Callable[[Tensor], Tensor], images: Tensor, batch: int = 1000) -> Tensor:
    """What a model in evaluation mode makes of many images, batch by batch."""
    if isinstance(model, nn.Module):
        model.eval()
    return torch.cat([model(some) for some in images.split(batch)])


def predictions(model: nn.Module, images: Tensor) -> Tensor:
    """Labels: the arg-max of outputs, which beyond the dense classes of a head are labels already.

    FloatTensor[count, …] -> LongTensor[count].
    """
    output = outputs(model, images)
    return output if output.ndim == 1 else output.argmax(1)


def accuracy(predicted: Tensor, labels: Tensor) -> float:
    """In percent."""
    return 100 * (predicted == labels).double().mean().item()


def accuracy_on(part: Part, model: nn.Module) -> float:
    """Of a model's predictions, in percent."""
    return accuracy(predictions(model, part.images), part.labels)


class Identity(nn.Flatten):
    """An encoder of which nothing remains: Tensor[batch, width, 1, 1] -> Tensor[batch, width]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.num_features = width

"""One pass of a strategy's network over a data set, in evaluation mode."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lsc_continual.errors import LSCError
from lsc_continual.machine import distributed


@contextmanager
def explained(images: Tensor, shape: torch.Size | None) -> Iterator[None]:
    """Say in a sentence why images do not go through a network, where it is known.

    Args:
        images: the batch.
        shape: of those that went through before.

    Raises:
        LSCError: they have another shape; or there is one, too few for batch normalisation.
    """
    try:
        yield
    except (RuntimeError, ValueError) as error:
        if shape is not None and images.shape[1:] != shape:
            raise LSCError(
                f"images of shape {tuple(images.shape[1:])} do not go through a network that was "
                f"trained on {tuple(shape)}: bring all to one shape"
            ) from error
        if len(images) == 1 and "more than 1 value per channel" in str(error):
            raise LSCError(
                "a batch of a single image cannot be trained on, as the network has batch "
                "normalisation: raise the batch size, or add images to the experience"
            ) from error
        raise


class Passed(NamedTuple):
    """A batch that went through the network."""

    images: Tensor
    labels: Tensor
    """LongTensor[batch], on the device of the images."""
    output: Tensor
    samples: Tensor
    """Where the batch stands in the data set, LongTensor[batch] on the CPU."""


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode; the mode that was before comes back."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def passes(
    strategy: Any, dataset: Any, network: Callable[[Tensor], Tensor] | None = None
) -> Iterator[Passed]:
    """A data set batch by batch through a network, changed as for evaluation.

    Of several processes, each takes a part of it; `gathered` puts the parts together.

    Args:
        strategy: of this package, whose loader is used, or any other of Avalanche's.
        network: images to outputs; by default the strategy's own forward pass, whose output need
            not be that of its model.
    """
    if not len(dataset):
        return
    own, done = hasattr(strategy, "batches"), 0
    loader: Any = (
        strategy.batches(dataset.eval())
        if own
        else DataLoader(dataset.eval(), batch_size=strategy.eval_mb_size)
    )
    with evaluating(strategy.model):
        for batch in loader:
            images, labels = (part.to(strategy.device) for part in batch[:2])
            if network is None:
                strategy.mbatch = [images, labels, torch.zeros_like(labels)]
            with torch.no_grad():
                output = strategy.forward() if network is None else network(images)
            samples = loader.samples if own else torch.arange(done, done + len(labels))
            yield Passed(images, labels, output, samples)
            done += len(labels)


def gathered(parts: Sequence[Tensor], samples: Sequence[Tensor]) -> Tensor:
    """Parts of all processes in the order of the data set: [count, …] on the CPU.

    Args:
        parts: one for each batch, [batch, …]; at least one, which may be empty.
        samples: where each batch stands in the data set.
    """
    order = distributed.joined(torch.cat([torch.zeros(0).long(), *samples])).argsort()
    return distributed.joined(torch.cat(list(parts)).cpu())[order]

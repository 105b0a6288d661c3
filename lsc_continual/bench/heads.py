"""Ways to compare embeddings with classes in training: a step each of loss and gradient.

`python -m lsc_continual.bench.heads HEAD SYSTEM DIM CLASSES THREADS` prints the bytes that a head
and its training steps take, in a process of its own.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from lsc_continual.bench.memory import Peak
from lsc_continual.errors import unknown_name
from lsc_continual.network.heads import TargetHead
from lsc_continual.systems import VectorSystem, make_system

BATCH = 256
_STEPS = 2
_WARM_UP_CLASSES = 300


class Head(ABC):
    """What lies between embeddings and a loss, for a number of classes; here without parameters.

    Args:
        system: of the targets; the others take its dimension only.
        classes: how many.
        device: where parameters live.
    """

    name: ClassVar[str]
    parameters = 0
    """How many numbers the head learns."""

    @abstractmethod
    def __init__(self, system: VectorSystem, classes: int, device: torch.device) -> None:
        pass

    @staticmethod
    def bytes_needed(classes: int, dim: int) -> int:
        """Bytes of parameters, gradients and temporary tables in a step."""
        return 0

    @abstractmethod
    def loss(self, z: Tensor, labels: Tensor) -> Tensor:
        """FloatTensor[batch, dim], LongTensor[batch] -> a number."""

    def step(self, z: Tensor, labels: Tensor) -> None:
        """Loss and gradients, of the embeddings and of the head's parameters."""
        z.grad = None
        self.loss(z, labels).backward()

    def update(self) -> None:  # noqa: B027 — nothing to do where there are no parameters
        """One step of SGD on the head's parameters, by their latest gradients."""


class StructuredSoftmax(Head):
    """Exact cross-entropy against every vector of the system."""

    name = "structured softmax"

    def __init__(self, system: VectorSystem, classes: int, device: torch.device) -> None:
        self._head = TargetHead(system, unknown_prior=1.0)
        self._head.add_classes(range(classes))

    def loss(self, z: Tensor, labels: Tensor) -> Tensor:
        return -self._head.log_prob(z, labels).mean()


class LinearHead(Head):
    """A weight vector a class, and the cross-entropy of their inner products."""

    name = "linear head"

    def __init__(self, system: VectorSystem, classes: int, device: torch.device) -> None:
        weight = torch.empty(classes, system.dim, device=device)
        self.weight = weight.normal_(std=system.dim**-0.5).requires_grad_()
        self.parameters = weight.numel()

    @staticmethod
    def bytes_needed(classes: int, dim: int) -> int:
        return 4 * classes * (2 * dim + 3 * BATCH)

    def loss(self, z: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(z @ self.weight.T, labels)

    def step(self, z: Tensor, labels: Tensor) -> None:
        self.weight.grad = None
        super().step(z, labels)

    def update(self) -> None:
        assert self.weight.grad is not None
        with torch.no_grad():
            self.weight.add_(self.weight.grad, alpha=-1e-3)


class ArcFace(LinearHead):
    """Cosines with an additive angular margin (Deng et al., arXiv 1801.07698)."""

    name = "ArcFace head"
    scale, margin = 64.0, 0.5

    @staticmethod
    def bytes_needed(classes: int, dim: int) -> int:
        return 4 * classes * (4 * dim + 4 * BATCH)

    def loss(self, z: Tensor, labels: Tensor) -> Tensor:
        cosines = F.normalize(z, dim=-1) @ F.normalize(self.weight, dim=-1).T
        own = labels.unsqueeze(-1)
        angle = cosines.gather(-1, own).clamp(-1 + 1e-6, 1 - 1e-6).acos()
        logits = cosines.scatter(-1, own, (angle + self.margin).cos())
        return F.cross_entropy(self.scale * logits, labels)


class SampledSoftmax(LinearHead):
    """The classes of the batch and others drawn at random, a tenth of all together.

    The idea of Partial FC (An et al., arXiv 2203.15565); only the drawn rows get a gradient.
    """

    name = "sampled softmax, 10 %"
    share = 0.1

    @staticmethod
    def bytes_needed(classes: int, dim: int) -> int:
        return 4 * classes * dim + int(0.1 * 4 * classes * (2 * dim + 3 * BATCH)) + 16 * classes

    def loss(self, z: Tensor, labels: Tensor) -> Tensor:
        lottery = torch.rand(len(self.weight), device=z.device)
        lottery[labels] = 2.0  # is always drawn
        count = max(int(self.share * len(lottery)), len(labels.unique()))
        self._drawn = lottery.topk(count).indices.sort().values
        self._rows = self.weight.detach()[self._drawn].requires_grad_()
        return F.cross_entropy(z @ self._rows.T, torch.searchsorted(self._drawn, labels))

    def update(self) -> None:
        assert self._rows.grad is not None
        with torch.no_grad():
            self.weight.index_add_(0, self._drawn, self._rows.grad, alpha=-1e-3)


HEADS: dict[str, type[Head]] = {
    head.name: head for head in (StructuredSoftmax, LinearHead, ArcFace, SampledSoftmax)
}


def make_head(name: str, system: VectorSystem, classes: int, device: torch.device) -> Head:
    """The head `name` of `HEADS`, its parameters drawn at random.

    Raises:
        LSCError: unknown name.
    """
    if name not in HEADS:
        raise unknown_name("head", name, HEADS)
    torch.manual_seed(0)
    return HEADS[name](system, classes, device)


def make_batch(system: VectorSystem, classes: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Embeddings with a gradient, FloatTensor[BATCH, dim], and labels, LongTensor[BATCH]."""
    draw = torch.Generator().manual_seed(1)
    z = torch.randn(BATCH, system.dim, generator=draw).to(device).requires_grad_()
    return z, torch.randint(classes, (BATCH,), generator=draw).to(device)


def _print_peak(name: str, system_name: str, dim: str, classes: str, threads: str) -> None:
    torch.set_num_threads(int(threads))
    system, device = make_system(system_name, int(dim)), torch.device("cpu")

    def train(classes: int) -> None:
        head, batch = make_head(name, system, classes, device), make_batch(system, classes, device)
        for _ in range(_STEPS):
            head.step(*batch)
            head.update()

    train(_WARM_UP_CLASSES)  # libraries, compiled loops and pools of threads are not counted
    peak = Peak()
    train(int(classes))
    print(peak.bytes())


if __name__ == "__main__":
    _print_peak(*sys.argv[1:])

"""Training as in arXiv 2510.04090: embeddings are led to vectors that were chosen beforehand."""

from __future__ import annotations

import time
from dataclasses import dataclass
from math import pi
from statistics import mean

import torch
import torch.nn.functional as F
from safetensors.torch import save
from torch import Tensor, nn
from torchvision.models import VisionTransformer

from lsc_continual import (
    CosineLoss,
    EuclideanLoss,
    StructuredSoftmaxLoss,
    TargetHead,
    make_encoder,
    make_system,
)
from lsc_continual.network.heads import origin_of
from lsc_continual.network.target_classifier import TargetClassifier
from lsc_continual.systems import PermutationSystem, VectorSystem
from reproduce.data import Part
from reproduce.many_classes import ManyClasses
from reproduce.outcome import Settings
from reproduce.training import Loss, Recipe, accuracy, outputs, train

_DIM = 384  # the width of a small vision transformer
_L2 = 1e-3
_PERTURBATION = 0.25


class PerturbedRoots(PermutationSystem):
    """A_n whose vectors are moved a little in random directions, and brought back to length 1.

    The noise of an address comes from random Fourier features of it, so no table is needed.
    Decoding names the nearest of the vectors before they were moved: noise of a quarter of their
    length turns them by 14°, and half the angle between neighbours is 30°.

    Args:
        scale: length of the noise, in the mean square.
    """

    def __init__(self, dim: int, scale: float, seed: int = 0) -> None:
        super().__init__("v11", dim, 1, 1)
        self._scale = scale
        generator = torch.Generator().manual_seed(seed)
        draws = torch.rand(2, dim, generator=generator, dtype=torch.float64)
        self._frequency, self._phase = 2 * pi * draws

    def vectors(self, addresses: Tensor) -> Tensor:
        exact = super().vectors(addresses)
        frequency, phase = self._frequency.to(exact.device), self._phase.to(exact.device)
        noise = (addresses.unsqueeze(-1) * frequency + phase).sin() * (2 / self.dim) ** 0.5
        return F.normalize(exact + self._scale * noise.to(exact), dim=-1)


class EmbeddingPenalty(nn.Module):
    """A loss plus the weighted mean of ‖z‖² over the embeddings z of the batch."""

    def __init__(self, loss: Loss, weight: float) -> None:
        super().__init__()
        self.loss = loss
        self.weight = weight

    def forward(self, output: Tensor, labels: Tensor) -> Tensor:
        norms = origin_of(output).embedding.square().sum(-1)
        return self.loss(output, labels) + self.weight * norms.mean()


_LOSSES: dict[str, Loss] = {
    "cosine": CosineLoss(),
    "Euclidean": EuclideanLoss(),
    "Euclidean, long start": EuclideanLoss(),
    "cosine + L2": EmbeddingPenalty(CosineLoss(), _L2),
    "structured softmax": StructuredSoftmaxLoss(),
}


@dataclass(frozen=True)
class Trial:
    """One network, trained on one set.

    Args:
        shown: how many of the classes there are images of in training, evenly spread among all;
            the others own targets too, and are possible answers.
        epochs: passes over the images of the classes shown.
        images: in an epoch; classes are repeated where that is more than are shown.
    """

    data: ManyClasses
    classes: int
    shown: int
    epochs: int
    images: int
    network: str = "CNN"
    targets: str = "A_n, shuffled"
    loss: str = "cosine"

    @property
    def system(self) -> VectorSystem:
        """Where targets come from; interpolated A_n where A_n has fewer vectors than classes."""
        if self.targets == "V21":
            return make_system("v21", _DIM)
        if self.targets == "A_n, perturbed":
            return PerturbedRoots(_DIM, _PERTURBATION)
        roots = make_system("a", _DIM)
        return roots if roots.size >= self.classes else make_system("a-interpolated", _DIM)

    def model(self, settings: Settings) -> TargetClassifier:
        """The network before training; its classes own their targets."""
        head = TargetHead(
            self.system,
            allocation="affine" if self.targets == "V21" else "random",
            unknown_prior=1.0,  # the structured softmax then never looks at single classes
            dense_classes=0,  # no column for any class, and so the same steps for any number
        )
        head.add_classes(range(self.classes))
        if self.network == "ViT":
            encoder = _vision_transformer(self.data.shape, settings)
        else:
            options = {"width": settings.pick(8, 64), "pool": 7}
            encoder = make_encoder("resnet-small", self.data.shape, options=options)
        model = TargetClassifier(encoder, head, standardize=True, hidden=0)
        if self.loss == "Euclidean":
            # torch draws weights of variance 1/(3·features), by which embeddings of standardised
            # features begin √(dim/3) long. Now they begin as long as the vectors.
            with torch.no_grad():
                model.projection.weight.mul_((3 / _DIM) ** 0.5)
        return model.to(settings.device)

    def run(self, settings: Settings) -> Result:
        """Train and test, as often as there are seeds."""
        runs = [self._run(settings, seed) for seed in range(settings.seeds)]
        return Result(self, *map(mean, zip(*runs)))

    def _run(self, settings: Settings, seed: int) -> tuple[float, ...]:
        torch.manual_seed(seed)
        model = self.model(settings)
        shown = torch.arange(self.shown, device=settings.device) * self.classes // self.shown
        repeated = shown.repeat(-(-self.images // self.shown))
        recipe = Recipe(self.epochs, batch_size=settings.pick(64, 512), lr=3e-3, decay=0.01)
        start = time.perf_counter()
        # Class numbers become images where images are augmented: no more than a batch at a time.
        numbers = Part(repeated, repeated)
        augment = self.data.training
        for _ in train(model, _LOSSES[self.loss], numbers, recipe, seed=seed, augment=augment):
            pass
        seconds = time.perf_counter() - start
        order = torch.randperm(self.shown, generator=torch.Generator().manual_seed(seed))
        sample = shown[order[: settings.pick(500, 10_000)].to(shown.device)]
        model.eval()
        return (
            accuracy(outputs(lambda some: model(self.data.training(some, seed)), sample), sample),
            accuracy(outputs(lambda some: model(self.data.test(some, seed)), sample), sample),
            self.epochs * len(repeated) / seconds,
            sum(parameter.numel() for parameter in model.parameters()),
            len(save(model.state_dict())),
            model.projection.in_features,
        )


@dataclass(frozen=True)
class Result:
    """Of a trial, averaged over seeds.

    Args:
        training, test: accuracy in percent on a sample of the classes shown; all are answers.
        rate: images a second in training.
        parameters, state_bytes: of the whole network; bytes of its state in safetensors.
        features: from which the embedding is computed.
    """

    trial: Trial
    training: float
    test: float
    rate: float
    parameters: float
    state_bytes: float
    features: float


def _vision_transformer(shape: tuple[int, int, int], settings: Settings) -> nn.Module:
    """torchvision's, small; its features are those of the class token."""
    channels, side, _ = shape
    patch, width = settings.pick(7, 4), settings.pick(128, 384)
    layers, heads = settings.pick(2, 6), settings.pick(4, 6)
    encoder = VisionTransformer(side, patch, layers, heads, width, 2 * width)
    encoder.conv_proj = nn.Conv2d(channels, width, patch, patch)  # it is made for three channels
    encoder.heads = nn.Identity()
    encoder.num_features = width
    return encoder

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

from experiments.data import Part
from experiments.endless import ManyClasses
from experiments.settings import Settings, option
from experiments.training import Loss, Recipe, accuracy_on, train
from lsc_continual import (
    CosineLoss,
    EuclideanLoss,
    StructuredSoftmaxLoss,
    TargetHead,
    make_encoder,
    make_system,
)
from lsc_continual.bench.train import vision_transformer
from lsc_continual.network.heads import origin_of
from lsc_continual.network.target_classifier import TargetClassifier
from lsc_continual.systems import PermutationSystem, VectorSystem

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
        super().__init__("v11", dim)
        self._scale = scale
        generator = torch.Generator().manual_seed(seed)
        draws = torch.rand(2, dim, generator=generator, dtype=torch.float64)
        self._frequency, self._phase = 2 * pi * draws

    def vectors(self, addresses: Tensor) -> Tensor:
        exact = super().vectors(addresses)
        frequency, phase = self._frequency.to(exact.device), self._phase.to(exact.device)
        noise = (addresses.unsqueeze(-1) * frequency + phase).sin() * (2 / self.dim) ** 0.5
        return F.normalize(exact + self._scale * noise.to(exact), dim=-1)


def _short_cosine(output: Tensor, labels: Tensor) -> Tensor:
    """The cosine loss plus a weighted mean of ‖z‖² over the embeddings z of the batch."""
    norms = origin_of(output).embedding.square().sum(-1)
    loss: Tensor = CosineLoss()(output, labels)
    return loss + _L2 * norms.mean()


_LOSSES: dict[str, Loss] = {
    "cosine": CosineLoss(),
    "Euclidean": EuclideanLoss(),
    "Euclidean, long start": EuclideanLoss(),
    "cosine + L2": _short_cosine,
    "structured softmax": StructuredSoftmaxLoss(),
}


@dataclass(frozen=True)
class Sizes:
    """How large networks and batches are, and how many images are tested."""

    width: int = option(8, 64)  # of the convolutions
    patch: int = option(7, 4)  # of the vision transformer, as the following three
    tokens: int = option(128, 384)
    layers: int = option(2, 6)
    heads: int = option(4, 6)
    batch_size: int = option(64, 512)
    tested: int = option(500, 10_000)


@dataclass(frozen=True)
class Training:
    """One network, what it is trained on and led to.

    Args:
        of: name of the set.
        shown: how many of the classes there are images of in training, evenly spread among all;
            the others own targets too, and are possible answers.
        epochs: passes over the images of the classes shown.
        images: in an epoch; classes are repeated where that is more than are shown.
        fresh: whether every step has other images of a class, rather than number 0.
    """

    of: str
    data: ManyClasses
    classes: int
    shown: int
    epochs: int
    images: int
    network: str = "CNN"
    targets: str = "A_n, shuffled"
    loss: str = "cosine"
    fresh: bool = False

    @property
    def system(self) -> VectorSystem:
        """Where targets come from; interpolated A_n where A_n has fewer vectors than classes."""
        if self.targets == "V21":
            return make_system("v21", _DIM)
        if self.targets == "A_n, perturbed":
            return PerturbedRoots(_DIM, _PERTURBATION)
        roots = make_system("a", _DIM)
        return roots if roots.size >= self.classes else make_system("a-interpolated", _DIM)

    def model(self, sizes: Sizes) -> TargetClassifier:
        """The network before training; its classes own their targets."""
        head = TargetHead(
            self.system,
            allocation="affine" if self.targets == "V21" else "random",
            unknown_prior=1.0,  # the structured softmax then never looks at single classes
            dense_classes=0,  # no column for any class, and so the same steps for any number
        )
        head.add_classes(range(self.classes))
        if self.network == "ViT":
            encoder = _vision_transformer(self.data.shape, sizes)
        else:
            options = {"width": sizes.width, "pool": 7}
            encoder = make_encoder("resnet-small", self.data.shape, options=options)
        model = TargetClassifier(encoder, head, standardize=True, hidden=0)
        if self.loss == "Euclidean":
            # torch draws weights of variance 1/(3·features), by which embeddings of standardised
            # features begin √(dim/3) long. Now they begin as long as the vectors.
            with torch.no_grad():
                model.projection.weight.mul_((3 / _DIM) ** 0.5)
        return model

    def measure(self, settings: Settings, sizes: Sizes) -> Trained:
        """Train and test, as often as there are seeds."""
        runs = [self._once(settings.device, sizes, seed) for seed in range(settings.seeds)]
        return Trained(**vars(self) | {name: mean(run[name] for run in runs) for name in runs[0]})

    def _once(self, device: torch.device, sizes: Sizes, seed: int) -> dict[str, float]:
        """What `Trained` says beyond this."""
        torch.manual_seed(seed)
        model = self.model(sizes).to(device)
        shown = torch.arange(self.shown, device=device) * self.classes // self.shown
        repeated = shown.repeat(-(-self.images // self.shown))
        recipe = Recipe(self.epochs, batch_size=sizes.batch_size, lr=3e-3, decay=0.01)
        start = time.perf_counter()

        # Labels become images where images are augmented: no more than a batch at a time.
        def images(labels: Tensor, draw: int) -> Tensor:
            return self.data(labels, draw if self.fresh else 0)

        part = Part(repeated, repeated)
        for _ in train(model, _LOSSES[self.loss], part, recipe, seed=seed, augment=images):
            pass
        seconds = time.perf_counter() - start
        order = torch.randperm(self.shown, generator=torch.Generator().manual_seed(seed))
        sample = shown[order[: sizes.tested].to(shown.device)]

        def tested(number: int) -> float:
            return accuracy_on(Part(self.data(sample, number), sample), model)

        return {
            "accuracy": tested(seed if self.fresh else 0),
            "test": tested(-1 - seed),
            "rate": self.epochs * len(repeated) / seconds,
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "state_bytes": len(save(model.state_dict())),
            "features": model.projection.in_features,
        }


@dataclass(frozen=True, kw_only=True)
class Trained(Training):
    """A training, and what became of it, averaged over seeds.

    Args:
        accuracy, test: in percent on a sample of the classes shown, on images of training and on
            others; all classes are possible answers.
        rate: images a second in training.
        parameters, state_bytes: of the whole network; bytes of its state in safetensors.
        features: from which the embedding is computed.
    """

    accuracy: float
    test: float
    rate: float
    parameters: float
    state_bytes: float
    features: float


def _vision_transformer(shape: tuple[int, int, int], sizes: Sizes) -> nn.Module:
    """torchvision's, small; its features are those of the class token."""
    channels, side, _ = shape
    patch, width = sizes.patch, sizes.tokens
    encoder = vision_transformer(side, patch, sizes.layers, sizes.heads, width, 2 * width)
    encoder.conv_proj = nn.Conv2d(channels, width, patch, patch)  # it is made for three channels
    return encoder

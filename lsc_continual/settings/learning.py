"""Settings of what learns: strategy, targets, network, training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lsc_continual.settings.fields import Part, setting

LEAST_DIM, _MOST_DIM = 384, 4096
"""Dimensions of the embeddings, as far as they follow from the number of classes."""


@dataclass(frozen=True)
class StrategySettings:
    """What learns."""

    name: str = setting("lsc", "The strategy.", names="strategy")
    options: dict[str, Any] = setting(
        dict,
        "Options of the strategy itself, such as strategy.options.alpha=0.5 for der.",
        free=True,
    )


@dataclass(frozen=True)
class SystemSettings:
    """The vector system that targets come from."""

    name: str = setting("frame-v21", "The vector system.", names="system")
    dim: int | None = setting(
        None,
        "Dimensions of the embeddings; by default 384, and of a frame-… system as many as the "
        "scenario has classes, between 384 and 4,096.",
        least=1,
    )

    def dim_for(self, classes: int) -> int:
        """The dimensions for a scenario of some classes."""
        if self.dim is not None:
            return self.dim
        framed = self.name.startswith("frame-")
        return min(max(classes, LEAST_DIM), _MOST_DIM) if framed else LEAST_DIM


@dataclass(frozen=True)
class AllocationSettings:
    """The rule for fresh targets."""

    name: str = setting("affine", "How an arriving class gets its target.", names="allocation")


@dataclass(frozen=True)
class LossSettings:
    """What pulls embeddings onto targets."""

    name: str = setting("softmax", "The loss.", names="loss")
    scale: float | None = setting(
        None,
        "The head's scale (inverse temperature); by default 16, or 4 ln(classes) if more.",
        least=1e-6,
        most=600,
    )
    unknown_prior: float | None = setting(
        None,
        "Weight ω of the targets that no class owns; by default 25 divided by their number.",
        least=0,
        most=1,
    )
    normalize: bool = setting(True, "Whether directions alone are compared.")
    collapse: str | None = setting(
        None,
        "Growing penalty on raw embeddings (Latent Point Collapse), for loss.normalize=false or "
        "loss=euclidean; by default none.",
        names="collapse penalty",
    )


@dataclass(frozen=True)
class EncoderSettings:
    """The network up to its features."""

    name: str = setting("auto", "The encoder.", names="encoder")
    weights: str | None = setting(
        None,
        "Weights to start from: the name of a torchvision model's (DEFAULT, …), a file, or a run; "
        "by default random ones.",
    )
    standardize: bool | None = setting(
        None,
        "Whether features are standardised; by default, if the encoder has batch normalisation "
        "(for Avalanche's strategies, if there is a hidden layer, too).",
        part=Part.LAYERS,
    )
    hidden: int | None = setting(
        None,
        "Units of a hidden layer behind the features, 0 for none; by default 1024 where features "
        "are standardised and more than two classes are expected for each of them, and none for "
        "Avalanche's strategies.",
        least=0,
        most=100_000,
        part=Part.LAYERS,
    )
    options: dict[str, Any] = setting(
        dict, "Options of the encoder, such as encoder.options.width=64.", free=True
    )


@dataclass(frozen=True)
class ReplaySettings:
    """Stored images, and how they are used against forgetting."""

    size: int = setting(200, "Number of stored images.", least=0)
    distillation: float = setting(
        2.0,
        "Weight of keeping to what the network said of old classes.",
        least=0,
        part=Part.DISTILLATION,
    )
    balanced: bool = setting(
        True,
        "Whether to allow for old classes being rarer in the batches than arriving ones.",
        part=Part.DISTILLATION,
    )


@dataclass(frozen=True)
class AnalyticSettings:
    """Ridge regression on a frozen encoder (strategy=lsc-analytic)."""

    features: int = setting(
        4000, "Number of random features beside those of the encoder.", least=1, most=50_000
    )
    penalty: float | None = setting(
        None,
        "Penalty of the regression; by default chosen by leaving one out.",
        least=1e-9,
        most=1e9,
    )
    base_epochs: int | None = setting(
        None,
        "Epochs that train the encoder on the first classes; by default train.epochs, or 0 where "
        "encoder.weights are given.",
        least=0,
    )


@dataclass(frozen=True)
class TrainSettings:
    """How the network is trained, and on what."""

    epochs: int = setting(5, "Passes over the images of each experience.", least=1)
    batch_size: int = setting(32, "Arriving images in a batch.", least=1)
    optimizer: str = setting(
        "adamw", "The optimizer; sgd has Nesterov momentum 0.9.", choices=("adamw", "sgd")
    )
    lr: float = setting(1e-3, "Learning rate at the beginning of each experience.", above=0)
    weight_decay: float = setting(1e-4, "Weight decay.", least=0)
    schedule: str = setting(
        "cosine",
        "How the learning rate goes on within an experience.",
        choices=("cosine", "constant"),
    )
    device: str = setting(
        "auto",
        "Where the network is: auto (a GPU if there is one), cpu, cuda, cuda:1, …",
        changeable=True,
    )
    precision: str = setting(
        "auto",
        "Number format of the encoder; auto is bf16 on GPUs that have it, else fp32.",
        choices=("auto", "fp32", "bf16", "fp16"),
    )
    workers: int | None = setting(
        None,
        "Processes that read files; by default by the number of cores.",
        least=0,
        most=256,
        changeable=True,
    )
    compile: bool = setting(
        False,
        "Whether torch.compile is used: slow to start, faster afterwards.",
        changeable=True,
        part=Part.TARGETS,
    )

"""The settings of a run: one typed schema, and which values are in order.

Nothing heavy is imported here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class ScenarioConfig:
    """Which classes arrive, and when."""

    name: str = "split-digits"
    experiences: int | None = None
    increment: int | None = None  # classes an experience, instead of `experiences`
    base_classes: int = 0  # classes of the first experience; 0: as many as in the others
    class_order: list[int] | None = None  # every class once; default: shuffled by `seed`


@dataclass
class DataConfig:
    """Where the images are."""

    root: str = "data"
    download: bool = True
    resolution: int | None = None  # of images that come in files; default: the scenario's
    test_fraction: float = 0.2  # kept for testing, where the data come without a split
    on_error: str = "skip"  # or raise: what to do about a file that cannot be read
    memory: float = 4.0  # GiB up to which images in files are decoded once and kept
    classes: list[str] | None = None  # names of those to keep, in this order; default: all
    train_per_class: int | None = None  # use at most this many training images of each class
    mean: list[float] | None = None  # per channel, of images in [0, 1]
    std: list[float] | None = None


@dataclass
class StrategyConfig:
    name: str = "lsc"
    options: dict[str, Any] = field(default_factory=dict)  # of a peer: Avalanche's arguments


@dataclass
class SystemConfig:
    name: str = "v21"
    dim: int = 384


@dataclass
class AllocationConfig:
    name: str = "affine"


@dataclass
class LossConfig:
    name: str = "softmax"
    scale: float | None = None  # of the head; default: 16, or 4 ln(classes) if that is more
    unknown_prior: float | None = None  # ω, weight of the unowned targets; default 25/size
    normalize: bool = True  # compare directions only
    collapse: str | None = None  # growing penalty on raw embeddings, for normalize=false or
    # loss=euclidean (Latent Point Collapse): iclr-2025, repository-2025 or exponential


@dataclass
class EncoderConfig:
    name: str = "resnet-small"
    weights: str | None = None  # DEFAULT, … of a torchvision model; or a file, or a run
    standardize: bool | None = None  # features; default: if the encoder has batch normalisation
    hidden: int | None = None  # units behind the features, 0: none; default: 1024 where these are
    # standardised and the stream has more than two classes for each
    options: dict[str, Any] = field(default_factory=dict)


@dataclass
class AugmentConfig:
    """Random changes of training images; 0 or false leaves one out."""

    rotate: float = 0.0  # up to this many degrees either way
    translate: float = 0.0  # up to this part of the image's side
    zoom: float = 0.0  # scale between 1 − zoom and 1 + zoom
    flip: bool = False  # left and right
    crop_scale: float | None = None  # random crops of at least this share of the area


@dataclass
class NoveltyConfig:
    """What tells known inputs from unknown ones, and what that is measured on."""

    score: str = "auto"
    fpr: float = 0.05  # false alarms: share of known inputs that may be flagged
    per_class: bool = False  # keep that share for each predicted class, not only over all
    holdout: float = 0.1  # of each class's training images, which set the threshold; 0: none
    size: int = 2000  # of these, at most so many are kept
    others: list[str] = field(default_factory=list)  # unknown images: scenarios, folders, .npz


@dataclass
class MetricsConfig:
    """What is measured beside accuracy and novelty, at some cost."""

    neural_collapse: bool = False  # after each epoch and on the test data of the classes seen


@dataclass
class ReplayConfig:
    size: int = 200  # stored images
    distillation: float = 2.0  # weight of keeping to what the network said of old classes
    balanced: bool = True  # allow for old classes being rarer in the batches than arriving ones


@dataclass
class AnalyticConfig:
    """For strategy=lsc-analytic."""

    features: int = 2000  # random features of those of the encoder
    penalty: float | None = None  # of the ridge regression; default: chosen by cross-validation
    base_epochs: int | None = None  # of the encoder, on the first classes; default: train.epochs,
    # or 0 where encoder.weights are given


@dataclass
class TrainConfig:
    epochs: int = 5
    batch_size: int = 32
    optimizer: str = "adamw"  # or sgd, with Nesterov momentum 0.9
    lr: float = 1e-3
    weight_decay: float = 1e-4
    schedule: str = "cosine"  # within an experience; or constant
    device: str = "auto"  # cuda where there is one; cpu, cuda, cuda:1, …
    precision: str = "auto"  # fp32; bf16 on GPUs that have it, or fp16
    workers: int | None = None  # processes that read files; default: by the number of cores
    compile: bool = False  # torch.compile: slow to start, faster afterwards


@dataclass
class CheckpointConfig:
    minutes: float = 10.0  # between two checkpoints; there is one after each experience anyway
    keep: int = 2  # the latest


@dataclass
class RunConfig:
    dir: str | None = None  # default: runs/SCENARIO-STRATEGY-SEED, numbered if that exists


@dataclass
class Config:
    """Everything that a run depends on."""

    seed: int = 0
    benchmark: str | None = None  # module:function that returns one, for scenario=python
    scenario: ScenarioConfig = field(default_factory=ScenarioConfig)
    data: DataConfig = field(default_factory=DataConfig)
    strategy: StrategyConfig = field(default_factory=StrategyConfig)
    system: SystemConfig = field(default_factory=SystemConfig)
    allocation: AllocationConfig = field(default_factory=AllocationConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    replay: ReplayConfig = field(default_factory=ReplayConfig)
    novelty: NoveltyConfig = field(default_factory=NoveltyConfig)
    metrics: MetricsConfig = field(default_factory=MetricsConfig)
    analytic: AnalyticConfig = field(default_factory=AnalyticConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    run: RunConfig = field(default_factory=RunConfig)


FREE_FORM = ("encoder.options", "strategy.options")
OF_LSC_ALONE = (
    "system",
    "allocation",
    "loss",
    "encoder.standardize",
    "encoder.hidden",
    "metrics",
    "replay.distillation",
    "replay.balanced",
    "novelty.score",
    "novelty.fpr",
    "novelty.per_class",
    "novelty.size",
    "train.compile",
    "checkpoint",
)
"""Settings, and groups of them, that mean nothing to a peer."""
CHOICES = {
    "data.on_error": ("skip", "raise"),
    "train.optimizer": ("adamw", "sgd"),
    "train.precision": ("auto", "fp32", "bf16", "fp16"),
    "train.schedule": ("cosine", "constant"),
}
# Key -> (smallest, largest) value; None: no bound.
RANGES: dict[str, tuple[float, float | None]] = {
    "seed": (0, 2**32 - 1),
    "scenario.experiences": (1, None),
    "scenario.increment": (1, None),
    "scenario.base_classes": (0, None),
    "data.resolution": (1, 4096),
    "data.test_fraction": (0.001, 0.999),
    "data.memory": (0, None),
    "data.train_per_class": (1, None),
    "system.dim": (1, None),
    "loss.scale": (1e-6, 600),
    "loss.unknown_prior": (0, 1),
    "encoder.hidden": (0, 100_000),
    "augment.rotate": (0, 180),
    "augment.translate": (0, 1),
    "augment.zoom": (0, 0.99),
    "augment.crop_scale": (0.01, 1),
    "novelty.fpr": (1e-6, 0.999),
    "novelty.holdout": (0, 0.9),
    "novelty.size": (20, None),
    "replay.size": (0, None),
    "replay.distillation": (0, None),
    "analytic.features": (1, 50_000),
    "analytic.penalty": (1e-9, 1e9),
    "analytic.base_epochs": (0, None),
    "train.epochs": (1, None),
    "train.batch_size": (1, None),
    "train.lr": (0, None),
    "train.workers": (0, 256),
    "checkpoint.minutes": (0, None),
    "checkpoint.keep": (1, None),
    "train.weight_decay": (0, None),
}


CHANGEABLE = {
    "checkpoint.keep",
    "checkpoint.minutes",
    "data.download",
    "data.memory",
    "data.root",
    "run.dir",
    "train.compile",
    "train.device",
    "train.workers",
}
"""What may change in the middle of a run."""

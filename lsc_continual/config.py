"""The settings of a run: one typed schema, packaged defaults, `key=value` overrides.

Nothing heavy is imported here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.resources import files
from math import ceil
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lsc_continual.catalog import (
    ALLOCATIONS,
    COLLAPSES,
    LOSSES,
    PEERS,
    SCENARIOS,
    SCORES,
    STRATEGIES,
)
from lsc_continual.errors import LSCError, first_line, unknown_name


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


_FREE_FORM = ("encoder.options", "strategy.options")
_OF_LSC_ALONE = (
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
_CHOICES = {
    "data.on_error": ("skip", "raise"),
    "train.optimizer": ("adamw", "sgd"),
    "train.precision": ("auto", "fp32", "bf16", "fp16"),
    "train.schedule": ("cosine", "constant"),
}
# Key -> (smallest, largest) value; None: no bound.
_RANGES: dict[str, tuple[float, float | None]] = {
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


def resolve(overrides: Sequence[str] = ()) -> DictConfig:
    """The configuration after defaults, the scenario's YAML and `key=value` overrides.

    `group=NAME` is short for `group.name=NAME`.

    Raises:
        LSCError: an unknown key, a value of the wrong type or out of range, an unknown name.
    """
    schema = OmegaConf.structured(Config)
    parsed = [_parse(override, schema) for override in overrides]
    given = {key: value for key, value, _ in parsed}
    texts = {key: text for key, _, text in parsed}
    scenario = str(given.get("scenario.name", ScenarioConfig.name))
    packaged = OmegaConf.to_container(OmegaConf.create(_packaged_yaml(scenario)))
    assert isinstance(packaged, dict)
    if "scenario.increment" in given and "scenario.experiences" not in given:
        given["scenario.experiences"] = None  # the user's way of splitting replaces the default
    if "encoder.name" in given:
        packaged.pop("encoder", None)  # its options are for another encoder
    config = OmegaConf.merge(schema, packaged)
    assert isinstance(config, DictConfig)
    _set(config, given, texts)
    _complete_strategy(config)
    _check(config)
    if config.strategy.name in PEERS:
        _check_of_peer(config.strategy.name, given)
    return config


def _complete_strategy(config: DictConfig) -> None:
    """Fill in the strategy's options that were not given.

    Raises:
        LSCError: it has no such option, or one of another type.
    """
    name, given = config.strategy.name, config.strategy.options
    defaults = STRATEGIES[name].options
    for option, value in given.items():
        key = f"strategy.options.{option}"
        if not defaults:
            raise LSCError(f"strategy={name} has no options of its own: leave out {key}")
        if option not in defaults:
            raise unknown_name(f"option of strategy={name}", option, defaults)
        default = defaults[option]
        kinds = int | float if isinstance(default, float | None) else type(default)
        fits = isinstance(value, kinds) and isinstance(value, bool) == isinstance(default, bool)
        if not fits and value != default:
            raise LSCError(f"{key}={value} has the wrong type: it is {default} by default")
    config.strategy.options = {**defaults, **given}


def _check_of_peer(name: str, given: dict[str, Any]) -> None:
    for key in given:
        if not matters_to(name, key):
            raise LSCError(
                f"{key} is for strategy=lsc and means nothing to {name}: leave it out (or, for "
                f"lsc-cl compare, write lsc.{key}=…)"
            )


def matters_to(strategy: str, key: str) -> bool:
    """Whether a setting means anything to a strategy."""
    alone = any(key == own or key.startswith(f"{own}.") for own in _OF_LSC_ALONE)
    return not (alone and strategy in PEERS)


def read_stored(path: Path) -> dict[str, Any]:
    """The content of an earlier run's configuration file, for `reopen`.

    Raises:
        LSCError: it cannot be read.
    """
    try:
        return OmegaConf.to_container(OmegaConf.load(path))  # type: ignore[return-value]
    except Exception as error:  # YAML and OmegaConf raise classes of their own
        raise LSCError(f"{path} cannot be read: {first_line(error)}") from error


def reopen(stored: dict[str, Any], overrides: Sequence[str] = ()) -> DictConfig:
    """The configuration of an earlier run, with `key=value` overrides of what may change.

    Raises:
        LSCError: the configuration is another version's, or an override is wrong.
    """
    schema = OmegaConf.structured(Config)
    parsed = [_parse(override, schema) for override in overrides]
    for key, _, _ in parsed:
        if key not in CHANGEABLE:
            raise LSCError(
                f"{key} cannot change in the middle of a run: start a new one, or change only "
                f"{', '.join(sorted(CHANGEABLE - {'run.dir'}))}"
            )
    try:
        config = OmegaConf.merge(schema, stored)
    except OmegaConfBaseException as error:
        reason = str(error).splitlines()[0]
        raise LSCError(
            f"the run's configuration does not fit this version ({reason}): resume with the "
            "version that started it"
        ) from error
    assert isinstance(config, DictConfig)
    _set(config, {key: value for key, value, _ in parsed}, {key: text for key, _, text in parsed})
    _check(config)
    return config


def differences(one: Any, other: Any, key: str = "") -> set[str]:
    """Dotted keys in which two configurations differ."""
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return set() if one == other else {key}
    names = [*one, *(name for name in other if name not in one)]
    parts = ((name, one.get(name), other.get(name)) for name in names)
    return set().union(*(differences(a, b, f"{key}.{n}" if key else n) for n, a, b in parts))


def is_setting(key: str) -> bool:
    """Whether a dotted key is a setting or a group of them."""
    schema = OmegaConf.structured(Config)
    keys = set(_keys(schema))
    return key in keys or f"{key}.name" in keys or key in schema or _is_free_form(key)


def _set(config: DictConfig, given: dict[str, Any], texts: dict[str, str]) -> None:
    for key, value in given.items():
        try:
            OmegaConf.update(config, key, value, force_add=_is_free_form(key))
        except OmegaConfBaseException as error:
            if value is None:
                raise LSCError(f"{key} needs a value: see `lsc-cl show`") from error
            reason = str(error).splitlines()[0]
            if "ListConfig" in reason:
                reason = f"write a list, {key}=[{texts.get(key, value)}]"
            raise LSCError(f"{key}={texts.get(key, value)} has the wrong type: {reason}") from error


def _packaged_yaml(scenario: str) -> str:
    SCENARIOS[scenario]  # refuses an unknown name
    # Through the root package: asking for lsc_continual.scenarios would import torch.
    return (files("lsc_continual") / "scenarios" / f"{scenario}.yaml").read_text(encoding="utf-8")


def _parse(override: str, schema: DictConfig) -> tuple[str, Any, str]:
    """("train.epochs", 20, "20") from "train.epochs=20"."""
    key, equals, text = override.partition("=")
    key = key.strip()
    if not equals or not key:
        raise LSCError(f"{override!r} is not a setting: write KEY=VALUE, for example seed=1")
    keys = sorted(_keys(schema))
    groups = {k.split(".")[0] for k in keys}
    if f"{key}.name" in keys:
        key = f"{key}.name"
    elif key not in keys and not _is_free_form(key):
        if key in groups:
            inside = [k for k in keys if k.startswith(f"{key}.")]
            raise LSCError(f"{key!r} is a group of settings: set one of {', '.join(inside)}")
        near = get_close_matches(key, [*keys, *groups], n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else "see `lsc-cl show` for all settings"
        raise LSCError(f"unknown setting {key!r}: {hint}")
    try:
        value = OmegaConf.select(OmegaConf.create(f"value: {text.strip()}"), "value")
    except Exception as error:  # YAML and OmegaConf raise classes of their own
        raise LSCError(f"the value of {key} cannot be read: {text!r}") from error
    return key, value, text


def _is_free_form(key: str) -> bool:
    """Whether a key lies in a group that takes any."""
    return any(key.startswith(f"{group}.") for group in _FREE_FORM)


def _keys(node: DictConfig, prefix: str = "") -> Iterator[str]:
    """Dotted keys of all settings that are not groups."""
    for name in node:
        key = f"{prefix}{name!s}"
        child = node._get_node(name)
        if isinstance(child, DictConfig) and key not in _FREE_FORM and not child._is_none():
            yield from _keys(child, f"{key}.")
        else:
            yield key


def _check(config: DictConfig) -> None:
    STRATEGIES[config.strategy.name]
    ALLOCATIONS[config.allocation.name]
    LOSSES[config.loss.name]
    SCORES[config.novelty.score]
    if config.loss.collapse is not None:
        COLLAPSES[config.loss.collapse]
    for key, choices in _CHOICES.items():
        value = OmegaConf.select(config, key)
        if value not in choices:
            raise LSCError(f"{key}={value} is not one of {', '.join(choices)}")
    for key, (least, most) in _RANGES.items():
        value = OmegaConf.select(config, key)
        if value is None:
            continue
        if not value >= least or (most is not None and value > most):
            bounds = f"{least} or more" if most is None else f"from {least} to {most}"
            raise LSCError(f"{key}={value} is out of range: use {bounds}")
    novelty = config.novelty
    if novelty.holdout and novelty.size < 2 / novelty.fpr:
        raise LSCError(
            f"novelty.fpr={novelty.fpr} cannot be told from novelty.size={novelty.size} held-out "
            f"images: raise one of them, to novelty.size={ceil(2 / novelty.fpr)} for example"
        )
    if (config.data.mean is None) != (config.data.std is None):
        raise LSCError("data.mean and data.std go together: set both or neither")

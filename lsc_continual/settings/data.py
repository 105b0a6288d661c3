"""Settings of what arrives: scenarios, data, and what is measured on them."""

from __future__ import annotations

from dataclasses import dataclass

from lsc_continual.settings.fields import Part, setting

MAX_PIXELS = 2**26
"""Pixels of 4 bytes that an image may have while it is decoded: 8,192 × 8,192."""


@dataclass(frozen=True)
class ScenarioSettings:
    """Which classes arrive, and when."""

    name: str = setting("split-digits", "The data, and how classes arrive.", names="scenario")
    experiences: int | None = setting(
        None, "Number of experiences; by default the scenario's, or five.", least=1
    )
    increment: int | None = setting(
        None, "Classes that arrive in each experience, instead of scenario.experiences.", least=1
    )
    base_classes: int = setting(
        0, "Classes of the first experience; 0: as many as in the others.", least=0
    )
    class_order: list[str] | None = setting(
        None,
        "The name of every class once, in the order of arrival; by default shuffled by the seed.",
    )


@dataclass(frozen=True)
class DataSettings:
    """Where the images are, and which of them are used."""

    root: str = setting("data", "The folder of the data, or an .npz file.", changeable=True)
    download: bool = setting(True, "Whether missing files may be fetched.", changeable=True)
    resolution: int | None = setting(
        None,
        "Side of images that come in files, in pixels; by default the scenario's.",
        least=1,
        most=4096,
    )
    test_fraction: float = setting(
        0.2,
        "Share of each class kept for testing, where the data come without a split.",
        least=0.001,
        most=0.999,
    )
    single_images: str = setting(
        "leave-out",
        "What becomes of a class with a single image, where the data come without a split: it is "
        "left out, or trained on without a test image.",
        choices=("leave-out", "train"),
    )
    on_error: str = setting(
        "skip", "What to do about a file that cannot be read.", choices=("skip", "raise")
    )
    depth: int | None = setting(
        None,
        "Bits of a grey value, for files that do not say what their numbers mean (of more than 8 "
        "bits, which may be fewer); by default such files are not read.",
        least=1,
        most=32,
    )
    max_pixels: int = setting(
        MAX_PIXELS,
        "The largest number of pixels, of 4 bytes each, that an image file may have while it is "
        "decoded; of 16 or 32 bits a value, half as many.",
        least=1,
        changeable=True,
    )
    memory: float = setting(
        4.0,
        "GiB up to which images that come in files are decoded once and kept.",
        least=0,
        changeable=True,
    )
    classes: list[str] | None = setting(
        None, "Names of the classes to keep, in this order; by default all."
    )
    train_per_class: int | None = setting(
        None, "The largest number of training images of each class; by default all.", least=1
    )
    mean: list[float] | None = setting(
        None, "Mean of each channel, of images in [0, 1], that inputs are normalised by."
    )
    std: list[float] | None = setting(
        None, "Standard deviation of each channel that inputs are normalised by."
    )


@dataclass(frozen=True)
class AugmentSettings:
    """Random changes of training images; 0 or false leaves one out."""

    rotate: float = setting(
        0.0, "Rotation by up to this many degrees either way.", least=0, most=180
    )
    translate: float = setting(
        0.0, "Shift by up to this part of the image's side.", least=0, most=1
    )
    zoom: float = setting(0.0, "Scale between 1 − zoom and 1 + zoom.", least=0, most=0.99)
    flip: bool = setting(False, "Whether every other image is mirrored, left and right.")
    crop_scale: float | None = setting(
        None,
        "Random crops of at least this share of the area; by default none.",
        least=0.01,
        most=1,
    )


@dataclass(frozen=True)
class NoveltySettings:
    """What tells known inputs from unknown ones, and what that is measured on."""

    score: str = setting("auto", "The novelty score.", names="novelty score", part=Part.TARGETS)
    fpr: float = setting(
        0.05,
        "False-alarm rate: the share of known inputs that may be called unknown.",
        least=1e-6,
        most=0.999,
        part=Part.TARGETS,
    )
    per_class: bool = setting(
        False,
        "Whether that share is kept for each predicted class, not only over all.",
        part=Part.TARGETS,
    )
    holdout: float = setting(
        0.1,
        "Share of each class's training images that set the threshold; 0: none.",
        least=0,
        most=0.9,
    )
    size: int = setting(
        2000, "The largest number of such images that is kept.", least=20, part=Part.TARGETS
    )
    others: list[str] = setting(
        list, "Sets of unknown images to measure on: scenarios, folders or .npz files."
    )


@dataclass(frozen=True)
class MetricsSettings:
    """What is measured beside accuracy and novelty, at some cost."""

    neural_collapse: bool = setting(
        False, "Whether neural collapse is measured, after each epoch and on the test data."
    )

"""What is trained for arXiv 2510.04090: sets, numbers of classes, losses and targets."""

from __future__ import annotations

from dataclasses import dataclass

from experiments.claims.target_networks import LARGE, PERTURBED, ROOTS, Sizes, Training
from experiments.data import load
from experiments.endless import Pairs, Shuffled, Views
from experiments.settings import Settings, option
from lsc_continual.inputs.geometry import RandomGeometry

NETWORKS = "CNN", "ViT"


@dataclass(frozen=True)
class Options(Sizes):
    """Numbers of classes, and how long each is trained.

    The second of `numbers` is where variants are compared, and at least so many images are in an
    epoch. The last is as many as ImageNet-1K has images to train on.
    """

    numbers: tuple[int, int, int, int] = option((10, 1_000, 10_000, 1_281_167))
    epochs: tuple[int, int, int, int] = option((4, 10, 8, 12), (100, 100, 100, 30))
    pair_epochs: tuple[int, int, int, int] = option((5, 20, 20, 20), (60, 60, 60, 60))
    shown: int = option(1_000, 1_281_167)  # of the last number
    slowness: int = option(3, 1)  # times as many epochs for the vision transformer
    every_number: bool = option(False, True)  # also the third, of all variants

    @property
    def usual(self) -> list[int]:
        """Numbers of classes that all variants see."""
        return [n for n in self.numbers if self.every_number or n != self.numbers[2]]

    def shown_of(self, classes: int) -> int:
        return self.shown if classes == self.numbers[-1] else classes


def every_image(settings: Settings, options: Options) -> list[Training]:
    """Every image its own class: all losses, targets and networks."""
    images = load("split-fashion-mnist", settings).train.images
    _, few, _, most = options.numbers
    shift = RandomGeometry(translate=1 / images.shape[-1])  # by up to a pixel
    data = Shuffled(Views(images, jitter=shift), most)
    epochs = dict(zip(options.numbers, options.epochs))

    def training(
        classes: int, targets: str, loss: str = "cosine", network: str = "CNN"
    ) -> Training:
        return Training(
            "every image a class",
            data,
            classes,
            options.shown_of(classes),
            epochs[classes] * (options.slowness if network == "ViT" else 1),
            few,
            network,
            targets,
            loss,
        )

    def roots(classes: int) -> str:
        # The exact search among owned vectors of interpolated A_n is slow: one training has it.
        return LARGE if classes == most else ROOTS

    return [
        *(training(number, ROOTS) for number in options.numbers),
        *(training(number, LARGE) for number in (few, most)),
        *(training(number, roots(number), "Euclidean") for number in options.numbers),
        *(training(number, roots(number), network="ViT") for number in options.usual),
        *(training(number, LARGE, "structured softmax") for number in options.usual),
        training(few, ROOTS, "Euclidean, long start"),
        training(few, ROOTS, "cosine + L2"),
        training(few, PERTURBED),
    ]


def pairs(settings: Settings, options: Options) -> list[Training]:
    """Pairs of characters, which other people wrote for the test."""
    characters = Pairs(load("split-omniglot", settings))
    data = Shuffled(characters, characters.size)
    epochs = dict(zip(options.numbers, options.pair_epochs))
    return [
        Training(
            "pairs of characters",
            data,
            number,
            options.shown_of(number),
            epochs[number],
            options.numbers[1],
            targets=LARGE if number == options.numbers[-1] else ROOTS,
            fresh=True,
        )
        for number in options.usual
    ]

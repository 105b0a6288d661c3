"""What is trained for arXiv 2510.04090: sets, numbers of classes, losses and targets."""

from __future__ import annotations

from reproduce.data import load
from reproduce.embedding_trial import Trial
from reproduce.many_classes import EveryImage, Pairs
from reproduce.outcome import Settings

MILLION = 1_281_167
"""As many as ImageNet-1K has images to train on."""
_EPOCHS = {10: (4, 100), 1_000: (10, 100), 10_000: (8, 100), MILLION: (12, 30)}
"""By number of classes: in the quick setting and in the full one, where every image is a class."""
FEW = 1_000
"""Images in an epoch at least, classes where variants are compared, and in the quick setting the
classes of 1.28 million that are shown."""
ROOTS, LARGE = "A_n, shuffled", "V21"
NETWORKS = "CNN", "ViT"
PERTURBED = "A_n, perturbed"


def _shown(classes: int, settings: Settings) -> int:
    return settings.pick(FEW, classes) if classes == MILLION else classes


def every_image(settings: Settings) -> list[Trial]:
    """Every image its own class: all losses, targets and networks."""
    data = EveryImage(load("split-fashion-mnist", settings).train.images)

    def trial(classes: int, targets: str, loss: str = "cosine", network: str = "CNN") -> Trial:
        epochs = settings.pick(*_EPOCHS[classes])
        if network == "ViT":
            epochs *= settings.pick(3, 1)  # it begins slowly
        shown = _shown(classes, settings)
        return Trial(data, classes, shown, epochs, FEW, network, targets, loss)

    def roots(classes: int) -> str:
        # The exact search among owned vectors of interpolated A_n is slow: one trial has it.
        return LARGE if classes == MILLION else ROOTS

    numbers = [number for number in _EPOCHS if settings.full or number != 10_000]
    return [
        *(trial(number, ROOTS) for number in _EPOCHS),
        *(trial(number, LARGE) for number in (FEW, MILLION)),
        *(trial(number, roots(number), "Euclidean") for number in _EPOCHS),
        *(trial(number, roots(number), network="ViT") for number in numbers),
        *(trial(number, LARGE, "structured softmax") for number in numbers),
        trial(FEW, ROOTS, "Euclidean, long start"),
        trial(FEW, ROOTS, "cosine + L2"),
        trial(FEW, PERTURBED),
    ]


def pairs(settings: Settings) -> list[Trial]:
    """Pairs of characters, which other people wrote for the test."""
    data = Pairs(load("split-omniglot", settings))
    numbers = [number for number in _EPOCHS if settings.full or number != 10_000]
    return [
        Trial(
            data,
            number,
            _shown(number, settings),
            settings.pick(5 if number == 10 else 20, 60),
            FEW,
            targets=LARGE if number == MILLION else ROOTS,
        )
        for number in numbers
    ]

"""The scenarios by name, and the files that each of them reads. Nothing heavy is imported."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import Any, NamedTuple

import yaml

from lsc_continual.registry import Entry, Registry, is_own


class Files(NamedTuple):
    """How to tell that data are here, and where to get them.

    Args:
        needs: patterns below a place, each of which has to match; none: anything could be it.
        get: where to get them, or how they have to lie.
        places: folders below `data.root`; the first in which something matches counts.
        downloaded: whether a run fetches what is missing.
    """

    needs: tuple[str, ...]
    get: str
    places: tuple[str, ...] = ("",)
    downloaded: bool = True


@dataclass(frozen=True)
class Scenario(Entry):
    """A function that loads data, and the files that these are in.

    Args:
        files: None where there are none to look for.
    """

    files: Files | None = None


_IDX = tuple(
    f"{part}-{what}-ubyte*" for part in ("train", "t10k") for what in ("images-idx3", "labels-idx1")
)
_CIFAR10 = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch", "batches.meta")
IMAGENET = Files(
    ("train/n????????", "val"),
    "https://image-net.org/download-images (ILSVRC2012, with an account), as train/n01440764/… "
    "and val/…,",
    ("", "imagenet", "ILSVRC2012", "ILSVRC/Data/CLS-LOC"),
    downloaded=False,
)
_DATA = "lsc_continual.scenarios."

SCENARIOS: Registry[Scenario] = Registry(
    "scenario",
    "a function from a Source to ImageData",
    {
        "split-digits": Scenario(
            _DATA + "digits:load_digits", "1,797 real 8×8 digits that come with scikit-learn"
        ),
        "split-mnist": Scenario(
            _DATA + "torchvision_data:load_mnist",
            "70,000 handwritten digits, 28×28; downloaded",
            files=Files(_IDX, "https://ossci-datasets.s3.amazonaws.com/mnist/", ("MNIST/raw",)),
        ),
        "split-fashion-mnist": Scenario(
            _DATA + "torchvision_data:load_fashion_mnist",
            "70,000 articles of clothing, 28×28; downloaded",
            files=Files(
                _IDX, "https://github.com/zalandoresearch/fashion-mnist", ("FashionMNIST/raw",)
            ),
        ),
        "split-cifar10": Scenario(
            _DATA + "torchvision_data:load_cifar10",
            "60,000 photographs in 10 classes, 32×32; downloaded",
            files=Files(
                _CIFAR10, "https://www.cs.toronto.edu/~kriz/cifar.html", ("cifar-10-batches-py",)
            ),
        ),
        "split-cifar100": Scenario(
            _DATA + "torchvision_data:load_cifar100",
            "60,000 photographs in 100 classes, 32×32; downloaded",
            files=Files(
                ("train", "test", "meta"),
                "https://www.cs.toronto.edu/~kriz/cifar.html",
                ("cifar-100-python",),
            ),
        ),
        "split-omniglot": Scenario(
            _DATA + "downloaded:load_omniglot",
            "1,623 handwritten characters, 28×28; downloaded",
            files=Files(
                ("images_background/Greek", "images_evaluation/Angelic"),
                "https://github.com/brendenlake/omniglot",
                ("omniglot-py", ""),
            ),
        ),
        "split-cub200": Scenario(
            _DATA + "downloaded:load_cub200",
            "11,788 photographs of 200 birds, 224×224; downloaded",
            files=Files(
                ("images.txt", "images"),
                "https://data.caltech.edu/records/65de6-vp158",
                ("CUB_200_2011", ""),
            ),
        ),
        "core50": Scenario(
            _DATA + "downloaded:load_core50",
            "164,866 frames of 50 objects, 64×64; downloaded",
            files=Files(("s1",), "https://vlomonaco.github.io/core50", ("core50_128x128", "")),
        ),
        "split-tiny-imagenet": Scenario(
            _DATA + "downloaded:load_tiny_imagenet",
            "110,000 photographs in 200 classes, 64×64; downloaded",
            files=Files(
                ("wnids.txt", "train", "val"),
                "http://cs231n.stanford.edu/tiny-imagenet-200.zip",
                ("tiny-imagenet-200", ""),
            ),
        ),
        "split-imagenet100": Scenario(
            _DATA + "imagenet:load_imagenet100",
            "100 of ImageNet's classes, 224×224",
            files=IMAGENET,
        ),
        "split-imagenet": Scenario(
            _DATA + "imagenet:load_imagenet",
            "1.3 million photographs in 1,000 classes, 224×224",
            files=IMAGENET,
        ),
        "folder": Scenario(
            _DATA + "own:load_folder",
            "your images, in a folder for each class",
            files=Files(
                (), "data.root= names a folder that holds a folder of images for each class"
            ),
        ),
        "arrays": Scenario(
            _DATA + "own:load_arrays",
            "your images or features, in an .npz file",
            files=Files((), "data.root= names an .npz file with x_train and y_train"),
        ),
        "python": Scenario(
            _DATA + "python:load_benchmark",
            "any Avalanche benchmark: benchmark=module:function",
            files=Files((), "benchmark= names a function of yours, which knows its data"),
        ),
    },
)


def packaged_settings(name: str) -> dict[str, Any]:
    """The settings that a scenario comes with; none for one of the user's own.

    Raises:
        LSCError: an unknown name, with the nearest valid one.
    """
    SCENARIOS.check(name)
    if is_own(name):
        return {"scenario": {"name": name}}
    text = (files("lsc_continual") / "scenarios" / f"{name}.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)  # type: ignore[no-any-return]

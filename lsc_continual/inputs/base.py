"""What all labelled images have in common."""

from __future__ import annotations

import unicodedata
import warnings
from abc import abstractmethod
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from lsc_continual.errors import LSCError
from lsc_continual.inputs.trees import LeftOut


class Images(Dataset[tuple[Tensor, int]]):
    """Images of one shape with integer labels; item i is (FloatTensor[*shape] in [0, 1], label).

    Args:
        labels: LongTensor[count].
    """

    def __init__(self, labels: Tensor) -> None:
        self.targets: list[int] = labels.tolist()
        """Under the name that Avalanche looks for."""

    def __len__(self) -> int:
        return len(self.targets)

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""

    @abstractmethod
    def __getitem__(self, index: int) -> tuple[Tensor, int]: ...

    @abstractmethod
    def subset(self, rows: Tensor) -> Images:
        """The images at LongTensor[count] rows."""

    @abstractmethod
    def fingerprint(self) -> str:
        """A digest of the images and labels: the same for the same data, on any machine."""

    @property
    @abstractmethod
    def digests(self) -> NDArray[np.uint64]:
        """A number for each image: the same for the same one, and for others hardly ever."""


class ImageData(NamedTuple):
    """What a scenario loads: training and test images over the same classes."""

    train: Images
    test: Images
    class_names: list[str]
    skipped: tuple[str, ...] = ()
    """Files that could not be read, each with the reason."""
    split: dict[str, list[str]] | None = None
    """What "train" and "test" consist of, by path or row, of the user's own data."""
    drawn: bool = False
    """Whether it was this package that drew the line between them."""
    inverted: bool = False
    """Whether the images are the negatives of their files."""
    left_out: LeftOut | None = None
    """What else was found, by class and reason."""
    texts: bool = False
    """Whether the images are texts, in their bytes."""

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        return self.train.shape

    def without(self, left_out: LeftOut) -> ImageData:
        """The same, beside which more was left out."""
        merged = {name: dict(reasons) for name, reasons in (self.left_out or {}).items()}
        for name, reasons in left_out.items():
            of_class = merged.setdefault(name, {})
            for reason, count in reasons.items():
                of_class[reason] = of_class.get(reason, 0) + count
        return self._replace(left_out=merged)

    def limited(self, per_class: int | None) -> ImageData:
        """The first `per_class` training images of each class only (all with None)."""
        if per_class is None:
            return self
        labels = torch.tensor(self.train.targets)
        beyond = (labels.bincount() - per_class).clamp_min(0).tolist()
        reason = f"beyond data.train_per_class={per_class}"
        left_out = {n: {reason: more} for n, more in zip(self.class_names, beyond) if more}
        rows = (place_in_class(labels) < per_class).nonzero()[:, 0]
        return self._replace(train=self.train.subset(rows)).without(left_out)

    def check(self) -> ImageData:
        """Itself, after a look at labels and shapes.

        Raises:
            LSCError: a test label that is never trained on, a class without training or test
                images, or two shapes.
        """
        trained, tested = set(self.train.targets), set(self.test.targets)
        if stray := sorted(tested - trained):
            name = self.class_names[stray[0]] if stray[0] < len(self.class_names) else stray[0]
            raise LSCError(
                f"the test data has class {name!r}, which is never trained on: remove its "
                "images or add some to the training data"
            )
        drawn = self.drawn and tested  # classes with a single image have no other
        for part, present in (("training", trained), ("test", trained if drawn else tested)):
            if missing := sorted(set(range(len(self.class_names))) - present):
                name = self.class_names[missing[0]]
                raise LSCError(f"class {name!r} has no {part} images: add some or remove the class")
        by_form: dict[str, str] = {}
        for name in self.class_names:
            other = by_form.setdefault(unicodedata.normalize("NFKC", name).casefold(), name)
            if other != name:
                warnings.warn(
                    f"classes {other!r} and {name!r} differ by case or by the form of their "
                    "letters alone: are they one?",
                    stacklevel=1,
                )
        if self.train.shape != self.test.shape:
            raise LSCError(
                f"training images have shape {self.train.shape}, test images {self.test.shape}: "
                "bring them to one size"
            )
        return self

    def fingerprint(self) -> str:
        """A digest of all of it: a run is resumed on the same data only."""
        return f"{self.train.fingerprint()}-{self.test.fingerprint()}"

    def contents(self) -> dict[str, Content]:
        """Class by class, by which it can be said what has changed where the fingerprint has."""
        found = {name: Content(0, "") for name in self.class_names}
        for images in (self.train, self.test):
            labels, digests = np.array(images.targets, dtype=np.int64), images.digests
            counts = np.bincount(labels, minlength=len(found)).tolist()
            sums = np.zeros(len(found), np.uint64)
            np.add.at(sums, labels, digests)  # modulo 2⁶⁴
            for name, count, total in zip(self.class_names, counts, sums.tolist(), strict=True):
                of = found[name]
                found[name] = Content(of.images + count, f"{of.digest}{total:016x}")
        return found


class Content(NamedTuple):
    """What the images of a class are."""

    images: int
    """How many there are, for training and testing."""
    digest: str
    """The same for the same images."""


def changes(before: Mapping[str, Content], now: Mapping[str, Content]) -> list[str]:
    """What differs between the contents of two data sets, a few words for each class."""
    said = [f"class {name} is gone" for name in before if name not in now]
    for name, content in now.items():
        was = before.get(name)
        if was is None:
            said.append(f"class {name} is new")
        elif was.images != content.images:
            said.append(f"class {name} has {content.images:,} images and had {was.images:,}")
        elif was != content:
            said.append(f"images of class {name} are others")
    return said


def place_in_class(labels: Tensor) -> Tensor:
    """How many rows of the same class come before each: LongTensor[n] -> LongTensor[n].

    >>> place_in_class(torch.tensor([7, 3, 7, 7, 3]))
    tensor([0, 0, 1, 2, 1])
    """
    ordered, order = labels.sort(stable=True)
    counts = ordered.unique_consecutive(return_counts=True)[1]
    place = torch.empty_like(labels)
    place[order] = torch.arange(len(labels)) - (counts.cumsum(0) - counts).repeat_interleave(counts)
    return place

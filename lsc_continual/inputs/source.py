"""Where a scenario's images come from, and how they are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from lsc_continual.errors import LSCError
from lsc_continual.inputs.decoding import Decoding
from lsc_continual.settings.data import MAX_PIXELS


class Recorded(NamedTuple):
    """What a run was started with, so that what was added since does not matter."""

    class_names: Sequence[str]
    split: Mapping[str, Sequence[str]] | None = None
    """As in `ImageData`."""

    def require(self, names: Sequence[str], root: Path) -> None:
        """Make sure that all its classes are there.

        Raises:
            LSCError: some are gone.
        """
        there = set(names)
        if gone := [name for name in self.class_names if name not in there]:
            raise LSCError(
                f"classes that the run was started with are gone from {root} "
                f"({', '.join(gone)}): put them back or start a new run"
            )


@dataclass(frozen=True)
class Source:
    """What every scenario's loader is given: the `data` settings and the seed.

    Args:
        root: folder of the data.
        download: whether missing files may be fetched.
        resolution: height and width of images that come in files; by default the scenario's.
        test_fraction: share of each class kept for testing, where the data come without a split.
        on_error: what to do about a file that cannot be read, "skip" or "raise".
        classes: names of those to keep, in this order; by default all.
        depth: bits of a grey value in files that do not say it.
        max_pixels: that an image may have while it is decoded.
        memory: GiB up to which images that come in files are decoded once and kept.
        keep_single: whether a class with a single image is kept where the data come without a
            split; without a test image then.
        seed: of splits that the data come without.
        recorded: the data that are to be found again; None: whatever is there.
    """

    root: Path = Path("data")
    download: bool = True
    resolution: int | None = None
    test_fraction: float = 0.2
    on_error: str = "skip"
    classes: tuple[str, ...] | None = None
    depth: int | None = None
    max_pixels: int = MAX_PIXELS
    memory: float = 4.0
    keep_single: bool = False
    seed: int = 0
    recorded: Recorded | None = None

    @property
    def split(self) -> Mapping[str, Sequence[str]] | None:
        """What training and test images are to be found again."""
        return None if self.recorded is None else self.recorded.split

    @property
    def decoding(self) -> Decoding:
        """How files become pixels."""
        return Decoding(self.depth, self.max_pixels)

"""From image files to labelled images: decoded once where they fit in memory."""

from __future__ import annotations

import os
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median_low

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress

from lsc_continual.errors import LSCError, inert
from lsc_continual.inputs import ImageData, ImageFiles, StoredImages
from lsc_continual.inputs.decoding import UnreadableImageError, open_image
from lsc_continual.inputs.selection import select_classes
from lsc_continual.inputs.source import Source
from lsc_continual.inputs.trees import ClassFiles
from lsc_continual.storage.reading import open_regular

_SAMPLED = 256  # images looked at to choose resolution and channels
_LARGEST = 64  # side that images are brought down to, unless a resolution is asked for
_NAMED = 10  # unreadable files that the warning names
_CHUNK = 64  # images a task
_PATIENCE = 2.0  # seconds before a progress bar appears

Failures = list[UnreadableImageError]


def read_files(
    root: Path,
    train: ClassFiles,
    test: ClassFiles,
    source: Source,
    *,
    resolution: int | None = None,
    channels: int | None = None,
) -> ImageData:
    """Images of the files: in memory if they all fit in `source.memory`, else read when needed.

    Args:
        root: the folder that paths are relative to.
        train, test: the files of each class; `source.classes` of them are used.
        resolution: where `source.resolution` is not set; by default that of the images, if they
            are square and small, and their median shorter side, 64 at most, if not.
        channels: 1 or 3; by default 1 if the images are grey.

    Raises:
        LSCError: no file can be read; any cannot, with `source.on_error="raise"`.
    """
    names = select_classes(list(train | test), source.classes)
    if not any(train.get(name) for name in names):
        raise LSCError(f"no training images are in {root}: unpack the data again")
    resolution = source.resolution or resolution
    if resolution is None or channels is None:
        common = common_format(
            root, [p for part in (train, test) for n in names for p in part.get(n, ())]
        )
        resolution, channels = resolution or common[0], channels or common[1]

    def files(part: ClassFiles) -> ImageFiles:
        paths = [path for name in names for path in part.get(name, ())]
        counts = torch.tensor([len(part.get(name, ())) for name in names])
        labels = torch.arange(len(names)).repeat_interleave(counts)
        return ImageFiles(root, paths, labels, resolution, channels, source.decoding)

    parts = files(train), files(test)
    if sum(map(len, parts)) * channels * resolution**2 > source.memory * 2**30:
        return ImageData(*parts, names)
    skip = source.on_error == "skip"
    try:
        (stored, failures), (tested, more) = (read_all(part, skip=skip) for part in parts)
    except UnreadableImageError as error:
        raise LSCError(f"{error}: repair or remove it, or set data.on_error=skip") from error
    skipped = tuple(inert(str(error).removeprefix(f"{root}{os.sep}")) for error in failures + more)
    if skipped:
        _warn(root, skipped)
    asked = Counter(parts[0].targets + parts[1].targets)
    asked.subtract(stored.targets + tested.targets)
    unread = {name: {"cannot be read": asked[i]} for i, name in enumerate(names) if asked[i]}
    return ImageData(stored, tested, names, skipped).without(unread)


def common_format(root: Path, paths: Sequence[str]) -> tuple[int, int]:
    """Resolution and channels that suit the images, by a look at some spread over all of them."""
    sizes: Counter[tuple[int, int]] = Counter()
    modes = set()
    for index in np.linspace(0, len(paths) - 1, min(_SAMPLED, len(paths)), dtype=int):
        try:
            with open_regular(root / paths[index]) as file, open_image(file) as image:
                sizes[image.size] += 1
                modes.add(image.mode)
        except Exception:  # decoders raise whatever they like; reading names the file
            continue
    if not sizes:
        raise LSCError(f"none of the {len(paths)} images in {root} can be read: check data.root")
    width, height = next(iter(sizes))
    as_they_are = len(sizes) == 1 and width == height <= _LARGEST
    side = width if as_they_are else min(median_low(map(min, sizes.elements())), _LARGEST)
    grey = all(mode in ("1", "L", "LA") or mode[0] in "IF" for mode in modes)
    return side, 1 if grey else 3


def _warn(root: Path, skipped: Sequence[str]) -> None:
    named = "; ".join(skipped[:_NAMED])
    rest = f"; and {len(skipped) - _NAMED:,} more" if len(skipped) > _NAMED else ""
    noun = "image" if len(skipped) == 1 else "images"
    warnings.warn(f"{len(skipped):,} {noun} in {root} left out: {named}{rest}", stacklevel=1)


def read_all(files: ImageFiles, *, skip: bool) -> tuple[StoredImages, Failures]:
    """All images as uint8 in memory, in their order, and what could not be read.

    Args:
        skip: whether files that cannot be read are left out.

    Raises:
        UnreadableImageError: the first such file, without `skip`.
    """
    pixels = torch.empty(len(files), *files.shape, dtype=torch.uint8)
    readable = torch.ones(len(files), dtype=torch.bool)

    def read(chunk: range) -> Failures:
        failures: Failures = []
        for index in chunk:
            try:
                pixels[index] = files.pixels(index)
            except UnreadableImageError as error:
                if not skip:
                    raise
                failures.append(UnreadableImageError(str(error)))  # no frames with pixels in it
                readable[index] = False
        return failures

    everything = range(len(files))
    chunks = [everything[start : start + _CHUNK] for start in everything[::_CHUNK]]
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        results = pool.map(read, chunks)  # an error in one cancels those not begun
        failures = [error for part in _shown(results, len(chunks)) for error in part]
    labels = torch.tensor(files.targets, dtype=torch.long)
    return StoredImages(pixels[readable] if failures else pixels, labels[readable]), failures


def _shown(results: Iterable[Failures], total: int) -> Iterator[Failures]:
    """The results; on a terminal, a bar shows how many there are, if they take their time."""
    console = Console(stderr=True, emoji=False)
    start = time.perf_counter()
    progress = Progress(console=console, transient=True, disable=not console.is_terminal)
    task = progress.add_task("decoding images", total=total)
    try:
        for result in results:
            progress.advance(task)
            if time.perf_counter() - start > _PATIENCE:
                progress.start()  # once is enough, more does no harm
            yield result
    finally:
        progress.stop()

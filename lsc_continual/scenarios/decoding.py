"""Decoding image files once, many at a time."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import torch
from rich.console import Console
from rich.progress import Progress

from lsc_continual.images import ImageFiles, StoredImages
from lsc_continual.images.files import UnreadableImageError

_CHUNK = 64  # images a task
_PATIENCE = 2.0  # seconds before a progress bar appears

Failures = list[UnreadableImageError]


def decode_all(files: ImageFiles, *, skip: bool) -> tuple[StoredImages, Failures]:
    """All images as uint8 in memory, in their order, and what could not be read.

    Args:
        skip: whether files that cannot be read are left out.

    Raises:
        UnreadableImageError: the first such file, without `skip`.
    """
    pixels = torch.empty(len(files), *files.shape, dtype=torch.uint8)
    readable = torch.ones(len(files), dtype=torch.bool)

    def decode(chunk: range) -> Failures:
        failures: Failures = []
        for index in chunk:
            try:
                pixels[index] = files.decode(index)
            except UnreadableImageError as error:
                if not skip:
                    raise
                failures.append(error)
                readable[index] = False
        return failures

    starts = range(0, len(files), _CHUNK)
    chunks = [range(start, min(start + _CHUNK, len(files))) for start in starts]
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        results = pool.map(decode, chunks)  # an error in one cancels those not begun
        failures = [error for part in _shown(results, len(chunks)) for error in part]
    labels = torch.tensor(files.targets, dtype=torch.long)
    return StoredImages(pixels[readable] if failures else pixels, labels[readable]), failures


def _shown(results: Iterable[Failures], total: int) -> Iterator[Failures]:
    """The results; on a terminal, a bar shows how many there are, if they take their time."""
    console = Console(stderr=True)
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

"""What turns orders for samples into tensors on the device, and keeps what is costly to set up."""

from __future__ import annotations

import random
import signal
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from avalanche.benchmarks.utils import AvalancheDataset
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from lsc_continual.errors import LSCError
from lsc_continual.experiences.located import located
from lsc_continual.experiences.plan import batch_seed
from lsc_continual.inputs.base import Images
from lsc_continual.inputs.decoding import UnreadableImageError
from lsc_continual.inputs.files import ImageFiles
from lsc_continual.inputs.stored import StoredImages, as_unit_range

Batch = list[Tensor]
"""Inputs and labels, and task labels where the benchmark has them."""


@dataclass(frozen=True)
class Loading:
    """How samples get to the device.

    Args:
        workers: processes that read files or run a data set's own code; 0: this one does it.
        crop_scale: training images from files are random parts of at least this share of the area.
        on_error: what to do about a file that cannot be read: "skip" (with a warning) or "raise".
    """

    workers: int = 0
    crop_scale: float | None = None
    on_error: str = "skip"


class Order(NamedTuple):
    """What is asked of a feed: samples, with seeds for those that are changed at random."""

    samples: NDArray[np.int64]
    seed: int
    """The seed of the whole batch."""
    start: int
    """Where these samples stand in it."""

    def seeds(self) -> list[int]:
        """One for each sample."""
        places = enumerate(self.samples.tolist(), self.start)
        return [batch_seed(self.seed, sample, place) for place, sample in places]


Served = tuple[Batch, Tensor | None]
"""A feed's answer to an order: inputs alone, or all that samples consist of; and the places in the
order that could be served, None for all."""


class TensorFeed:
    """Cuts batches out of one tensor that lives on the device."""

    def __init__(self, images: StoredImages, device: torch.device) -> None:
        self.device = device
        self.images = images.images
        if device.type == "cuda":
            free = torch.cuda.mem_get_info(device)[0]
            fits = self.images.nbytes < free / 2
            self.images = self.images.to(device) if fits else self.images.pin_memory()

    def serve(self, orders: Sequence[Order]) -> Iterator[Served]:
        """One batch for each order."""
        for order in orders:
            rows = torch.from_numpy(order.samples).to(self.device, non_blocking=True)
            cut = self.images[rows.to(self.images.device)].to(self.device, non_blocking=True)
            yield [as_unit_range(cut)], None


class WorkerFeed:
    """Has samples read by worker processes, which live as long as the feed."""

    def __init__(
        self,
        source: Dataset[Any],
        loading: Loading,
        device: torch.device,
        skipped: set[str],
        crop: bool = False,
    ) -> None:
        self.skipped = skipped
        self._strict = loading.on_error == "raise"
        self._device = device
        self._orders: list[Order] = []
        self._loader = DataLoader(
            _Batches(source, loading.crop_scale if crop else None),
            batch_size=None,  # an item is a batch already
            sampler=self._orders,
            num_workers=loading.workers,
            persistent_workers=loading.workers > 0,
            pin_memory=device.type == "cuda",
            worker_init_fn=_start_worker,
            generator=torch.Generator(),  # of its own: a loader draws from it at every start
        )

    def serve(self, orders: Sequence[Order]) -> Iterator[Served]:
        """One batch for each order."""
        self._orders[:] = orders
        for batch, kept, failures in self._loader:
            for failure in failures:
                self._report(failure)
            if batch is None:
                raise LSCError(
                    f"no image of a batch can be read (the last: {failures[-1]}): repair the data"
                )
            inputs, *rest = (part.to(self._device, non_blocking=True) for part in batch)
            inputs = as_unit_range(inputs) if inputs.dtype == torch.uint8 else inputs
            yield [inputs, *rest], kept if failures else None

    def _report(self, failure: str) -> None:
        if self._strict:
            raise LSCError(f"{failure}: repair or remove it, or set data.on_error=skip")
        if failure not in self.skipped:
            self.skipped.add(failure)
            warnings.warn(f"{failure}; it is left out", stacklevel=2)


Feed = TensorFeed | WorkerFeed


class Feeds:
    """Keeps the feed of the latest training and of the latest test images.

    Copies of a strategy start without: tensors and worker processes are not worth copying.
    """

    def __init__(self, loading: Loading, device: torch.device) -> None:
        self.loading = loading
        self.device = device
        self.skipped: set[str] = set()
        """Files that could not be read, with the reason."""
        self._kept: dict[bool, tuple[Images, Feed]] = {}

    def of(self, parts: Sequence[AvalancheDataset], training: bool) -> tuple[Tensor, Feed]:
        """The feed that can serve `parts`, and what it calls each of their samples."""
        places = [place for part in parts if (place := located(part))]
        if len(places) < len(parts) or len({id(images) for images, _ in places}) > 1:
            whole = parts[0] if len(parts) == 1 else parts[0].concat(parts[1])
            feed = WorkerFeed(whole, self.loading, self.device, self.skipped)
            return torch.arange(len(whole)), feed
        return torch.cat([rows for _, rows in places]), self._feed(places[0][0], training)

    def _feed(self, images: Images, training: bool) -> Feed:
        # A tensor is the same for training and evaluation, and not to be on the device twice.
        for mode in (training, not training) if isinstance(images, StoredImages) else (training,):
            kept = self._kept.get(mode)
            if kept is not None and kept[0] is images:
                return kept[1]
        if isinstance(images, StoredImages):
            feed: Feed = TensorFeed(images, self.device)
        else:
            feed = WorkerFeed(images, self.loading, self.device, self.skipped, crop=training)
        self._kept[training] = images, feed
        return feed

    def close(self) -> None:
        """End the worker processes; they start again when needed."""
        self._kept.clear()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_kept": {}}


class _Batches(Dataset[tuple[Batch | None, Tensor, list[str]]]):
    """Batches whose random changes depend on the seeds of orders alone, wherever they are made."""

    def __init__(self, source: Dataset[Any], crop_scale: float | None) -> None:
        self.source = source
        self.crop_scale = crop_scale
        self.collate = getattr(source, "collate_fn", default_collate)

    def __getitem__(self, order: Order) -> tuple[Batch | None, Tensor, list[str]]:
        """The batch, None if it is empty; the places of those in it; sentences on the others."""
        samples, kept, failures = [], [], []
        seeds = order.seeds()
        states = random.getstate(), np.random.get_state()
        random.seed(seeds[0])
        np.random.seed(seeds[0] % 2**32)
        try:
            with torch.random.fork_rng(devices=[]):
                for place, (index, seed) in enumerate(zip(order.samples.tolist(), seeds)):
                    torch.default_generator.manual_seed(seed)  # what torchvision draws from
                    try:
                        samples.append(self._sample(index))
                        kept.append(place)
                    except UnreadableImageError as error:
                        failures.append(str(error))
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])
        return list(self.collate(samples)) if samples else None, torch.tensor(kept), failures

    def _sample(self, index: int) -> Any:
        if isinstance(self.source, ImageFiles):
            return (self.source.pixels(index, self.crop_scale),)
        return self.source[index]


def _start_worker(number: int) -> None:
    """A terminal's Ctrl-C reaches workers too, but it is for the main process to act on."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.simplefilter("ignore")

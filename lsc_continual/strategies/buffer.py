"""The replay buffer."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from avalanche.training.storage_policy import ExemplarsBuffer
from numpy.typing import NDArray
from torch import Tensor

from lsc_continual.experiences.located import integers
from lsc_continual.inputs.base import place_in_class


class ReservoirBuffer(ExemplarsBuffer):
    """A uniform random sample of all that went by, of each class by itself if `balanced`.

    Every sample draws a random weight when it arrives, and the heaviest stay: the same number of
    each class with `balanced` (what a class with fewer leaves free goes to the others), otherwise
    whatever their classes, so that these keep their proportions. Which classes get a place that
    cannot be given to each is drawn by lot, once for each class. What is kept of a sample is its
    view into the experience's data set, its class, its weight and where it came from, so an update
    costs the same however many classes are stored.
    (Avalanche's own class-balanced buffer holds a data set for each class, and adds task labels to
    samples of benchmarks that have none.)
    """

    buffer: Any

    def __init__(self, max_size: int, balanced: bool = True) -> None:
        super().__init__(max_size=max_size)
        self.balanced = balanced
        self.seen_classes = torch.empty(0, dtype=torch.long)
        """All classes that ever arrived, ascending."""
        self.labels = torch.empty(0, dtype=torch.long)
        self.weights = torch.empty(0, dtype=torch.float64)
        self.places = torch.empty(0, 2, dtype=torch.long)
        """Experience and position in its data set, of each stored sample."""
        # Of its own, so that processes that train together store the same samples.
        self._generator = torch.Generator().manual_seed(int(torch.randint(2**62, ())))

    def update(self, strategy: Any, **kwargs: Any) -> None:
        """Store samples of the experience; make room by shortening the other classes."""
        experience = strategy.experience
        self.update_from_dataset(experience.dataset, getattr(experience, "current_experience", 0))

    def update_from_dataset(self, dataset: Any, experience: int = 0) -> None:
        """Store samples of a data set, remembered under the number of an experience."""
        labels = integers(dataset.targets)
        weights = torch.rand(len(labels), dtype=torch.float64, generator=self._generator)
        positions = torch.arange(len(labels))
        places = torch.stack([torch.full_like(positions, experience), positions], 1)
        before = len(self.seen_classes)
        self.seen_classes = torch.cat([self.seen_classes, labels]).unique()
        if self.balanced and before <= self.max_size < len(self.seen_classes):
            warnings.warn(
                f"the replay buffer has {self.max_size} places for {len(self.seen_classes)} "
                "classes, so that some are not replayed: raise replay.size",
                stacklevel=1,
            )
        self._keep(
            torch.cat([self.labels, labels]),
            torch.cat([self.weights, weights]),
            torch.cat([self.places, places]),
            dataset,
        )

    def resize(self, strategy: Any, new_size: int) -> None:
        """Hold at most `new_size` samples from now on."""
        self.max_size = new_size
        self._keep(self.labels, self.weights, self.places, None)

    def _keep(self, labels: Tensor, weights: Tensor, places: Tensor, dataset: Any) -> None:
        """Keep the heaviest samples; those of `dataset` come last."""
        if not len(labels):
            return
        order = weights.argsort(descending=True)
        if self.balanced:
            order = order[self._by_turns(labels[order])]
        kept = order[: self.max_size].sort().values
        old = len(self.buffer)
        buffer = self.buffer.subset(kept[kept < old].tolist())
        if dataset is not None:
            new = dataset.subset((kept[kept >= old] - old).tolist())
            buffer = buffer.concat(new) if len(buffer) else new
        self.buffer = buffer
        self.labels, self.weights, self.places = labels[kept], weights[kept], places[kept]

    def _by_turns(self, labels: Tensor) -> Tensor:
        """The order in which classes take their samples by turns, as their lots say."""
        order = np.lexsort((self._lots(labels), place_in_class(labels)))
        return torch.from_numpy(order)

    def _lots(self, labels: Tensor) -> NDArray[np.uint64]:
        """A number for each label, the same for the same buffer, as good as drawn at random.

        The hash "splitmix64" (Steele et al., OOPSLA 2014) of label and seed.
        """
        x = labels.numpy().astype(np.uint64) + np.uint64(self._generator.initial_seed())
        x *= np.uint64(0x9E3779B97F4A7C15)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
        return x ^ (x >> np.uint64(31))

    def state(self) -> dict[str, Any]:
        """What `load_state` needs: a few tensors, no samples."""
        return {
            "seen_classes": self.seen_classes,
            "labels": self.labels,
            "weights": self.weights,
            "places": self.places,
            "generator": self._generator.get_state(),
        }

    def load_state(self, state: dict[str, Any], datasets: Sequence[Any]) -> None:
        """Fetch the stored samples out of the data sets, one an experience, they came from."""
        for name in ("seen_classes", "labels", "weights", "places"):
            setattr(self, name, state[name])
        self._generator.set_state(state["generator"])
        runs, lengths = self.places[:, 0].unique_consecutive(return_counts=True)
        positions = self.places[:, 1].split(lengths.tolist())
        parts = [
            datasets[experience].subset(inside.tolist())
            for experience, inside in zip(runs.tolist(), positions, strict=True)
        ]
        for part in parts[1:]:
            parts[0] = parts[0].concat(part)
        if parts:
            self.buffer = parts[0]

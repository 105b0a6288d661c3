"""Any benchmark of Avalanche's, from the user's own code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from avalanche.benchmarks import benchmark_with_validation_stream
from avalanche.benchmarks.utils import AvalancheDataset

from lsc_continual.errors import LSCError, first_line
from lsc_continual.experiences.classes import arriving_classes
from lsc_continual.experiences.located import integers
from lsc_continual.inputs.selection import share_of_each
from lsc_continual.registry import import_callable


def load_benchmark(name: str) -> Any:
    """What the function named "module:function" returns, checked.

    Raises:
        LSCError: it cannot be called, or gives something that cannot be trained on.
    """
    if ":" not in name:
        raise LSCError(f"benchmark={name} names no function: write benchmark=module:function")
    try:
        benchmark = import_callable(name, "benchmark")()
        train, test = benchmark.train_stream, benchmark.test_stream
        sizes = [len(experience.dataset) for stream in (train, test) for experience in stream]
        sample = train[0].dataset[0]
        _ = benchmark.streams
    except LSCError:
        raise
    except Exception as error:  # somebody else's code
        raise LSCError(
            f"benchmark {name!r} gives no Avalanche benchmark ({type(error).__name__}: "
            f"{first_line(error)}): return one with a train_stream and a test_stream"
        ) from error
    if not all(sizes) or len(train) != len(test):
        raise LSCError(
            f"benchmark {name!r} has {len(train)} training and {len(test)} test experiences, the "
            f"smallest of {min(sizes)} samples: give every experience data in both streams"
        )
    if not isinstance(sample[0], torch.Tensor) or sample[0].ndim != 3:
        raise LSCError(
            f"the inputs of benchmark {name!r} are no tensors of channels, height and width: add a "
            "transform such as torchvision's ToTensor to the benchmark"
        )
    if min(label for experience in train for label in arriving_classes(experience)) < 0:
        raise LSCError(f"benchmark {name!r} has negative class labels: number classes from 0")
    return benchmark


def validation(
    benchmark: Any, fraction: float, seed: int
) -> tuple[Any, Sequence[AvalancheDataset]]:
    """A benchmark, and for each training experience data that are like it and not in it.

    They are the benchmark's own `valid_stream` if it has one, else a share of the training data,
    which is taken out of them.
    """
    if not fraction:
        return benchmark, ()
    if "valid" not in benchmark.streams:

        def split(dataset: AvalancheDataset) -> tuple[AvalancheDataset, AvalancheDataset]:
            out = share_of_each(integers(dataset.targets), fraction, seed)
            kept, taken = (dataset.subset(part.nonzero()[:, 0].tolist()) for part in (~out, out))
            return kept, taken

        benchmark = benchmark_with_validation_stream(benchmark, split_strategy=split)
    parts = [experience.dataset for experience in benchmark.streams["valid"]]
    if len(parts) != len(benchmark.train_stream):
        raise LSCError(
            f"the benchmark has {len(benchmark.train_stream)} training and {len(parts)} "
            "validation experiences: give its valid_stream one for each, or leave it out"
        )
    seen: set[int] = set()
    for number, experience in enumerate(benchmark.train_stream):
        seen.update(arriving_classes(experience))  # others would be no known inputs yet
        rows = torch.isin(integers(parts[number].targets), torch.tensor(sorted(seen)))
        parts[number] = parts[number].subset(rows.nonzero()[:, 0].tolist())
    return benchmark, parts

"""Any benchmark of Avalanche's, from the user's own code."""

from __future__ import annotations

from typing import Any

import torch

from lsc_continual.errors import LSCError, first_line
from lsc_continual.experiences import arriving_classes
from lsc_continual.importing import import_callable


def load_benchmark(name: str) -> Any:
    """What the function named "module:function" returns, checked.

    Raises:
        LSCError: it cannot be called, or gives something that cannot be trained on.
    """
    kind = "benchmark"
    if ":" not in name:
        raise LSCError(f"benchmark={name} names no function: write benchmark=module:function")
    try:
        benchmark = import_callable(name, kind)()
        train, test = benchmark.train_stream, benchmark.test_stream
        sizes = [len(experience.dataset) for stream in (train, test) for experience in stream]
        sample = train[0].dataset[0]
    except LSCError:
        raise
    except Exception as error:  # somebody else's code
        raise LSCError(
            f"{kind} {name!r} gives no Avalanche benchmark ({type(error).__name__}: "
            f"{first_line(error)}): return one with a train_stream and a test_stream"
        ) from error
    if not all(sizes) or len(train) != len(test):
        raise LSCError(
            f"{kind} {name!r} has {len(train)} training and {len(test)} test experiences, the "
            f"smallest of {min(sizes)} samples: give every experience data in both streams"
        )
    if not isinstance(sample[0], torch.Tensor) or sample[0].ndim != 3:
        raise LSCError(
            f"the inputs of {kind} {name!r} are no tensors of channels, height and width: add a "
            "transform such as torchvision's ToTensor to the benchmark"
        )
    if min(label for experience in train for label in arriving_classes(experience)) < 0:
        raise LSCError(f"{kind} {name!r} has negative class labels: number classes from 0")
    return benchmark

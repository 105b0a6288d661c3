"""One experience more for a strategy that goes on by what it kept."""

from __future__ import annotations

from typing import NamedTuple

from avalanche.benchmarks import benchmark_from_datasets
from rich.console import Console
from torch import Tensor

from lsc_continual.classifier.spec import ModelSpec
from lsc_continual.errors import LSCError, first_line
from lsc_continual.experiences.prepared import PreparedBenchmark
from lsc_continual.inputs.selection import share_of_each
from lsc_continual.machine.devices import pick_device
from lsc_continual.machine.randomness import seed_everything
from lsc_continual.runs.memory import as_dataset, restore
from lsc_continual.runs.progress import TrainingProgress
from lsc_continual.settings import Settings
from lsc_continual.strategies.assembly import Assembly, Conditions
from lsc_continual.strategies.calibration import NoveltyCalibration
from lsc_continual.strategies.names import STRATEGIES, find_strategy
from lsc_continual.strategies.resumable import State


class Examples(NamedTuple):
    """What is learned."""

    images: Tensor
    """[count, *shape], uint8 or floats."""
    labels: Tensor
    """LongTensor[count]."""
    class_names: list[str]
    """By label, those of earlier ones too."""


def trained(
    settings: Settings, spec: ModelSpec, state: State | None, examples: Examples, console: Console
) -> Assembly:
    """A strategy that goes on from what is kept, after one experience more.

    Args:
        spec: of the network.
        state: what was `kept`; None at first.
    """
    images, labels, class_names = examples
    out = share_of_each(labels, settings.novelty.holdout, settings.seed)
    benchmark = benchmark_from_datasets(train=[as_dataset(images[~out], labels[~out])])
    (experience,) = benchmark.train_stream
    experience.classes_in_this_experience = sorted(set(labels.tolist()))
    held_out = [as_dataset(images[out], labels[out])] if settings.novelty.holdout else []
    data = PreparedBenchmark(
        benchmark,
        spec.input_shape,
        class_names,
        None,
        "",
        in_memory=True,
        held_out=held_out,
        inverted=spec.inverted,
    )
    seed_everything(settings.seed)
    bar = TrainingProgress(console)
    bar.experiences = 1
    device = pick_device(settings.train.device)
    conditions = Conditions(settings, data, device, bar, spec.architecture or None)
    name = settings.strategy.name
    assembly = STRATEGIES.call(name, find_strategy(name).build, conditions, of=Assembly)
    if state is not None:
        try:
            restore(assembly, state)
        except (KeyError, ValueError, TypeError, RuntimeError, IndexError) as error:
            raise LSCError(
                f"what the model keeps does not fit its settings ({first_line(error)}): it is "
                "damaged"
            ) from error
    if isinstance(assembly.calibration, NoveltyCalibration):
        assembly.calibration.held_out = held_out
    try:
        assembly.strategy.train(experience)
    finally:
        bar.close()
        for feeds in assembly.feeds:
            feeds.close()
    return assembly

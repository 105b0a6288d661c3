"""What a model that learns by replay keeps beside its network, so that it can go on by itself."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

import torch
from avalanche.benchmarks.utils import AvalancheDataset, _make_taskaware_classification_dataset
from torch import Tensor

from lsc_continual.classifier.files import LEARNER
from lsc_continual.classifier.folder import SavedModel
from lsc_continual.classifier.life import Life
from lsc_continual.encoders.ready.base import local_name
from lsc_continual.errors import LSCError
from lsc_continual.experiences.located import integers, located
from lsc_continual.inputs import StoredImages
from lsc_continual.inputs.stored import as_unit_range
from lsc_continual.network.target_classifier import TargetClassifier
from lsc_continual.novelty import NoveltyDetector
from lsc_continual.runs.configuration import reopen
from lsc_continual.settings import Settings
from lsc_continual.settings.data import NoveltySettings
from lsc_continual.settings.reading import CHANGEABLE
from lsc_continual.storage.packing import pack, unpack
from lsc_continual.strategies.assembly import Assembly
from lsc_continual.strategies.calibration import NoveltyCalibration
from lsc_continual.strategies.resumable import State

_STORES = {"EmbeddingReplay": "buffer", "NoveltyCalibration": "store"}
_OF_RUNS = ("OpenWorldEvaluation", "TrainingProgress")  # plugins that a model has no use for
_COUNTED = ("train_exp_counter", "train_iterations")  # of Avalanche's clock
_BATCH = 256  # images that are embedded at a time
_WHOLE = 1e-3  # how near to a 255th a float is one


def kept(assembly: Assembly) -> State:
    """All that a strategy goes on from, with stored images themselves in place of where they are.

    Args:
        assembly: after an experience; of a strategy of this package.
    """
    state = assembly.strategy.state()
    plugins = {name: dict(p) for name, p in state["plugins"].items() if name not in _OF_RUNS}
    calibration = assembly.calibration
    stores = {
        "EmbeddingReplay": assembly.memory,
        "NoveltyCalibration": None if calibration is None else calibration.store,
    }
    images = {}
    for plugin, part in _STORES.items():
        store = stores[plugin]
        if store is not None and plugin in plugins:
            count = len(store.labels)
            places = torch.stack([torch.zeros(count).long(), torch.arange(count)], 1)
            plugins[plugin][part] = {**plugins[plugin][part], "places": places}
            images[plugin] = _pixels(store.buffer, assembly.data.input_shape)
    # Where in the experience it was, at its end, depends on when a run was interrupted.
    clock = {n: v if n in _COUNTED else 0 for n, v in state["clock"].items()}
    strategy = {**state, "plugins": plugins, "clock": clock, "position": None}
    strategy["random"] = state["random"][:1]  # of several processes, the first
    return {"strategy": strategy, "images": images}


def restore(assembly: Assembly, state: State) -> None:
    """Have a strategy go on from what was `kept`.

    Raises:
        KeyError, ValueError, TypeError, RuntimeError, IndexError: it is of another strategy.
    """
    strategy, plugins = assembly.strategy, state["strategy"]["plugins"]
    datasets = {
        plugin: as_dataset(pixels, plugins[plugin][_STORES[plugin]]["labels"])
        for plugin, pixels in state["images"].items()
    }
    calibration, here = assembly.calibration, strategy._resumables()
    fresh = {name: part.state() for name, part in here.items() if name not in plugins}
    known = {name: part for name, part in plugins.items() if name in here}
    if isinstance(calibration, NoveltyCalibration):
        calibration.held_out = [datasets.get("NoveltyCalibration")]
    classes = range(len(assembly.data.class_names))
    before = SimpleNamespace(
        dataset=datasets.get("EmbeddingReplay"), classes_in_this_experience=classes
    )
    strategy.load_state({**state["strategy"], "plugins": {**fresh, **known}}, [before])


def as_dataset(pixels: Tensor, labels: Tensor) -> AvalancheDataset:
    """Images in a tensor, as Avalanche takes them."""
    return _make_taskaware_classification_dataset(StoredImages(pixels, labels), task_labels=0)


def memory_files(state: State, settings: Settings, **about: Any) -> dict[str, bytes]:
    """The files of a model folder that hold what was `kept`.

    Args:
        settings: of which those that concern data and places are left out.
        about: what else is to be known, in JSON types: "life" or "run".
    """
    of_model, default = asdict(settings), asdict(Settings())
    for key in (*CHANGEABLE, "benchmark", "scenario", "data.classes", "data.train_per_class"):
        group, _, name = key.rpartition(".")
        if group:
            of_model[group][name] = default[group][name]
        else:
            of_model[name] = default[name]
    of_model["encoder"] |= {"name": local_name(settings.encoder.name), "weights": None}
    told = {"settings": of_model, **about}
    text = json.dumps(told, ensure_ascii=False).encode()
    return dict(zip(LEARNER, (text, *pack(state)), strict=True))


def read_memory(saved: SavedModel) -> tuple[State, Settings, Life]:
    """What was kept, and what is known beside."""
    told = saved.description_of_life()
    text, tensors = (bytes(saved.files[name]) for name in LEARNER[1:])
    return unpack(text, tensors), reopen(told["settings"]), Life.from_json(told["life"])


def files_of_run(assembly: Assembly) -> dict[str, bytes]:
    """Those of a run's model, at its end."""
    data, settings = assembly.data, assembly.settings
    counts: Counter[str] = Counter()
    for experience in data.experiences:
        counts.update(data.names_of(integers(experience.dataset.targets).tolist()))
    run = {"examples": dict(counts), "source": settings.scenario.name}
    return memory_files(kept(assembly), settings, life=None, run=run)


def _pixels(dataset: Any, shape: Sequence[int]) -> Tensor:
    """All images of a data set, as uint8 where they are 255ths."""
    if not len(dataset):
        return torch.empty(0, *shape, dtype=torch.uint8)
    found = located(dataset)
    if found is not None and isinstance(found[0], StoredImages):
        return found[0].images[found[1]].clone()
    items = torch.stack([dataset[row][0] for row in range(len(dataset))])
    steps = items * 255
    whole = ((steps - steps.round()).abs() < _WHOLE).all() and 0 <= items.min() <= items.max() <= 1
    return steps.round().byte() if whole and shape[1:] != (1, 1) else items


def without_class(state: State, label: int) -> State:
    """What was kept, less the stored images of a class."""
    plugins = dict(state["strategy"]["plugins"])
    images = dict(state["images"])
    for plugin, pixels in state["images"].items():
        part = dict(plugins[plugin][_STORES[plugin]])
        stay = part["labels"] != label
        images[plugin] = pixels[stay]
        for name in ("labels", "weights", "places"):
            part[name] = part[name][stay]
        part["places"] = part["places"].clone()
        part["places"][:, 1] = torch.arange(len(part["places"]))
        part["seen_classes"] = part["seen_classes"][part["seen_classes"] != label]
        plugins[plugin] = {**plugins[plugin], _STORES[plugin]: part}
    return {**state, "strategy": {**state["strategy"], "plugins": plugins}, "images": images}


def without_ordinals(state: State, gone: Tensor) -> State:
    """What was kept, less classes by ordinal, so far as a learner that adds up knows them.

    What they taught stays in its sums.
    """
    learner = state["strategy"].get("learner")
    if learner is None:
        return state
    ordinals = learner["ordinals"]
    left = ordinals - torch.searchsorted(gone.sort().values, ordinals)
    left = torch.where(torch.isin(ordinals, gone) | (ordinals < 0), -1, left)
    return {**state, "strategy": {**state["strategy"], "learner": {**learner, "ordinals": left}}}


@torch.no_grad()
def recalibrated(
    state: State, network: TargetClassifier, novelty: NoveltySettings
) -> NoveltyDetector | None:
    """A detector for a network, by the images that are kept; None where they are too few.

    What was kept of the one before is replaced.
    """
    images, plugins = state["images"], state["strategy"]["plugins"]
    if (left_out := plugins.get("LeftOutCalibration")) is not None:
        left_out |= {"known": None, "reference": None, "scale": None}
    part = plugins.get("NoveltyCalibration")
    if part is None:
        return None

    def embedded(plugin: str) -> Tensor:
        parts = [network.embed(as_unit_range(some)) for some in images[plugin].split(_BATCH)]
        return torch.cat([torch.empty(0, network.head.system.dim), *parts])

    reference = embedded("EmbeddingReplay") if "EmbeddingReplay" in images else None
    detector = NoveltyDetector(network.head, novelty.score, novelty.fpr, novelty.per_class)
    try:
        detector.calibrate(embedded("NoveltyCalibration"), reference)
    except LSCError:
        return None
    finally:
        part |= {name: getattr(detector, name) for name in ("known", "reference", "scale")}
    return detector

"""The benchmark that settings stand for, from scenarios or the user's own code."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import attrgetter
from pathlib import Path
from typing import Any, TypedDict

import msgspec
import torch
from avalanche.benchmarks.utils import AvalancheDataset, as_classification_dataset
from numpy.typing import NDArray

from lsc_continual.encoders.names import takes_texts
from lsc_continual.errors import LSCError, first_line
from lsc_continual.experiences import arriving_classes
from lsc_continual.experiences.prepared import PreparedBenchmark
from lsc_continual.inputs import ImageData, ImageFiles, Images, Source, StoredImages
from lsc_continual.inputs.base import Content, changes
from lsc_continual.inputs.repeats import find_repeats
from lsc_continual.inputs.selection import hold_out
from lsc_continual.inputs.source import Recorded
from lsc_continual.registry import names_from_file
from lsc_continual.runs.configuration import read_stored, reopen
from lsc_continual.runs.folder import CONFIG, STREAM
from lsc_continual.scenarios import class_incremental, class_order, experience_sizes, load_images
from lsc_continual.scenarios.class_incremental import with_tested
from lsc_continual.scenarios.python import load_benchmark, validation
from lsc_continual.scenarios.unknown_sets import load_unknown
from lsc_continual.settings import Settings
from lsc_continual.storage.reading import read_text
from lsc_continual.strategies.evaluation import FLAGGED

_SPLIT = ("experiences", "increment", "base_classes", "class_order")
_DECIDED = (*(f"scenario.{name}" for name in _SPLIT), "data.classes", "data.train_per_class")
"""Settings that a benchmark of the user's own leaves nothing to decide."""
_LARGEST = 2**30  # bytes of a stream.json
_OWN = ("folder", "arrays")  # scenarios of data that are not downloaded
_NAMED = 5  # changes that a sentence names


def prepare_benchmark(settings: Settings, recorded: Recorded | None = None) -> PreparedBenchmark:
    """Load the data of `scenario.name` and cut them into experiences.

    Args:
        recorded: what the run was started with, if it was before.

    Raises:
        LSCError: something the user can mend.
    """
    if settings.scenario.name == "python":
        return _from_python(settings)
    data = _load(settings, recorded)
    names, scenario = data.class_names, settings.scenario
    if data.texts != takes_texts(settings.encoder.name):
        raise LSCError(
            f"{settings.data.root} holds texts: add encoder=text:NAME, of a model of "
            "sentence-transformers"
            if data.texts
            else f"encoder={settings.encoder.name} takes texts, and the data are none: change it"
        )
    sizes = experience_sizes(
        len(names), scenario.experiences, scenario.increment, scenario.base_classes
    )
    given = scenario.class_order
    if given is not None:
        gone = set(data.left_out or ()) - set(names)
        given = [name for name in given if name not in gone]
    order = class_order(names, given, settings.seed)
    if given is None:
        order = with_tested(order, sizes, set(data.test.targets))
    fingerprint, contents = data.fingerprint(), data.contents()
    trained = data.train
    repeats = find_repeats(data.train, data.test)
    data, rest = hold_out(data, settings.novelty.holdout, settings.seed)
    benchmark = class_incremental(data, order, sizes)
    _check_tested(benchmark, names)
    return PreparedBenchmark(
        benchmark=benchmark,
        input_shape=data.input_shape,
        class_names=names,
        class_order=[names[label] for label in order],
        fingerprint=fingerprint,
        contents=contents,
        trained=trained,
        in_memory=isinstance(data.train, StoredImages),
        skipped=data.skipped,
        held_out=_by_experience(rest, benchmark) if len(rest) else (),
        split=data.split,
        inverted=data.inverted,
        left_out=data.left_out,
        repeats=repeats,
    )


def _load(settings: Settings, recorded: Recorded | None) -> ImageData:
    """The images that a run uses."""
    data = load_images(settings.scenario.name, source_of(settings, recorded))
    return data.limited(settings.data.train_per_class)


def _check_tested(benchmark: Any, class_names: Sequence[str]) -> None:
    """Refuse an experience that nothing is measured on."""
    for number, (train, test) in enumerate(
        zip(benchmark.train_stream, benchmark.test_stream, strict=True), 1
    ):
        if not len(test.dataset):
            names = ", ".join(class_names[label] for label in arriving_classes(train))
            raise LSCError(
                f"experience {number} has no test image, as its classes ({names}) have one image "
                "each that can be read: set data.single_images=leave-out, make fewer experiences, "
                "or add some"
            )


def _from_python(settings: Settings) -> PreparedBenchmark:
    for key in _DECIDED:
        if attrgetter(key)(settings):
            raise LSCError(f"{key} does not apply to scenario=python: the benchmark decides")
    benchmark = load_benchmark(settings.benchmark or "")
    arriving = [arriving_classes(experience) for experience in benchmark.train_stream]
    labels = [label for classes in arriving for label in classes]
    digest = hashlib.sha256()
    for _, stream in sorted(benchmark.streams.items()):
        for experience in stream:
            targets = [int(label) for label in experience.dataset.targets]
            digest.update(json.dumps(targets).encode())
    counts = Counter(
        int(label)
        for stream in (benchmark.train_stream, benchmark.test_stream)
        for experience in stream
        for label in experience.dataset.targets
    )
    benchmark, rest = validation(benchmark, settings.novelty.holdout, settings.seed)
    channels, height, width = benchmark.train_stream[0].dataset[0][0].shape
    return PreparedBenchmark(
        benchmark=benchmark,
        input_shape=(channels, height, width),
        class_names=[str(label) for label in range(max(labels) + 1)],
        class_order=None,
        fingerprint=digest.hexdigest()[:16],
        contents={str(label): Content(count, "") for label, count in counts.items()},
        held_out=rest,
    )


def _by_experience(images: Images, benchmark: Any) -> list[AvalancheDataset]:
    """Those of each experience's classes, as views of one data set."""
    whole, labels = as_classification_dataset(images), torch.tensor(images.targets)
    arriving = (arriving_classes(experience) for experience in benchmark.train_stream)
    rows = (torch.isin(labels, torch.tensor(classes)).nonzero()[:, 0] for classes in arriving)
    return [whole.subset(part.tolist()) for part in rows]


def load_unknown_sets(settings: Settings, known: PreparedBenchmark) -> dict[str, AvalancheDataset]:
    """The data sets of `novelty.others`, by name (for a path, its last part), in `known`'s shape.

    Raises:
        LSCError: there is no such data set, it holds no images, or two have one name.
    """
    others: dict[str, AvalancheDataset] = {}
    for given in settings.novelty.others:
        path = Path(given)
        name = path.stem if path.suffix == ".npz" else path.name
        if name in others or name in FLAGGED:
            raise LSCError(
                f"novelty.others names {given!r}, and {name!r} is taken: rename the file or folder"
            )
        images = load_unknown(given, source_of(settings), known.input_shape, known.inverted)
        others[name] = as_classification_dataset(images)
    return others


class _Split(TypedDict):
    train: list[str]
    test: list[str]


def recorded_data(run: Path) -> Recorded | None:
    """What the data of a run were when it was started; None where that is not written down.

    Raises:
        LSCError: the file cannot be read.
    """
    with _stream(run) as content:
        if not content:
            return None
        names = msgspec.convert(content.get("class_names"), list[str])
        split = content.get("split")
        return Recorded(names, split and dict(msgspec.convert(split, _Split)))


def recorded_contents(run: Path) -> dict[str, Content]:
    """The contents of a run's data, class by class; none where they are not written down.

    Raises:
        LSCError: the file cannot be read.
    """
    with _stream(run) as stored:
        contents = msgspec.convert(stored.get("contents", {}), dict[str, tuple[int, str]])
        return {name: Content(*of) for name, of in contents.items()}


@contextmanager
def _stream(run: Path) -> Iterator[dict[str, Any]]:
    """The content of a run's stream.json; nothing where there is none."""
    path = run / STREAM
    try:
        content = json.loads(read_text(path, _LARGEST)) if path.exists() else {}
        if not isinstance(content, dict):
            raise ValueError("it holds no object")
        yield content
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise LSCError(
            f"{path} cannot be read ({first_line(error)}): put the run's own back or remove it"
        ) from error


def check_same(
    now: Mapping[str, Content], before: Mapping[str, Content], root: str, told: bool = False
) -> None:
    """Make sure that data are those that a run was started with.

    Args:
        now, before: their contents, class by class; without these from before, nothing is known.
        told: whether they are known to be others.

    Raises:
        LSCError: they are others; the sentence names the classes.
    """
    said = changes(before, now) if before else []
    if not said and not told:
        return
    what = "; ".join(said[:_NAMED]) + ("; …" if len(said) > _NAMED else "")
    if not said and before:
        what = "its images have another order or shape"
    raise LSCError(
        f"the data in {root} are not those that the run was started with"
        f"{f' ({what})' if what else ''}: put them back, say where they are (data.root=…), or "
        "start a new run"
    )


def own_test_images(run: Path, trust_code: bool) -> list[tuple[str, Path | NDArray[Any]]]:
    """The test images of a run, each behind the name of its class.

    Args:
        run: its folder.
        trust_code: whether code that its settings name may be run.

    Raises:
        LSCError: it is no run, its benchmark is of the user's own code, or its data are not there.
    """
    if not (run / CONFIG).is_file():
        raise LSCError(f"{run} is no run folder ({CONFIG} is missing): name labelled images, too")
    with names_from_file(run / CONFIG, trust_code):
        settings = reopen(read_stored(run / CONFIG))
        if settings.scenario.name in _OWN and not Path(settings.data.root).exists():
            raise LSCError(
                f"the data of {run} are not at {settings.data.root}: call this in the folder that "
                "the run was started in, or name labelled images"
            )
        data = _load(settings, recorded_data(run))
    check_same(data.contents(), recorded_contents(run), settings.data.root)
    images, names = data.test, [data.class_names[label] for label in data.test.targets]
    if isinstance(images, ImageFiles):
        return [(name, images.path(row)) for row, name in enumerate(names)]
    assert isinstance(images, StoredImages)
    return list(zip(names, images.images.numpy(), strict=True))


def source_of(settings: Settings, recorded: Recorded | None = None) -> Source:
    """Where the configuration says that the images are."""
    data = settings.data
    return Source(
        root=Path(data.root),
        download=data.download,
        resolution=data.resolution,
        classes=None if data.classes is None else tuple(data.classes),
        test_fraction=data.test_fraction,
        on_error=data.on_error,
        keep_single=data.single_images == "train",
        depth=data.depth,
        max_pixels=data.max_pixels,
        memory=data.memory,
        seed=settings.seed,
        recorded=recorded,
    )

"""Living models in folders: one command at a time changes one, and it is changed whole or not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console

from lsc_continual.classifier.examples import Data, normal_name
from lsc_continual.classifier.life import KnownClass, Learned, Life
from lsc_continual.classifier.spec import ModelSpec
from lsc_continual.errors import LSCError
from lsc_continual.inputs.labelled import Labelled, read_labelled
from lsc_continual.living.model import Classifier
from lsc_continual.storage.folders import sweep
from lsc_continual.storage.locking import locked


def is_there(folder: Path) -> bool:
    """Whether something is in a folder already."""
    return folder.exists() and not (folder.is_dir() and not any(folder.iterdir()))


@contextmanager
def changed(
    folder: Path,
    make: Callable[[], Living] | None = None,
    *,
    console: Console | None = None,
    cache: Path | None = None,
    trust_code: bool = False,
) -> Iterator[Living]:
    """The model of a folder, saved there at the end unless something went wrong.

    Args:
        folder: of a model; or of a run, whose model goes on.
        make: a new model, where there is none.
        console: where training shows how far it is.
        cache: a folder of embeddings, as of `Classifier.cache_embeddings`.

    Raises:
        LSCError: there is no model, another process is at work on it, or it cannot be written.
    """
    place = _place(folder)
    with locked(place):
        sweep(place.parent, place.name)
        if make is None or is_there(place):
            model: Living = Classifier.load(folder, console=console, trust_code=trust_code)
        else:
            model = make()
        if cache is not None:
            model.cache_embeddings(cache)
        yield model
        model.save(place)


def _place(folder: Path) -> Path:
    """Where the model of a folder lies: in that of a run, one below.

    Raises:
        LSCError: the run is not finished.
    """
    is_run = (folder / "config.yaml").is_file()
    if not is_run and not (folder / "model").is_dir():
        return folder
    if is_run and not (folder / "report.html").is_file():
        raise LSCError(f"the run {folder} is not finished: lsc-cl resume {folder}")
    return folder / "model"


def require_model_or_nothing(folder: Path) -> None:
    """Refuse a folder that holds something else than a model or a finished run that left one.

    Raises:
        LSCError: it does.
    """
    place = _place(folder)
    if (is_there(place) or place != folder) and not (place / "model.json").is_file():
        raise LSCError(f"{folder} holds no model, and is not empty: name a new folder")


class Living(Protocol):
    """What all learners have in common; the methods as of `Classifier`."""

    spec: ModelSpec
    life: Life

    @property
    def classes(self) -> dict[str, KnownClass]: ...

    @property
    def uncalibrated(self) -> str | None: ...

    def learn(
        self,
        data: Data,
        labels: Iterable[str],
        source: str | None = None,
        *,
        on_error: str = "raise",
        progress: Callable[[int], None] | None = None,
    ) -> Learned: ...

    def forget(self, names: str | Iterable[str]) -> None: ...

    def forget_data(
        self,
        data: Data,
        labels: Iterable[str],
        source: str | None = None,
        *,
        on_error: str = "raise",
    ) -> list[str]: ...

    def merge(self, other: Any, source: str | None = None) -> None: ...

    def cache_embeddings(self, folder: str | Path) -> None: ...

    def save(self, folder: str | Path) -> None: ...


def learn(
    folder: Path,
    sources: Sequence[Path],
    make: Callable[[Labelled], Living],
    say: Callable[[str], None],
    *,
    kind: str | None = None,
    console: Console | None = None,
    cache: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    trust_code: bool = False,
) -> tuple[Living, list[Learned]]:
    """Learn what lies in some sources; the model is made where there is none.

    Args:
        make: a new model for such data.
        kind: what tables are read for, where a new model says it; see `read_labelled`.
        say: tells the user a line.
        console: where training shows how far it is.
        cache: a folder of embeddings.
        progress: is told how many of how many examples are embedded.
    """
    read: list[Labelled] = []

    def look(kind: str | None) -> None:
        for source in sources:
            labelled = read_labelled(source, kind=kind)
            say(f"{source}: {labelled.summary()}")
            read.append(labelled)

    def new() -> Living:
        look(kind)
        return make(read[0])

    learned: list[Learned] = []
    with changed(folder, new, console=console, cache=cache, trust_code=trust_code) as model:
        if not read:
            look(model.spec.kind)
        for source, some in zip(sources, read, strict=True):
            if some.kind != model.spec.kind:
                raise LSCError(f"{source} holds {some.kind}, and {folder} takes {model.spec.kind}")
        total, done = sum(len(some.labels) for some in read), 0

        def tell(count: int) -> None:
            if progress is not None:
                progress(done + count, total)

        for source, some in zip(sources, read, strict=True):
            learned.append(
                model.learn(some.data, some.labels, str(source), on_error="skip", progress=tell)
            )
            done += len(some.labels)
    return model, learned


def forget(
    folder: Path,
    names: Sequence[str],
    data: Path | None,
    *,
    cache: Path | None = None,
    trust_code: bool = False,
) -> tuple[Living, list[str], int]:
    """Have a model no longer answer with some classes, or take out what some data taught.

    Args:
        names: of classes; with `data`, their examples in it are taken out, all by default.
        data: as `read_labelled` takes it.
        cache: a folder of embeddings.

    Returns:
        the model, the names that are gone, and how many examples were taken out.
    """
    with changed(folder, cache=cache, trust_code=trust_code) as model:
        if data is None:
            model.forget(names)
            return model, list(names), 0
        labelled = read_labelled(data, kind=model.spec.kind)
        wanted = {normal_name(name) for name in names}
        called = [normal_name(name) for name in labelled.labels]
        rows = [i for i, name in enumerate(called) if not names or name in wanted]
        if not rows:
            raise LSCError(f"{data} has no examples of {', '.join(names)}")
        some = [labelled.data[i] for i in rows]
        gone = model.forget_data(some, [called[i] for i in rows], str(data), on_error="skip")
        examples = int(model.life.history[-1]["examples"])
        if rest := [name for name in wanted if name in model.classes]:
            model.forget(rest)
    return model, [*gone, *rest], examples


def merge(folders: Sequence[Path], into: Path, *, trust_code: bool = False) -> Living:
    """One model that knows what several know, in a folder of its own or in one of theirs.

    Raises:
        LSCError: `into` holds something else, or the models do not fit together.
    """
    first, *others = folders
    if is_there(into) and into.resolve() not in {folder.resolve() for folder in folders}:
        raise LSCError(
            f"{into} holds something already: choose another folder, or one of the models"
        )
    place = _place(into)
    with locked(place):
        model: Living = Classifier.load(first, trust_code=trust_code)
        for other in others:
            model.merge(Classifier.load(other, trust_code=trust_code), str(other))
        model.save(place)
    return model

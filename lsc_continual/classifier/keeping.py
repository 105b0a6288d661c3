"""Living models in folders: one command at a time changes one, and it is changed whole or not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lsc_continual.classifier.life import Learned
from lsc_continual.classifier.living import Classifier
from lsc_continual.errors import LSCError
from lsc_continual.inputs.labelled import Labelled, read_labelled
from lsc_continual.storage.folders import sweep
from lsc_continual.storage.locking import locked


def is_there(folder: Path) -> bool:
    """Whether something is in a folder already."""
    return folder.exists() and not (folder.is_dir() and not any(folder.iterdir()))


@contextmanager
def changed(
    folder: Path, make: Callable[[], Classifier] | None = None, *, trust_code: bool = False
) -> Iterator[Classifier]:
    """The model of a folder, saved there at the end unless something went wrong.

    Args:
        make: a new model, where there is none.

    Raises:
        LSCError: there is no model, another process is at work on it, or it cannot be written.
    """
    with locked(folder):
        sweep(folder.parent, folder.name)
        if make is None or is_there(folder):
            model = Classifier.load(folder, trust_code=trust_code)
        else:
            model = make()
        yield model
        model.save(folder)


def learn(
    folder: Path,
    sources: Sequence[Path],
    make: Callable[[Labelled], Classifier],
    say: Callable[[str], None],
    *,
    trust_code: bool = False,
) -> tuple[Classifier, list[Learned]]:
    """Learn what lies in some sources; the model is made where there is none.

    Args:
        make: a new model for such data.
        say: tells the user a line.
    """
    read = []
    for source in sources:
        labelled = read_labelled(source)
        say(f"{source}: {labelled.summary()}")
        read.append(labelled)
    with changed(folder, lambda: make(read[0]), trust_code=trust_code) as model:
        learned = [
            model.learn(some.data, some.labels, str(source), on_error="skip")
            for source, some in zip(sources, read, strict=True)
        ]
    return model, learned


def forget(
    folder: Path, names: Sequence[str], data: Path | None, *, trust_code: bool = False
) -> tuple[Classifier, list[str]]:
    """Have a model no longer answer with some classes, or take out what some data taught.

    Args:
        names: of classes; with `data`, only their examples count, all by default.
        data: as `read_labelled` takes it.

    Returns:
        the model, and the names that are gone.
    """
    with changed(folder, trust_code=trust_code) as model:
        if data is None:
            model.forget(names)
            return model, list(names)
        labelled = read_labelled(data)
        rows = [i for i, name in enumerate(labelled.labels) if not names or name in names]
        if not rows:
            raise LSCError(f"{data} has no examples of {', '.join(names)}")
        some = [labelled.data[i] for i in rows]
        gone = model.forget_data(some, [labelled.labels[i] for i in rows], str(data))
    return model, gone


def merge(folders: Sequence[Path], into: Path, *, trust_code: bool = False) -> Classifier:
    """One model that knows what several know, in a folder of its own or in one of theirs.

    Raises:
        LSCError: `into` holds something else, or the models do not fit together.
    """
    first, *others = folders
    if is_there(into) and into.resolve() not in {folder.resolve() for folder in folders}:
        raise LSCError(
            f"{into} holds something already: choose another folder, or one of the models"
        )
    with locked(into):
        model = Classifier.load(first, trust_code=trust_code)
        for other in others:
            model.merge(Classifier.load(other, trust_code=trust_code), str(other))
        model.save(into)
    return model

"""Living models in folders: one command at a time changes one, and it is changed whole or not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lsc_continual.classifier.creating import VECTORS
from lsc_continual.classifier.folder import SavedModel
from lsc_continual.classifier.life import Learned, Life
from lsc_continual.classifier.living import Classifier
from lsc_continual.encoders.names import is_ready, takes_texts
from lsc_continual.errors import LSCError, inert
from lsc_continual.inputs.labelled import Labelled, read_labelled
from lsc_continual.storage.folders import sweep
from lsc_continual.storage.locking import locked


def is_there(folder: Path) -> bool:
    """Whether something is in a folder already."""
    return folder.exists() and not (folder.is_dir() and not any(folder.iterdir()))


@contextmanager
def changed(
    folder: Path,
    make: Callable[[], Classifier] | None = None,
    *,
    cache: Path | None = None,
    trust_code: bool = False,
) -> Iterator[Classifier]:
    """The model of a folder, saved there at the end unless something went wrong.

    Args:
        make: a new model, where there is none.
        cache: a folder of embeddings, as of `Classifier.cache_embeddings`.

    Raises:
        LSCError: there is no model, another process is at work on it, or it cannot be written.
    """
    with locked(folder):
        sweep(folder.parent, folder.name)
        if make is None or is_there(folder):
            model = Classifier.load(folder, trust_code=trust_code)
        else:
            model = make()
        if cache is not None:
            model.cache_embeddings(cache)
        yield model
        model.save(folder)


_SIDE = 224  # pixels that torchvision's weights were trained on
_SUCH = {
    "images": "encoder=timm:vit_small_patch14_dinov2.lvd142m, for example, or encoder=runs/NAME, "
    "that of a run",
    "texts": "encoder=text:sentence-transformers/all-MiniLM-L6-v2, for example",
}


def kind_of(settings: Mapping[str, Any]) -> str | None:
    """What tables are read for by a new model of such settings, where that is plain."""
    encoder = str(settings.get("encoder.name", ""))
    kinds = {VECTORS: "vectors", "": None}
    return "texts" if takes_texts(encoder) else kinds.get(encoder, "images")


def create(labelled: Labelled, settings: Mapping[str, Any]) -> Classifier:
    """A new model for some data.

    Args:
        settings: by dotted key, as of a run.

    Raises:
        LSCError: images without an encoder, or settings that do not fit.
    """
    given = dict(settings)
    options = {
        key.removeprefix("encoder.options."): given.pop(key)
        for key in list(given)
        if key.startswith("encoder.options.")
    } | given.pop("encoder.options", {})
    encoder = given.pop("encoder.name", None)
    if encoder is None:
        if labelled.kind != "vectors":
            raise LSCError(f"{labelled.kind} need an encoder: say which by {_SUCH[labelled.kind]}")
        encoder = VECTORS
    shaped = encoder != VECTORS and not Path(encoder).is_dir() and not is_ready(encoder)
    side = given.pop("data.resolution", _SIDE if shaped else None)
    if side is not None and not shaped:
        raise LSCError(f"encoder={encoder} has its size: leave out data.resolution")
    names = {
        "encoder.weights": "weights",
        "data.mean": "mean",
        "data.std": "std",
        "system.name": "system",
        "system.dim": "dim",
        "analytic.features": "features",
        "novelty.score": "score",
        "novelty.fpr": "fpr",
        "seed": "seed",
    }
    return Classifier.create(
        encoder,
        options=options,
        input_shape=(3, side, side) if shaped else None,
        **{names[key]: value for key, value in given.items() if value is not None},
    )


def learn(
    folder: Path,
    sources: Sequence[Path],
    make: Callable[[Labelled], Classifier],
    say: Callable[[str], None],
    *,
    kind: str | None = None,
    cache: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    trust_code: bool = False,
) -> tuple[Classifier, list[Learned]]:
    """Learn what lies in some sources; the model is made where there is none.

    Args:
        make: a new model for such data.
        kind: what tables are read for, where a new model says it; see `read_labelled`.
        say: tells the user a line.
        cache: a folder of embeddings.
        progress: is told how many of how many examples are embedded.
    """
    read: list[Labelled] = []

    def look(kind: str | None) -> None:
        for source in sources:
            labelled = read_labelled(source, kind=kind)
            say(f"{source}: {labelled.summary()}")
            read.append(labelled)

    def new() -> Classifier:
        look(kind)
        return make(read[0])

    learned: list[Learned] = []
    with changed(folder, new, cache=cache, trust_code=trust_code) as model:
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
) -> tuple[Classifier, list[str]]:
    """Have a model no longer answer with some classes, or take out what some data taught.

    Args:
        names: of classes; with `data`, their examples in it are taken out, all by default.
        data: as `read_labelled` takes it.
        cache: a folder of embeddings.

    Returns:
        the model, and the names that are gone.
    """
    with changed(folder, cache=cache, trust_code=trust_code) as model:
        if data is None:
            model.forget(names)
            return model, list(names)
        labelled = read_labelled(data, kind=model.spec.kind)
        rows = [i for i, name in enumerate(labelled.labels) if not names or name in names]
        if not rows:
            raise LSCError(f"{data} has no examples of {', '.join(names)}")
        some = [labelled.data[i] for i in rows]
        gone = model.forget_data(some, [labelled.labels[i] for i in rows], str(data))
        if rest := [name for name in names if name in model.classes]:
            model.forget(rest)
    return model, [*gone, *rest]


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


def described(folder: Path) -> dict[str, Any]:
    """What a model is and knows, in JSON types; nothing that its files name is run.

    Raises:
        LSCError: there is none, or it is that of an experiment.
    """
    saved = SavedModel.read(folder)
    state, spec = saved.description_of_life(), saved.description["spec"]
    with saved.damage_named():
        life = Life.from_json(state["life"]).to_json()
        alarms = f"{state['score']}, false alarms at {float(state['fpr']):g}"
        if state["uncalibrated"] is not None:
            alarms = f"none: {state['uncalibrated']}"
        content: dict[str, Any] = inert_json(
            {
                "classes": life["known"],
                "retired": life["retired"],
                "encoder": str(spec["encoder"]),
                "system": f"{spec['system']} in {spec['dim']} dimensions",
                "examples": sum(one["examples"] for one in life["known"].values()),
                "bytes": sum(path.stat().st_size for path in saved.folder.iterdir()),
                "calibration": alarms,
                "history": life["history"],
            }
        )
        return content


def inert_json(value: Any) -> Any:
    """JSON types whose texts do nothing on a terminal."""
    if isinstance(value, str):
        return inert(value)
    if isinstance(value, dict):
        return {inert(str(key)): inert_json(part) for key, part in value.items()}
    return [inert_json(part) for part in value] if isinstance(value, list) else value

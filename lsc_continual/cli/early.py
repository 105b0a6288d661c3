"""Mistakes that are told before torch is loaded, which takes seconds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import typer

from lsc_continual.errors import LSCError
from lsc_continual.settings import Settings

_WITH_SETTINGS = ("learn", "run", "show", "compare", "resume")


def check_folder(run: Path) -> None:
    """Refuse a run folder that is not there.

    Raises:
        LSCError: it is not.
    """
    if not run.is_dir():
        raise LSCError(f"there is no folder {run}: pass that of a run or model")


def check_model(run: Path, score: str | None, fpr: float | None) -> None:
    """Refuse a run folder that is not there, an unknown score, and a rate that is none.

    Raises:
        LSCError: the sentence says which.
    """
    from lsc_continual.novelty.names import SCORES
    from lsc_continual.novelty.rate import checked_rate

    check_folder(run)
    if score is not None:
        SCORES.check(score)
    if fpr is not None:
        checked_rate(fpr)


def check_data(settings: Settings) -> None:
    """Refuse data that are not where the settings say.

    Raises:
        LSCError: the sentence says so.
    """
    root, scenario = Path(settings.data.root), settings.scenario.name
    if scenario == "folder":
        from lsc_continual.inputs.trees import require_folder

        require_folder(root)
    if scenario == "arrays":
        from lsc_continual.inputs.npz import find_file
        from lsc_continual.inputs.tables import TABLES

        find_file(root, (".npy", *TABLES))


OF_MODELS = (
    "encoder.name",
    "encoder.weights",
    "encoder.options",
    "data.resolution",
    "data.mean",
    "data.std",
    "system.name",
    "system.dim",
    "analytic.features",
    "novelty.score",
    "novelty.fpr",
    "seed",
)
"""Settings that a living model has."""

OF_TRAINED = ("encoder", "train", "augment", "replay", "loss", "novelty", "allocation")
"""Groups of settings that one has whose encoder is trained, beside those."""


class Asked(NamedTuple):
    """What `learn` is asked for."""

    sources: list[Path]
    learner: str | None
    """Of a new model; None: whatever suits it."""
    settings: dict[str, Any]
    """Of a new model, by dotted key."""
    arguments: list[str]
    """The same as they were written."""


def sources_and_settings(arguments: Sequence[str]) -> Asked:
    """What `learn` is given: sources that are there, and settings of a new model.

    Raises:
        LSCError: there are no sources, one is missing, or a setting is wrong or none of a model's.
    """
    import lsc_continual.runs.configuration  # noqa: F401 (fills the tables of names)
    from lsc_continual.living.names import LEARNERS
    from lsc_continual.settings.reading import Faults, merge, parse

    sources = [Path(text) for text in arguments if "=" not in text or Path(text).exists()]
    if not sources:
        raise LSCError("name what is to be learned: labelled images, vectors or texts")
    for source in sources:
        if not source.exists():
            raise LSCError(f"there is no {source}: pass labelled images, vectors or texts")
    faults = Faults()
    texts = [text for text in arguments if Path(text) not in sources]
    learner = None
    for text in [text for text in texts if text.startswith("learner=")]:
        learner = text.partition("=")[2]
        texts.remove(text)
        with faults.noted():
            LEARNERS.check(learner)
    overrides = parse(texts, faults)
    for key, _, _ in overrides:
        if key not in OF_MODELS and key.partition(".")[0] not in OF_TRAINED:
            known = ", ".join([*OF_MODELS, *(f"{group}.…" for group in OF_TRAINED)])
            faults.add(f"{key} is no setting of a model: use learner, {known}")
    merge({}, [o for o in overrides if not Path(str(o.value)).is_dir()], faults)
    faults.refuse()
    return Asked(sources, learner, {o.key: o.value for o in overrides}, texts)


def check_options(app: typer.Typer, arguments: Sequence[str]) -> None:
    """Refuse "--epochs 3", which other programs would take, with the setting that it is here.

    Raises:
        LSCError: an option that a command does not have, and a setting of that name.
    """
    from lsc_continual.settings.reading import KEYS

    verb = next((word for word in arguments if not word.startswith("-")), "")
    if verb not in _WITH_SETTINGS or not any(word.startswith("--") for word in arguments):
        return
    command = typer.main.get_command(app).commands[verb]  # type: ignore[attr-defined]
    known = {option for parameter in command.params for option in parameter.opts}
    for place, argument in enumerate(arguments):
        found = re.fullmatch(r"(--[a-z][a-z_.-]*)(?:=(.*))?", argument)
        if found is None or found[1] in known | {"--help", "--debug"}:
            continue
        name = found[1].removeprefix("--").replace("-", "_")
        keys = [key for key in KEYS if key == name or key.endswith(f".{name}")]
        if keys:
            following = arguments[place + 1] if place + 1 < len(arguments) else "…"
            value = found[2] if found[2] is not None else following
            raise LSCError(
                f"{found[1]} is no option of {verb}: settings are written without dashes, "
                f"{keys[0]}={value}"
            )

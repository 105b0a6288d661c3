"""Mistakes that are told before torch is loaded, which takes seconds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

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
        from lsc_continual.inputs.npz import find_npz

        find_npz(root)


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


def sources_and_settings(arguments: Sequence[str]) -> tuple[list[Path], dict[str, Any]]:
    """What `learn` is given, apart: sources that are there, and settings of a new model.

    Raises:
        LSCError: there are no sources, one is missing, or a setting is wrong or none of a model's.
    """
    import lsc_continual.runs.configuration  # noqa: F401 (fills the tables of names)
    from lsc_continual.settings.reading import Faults, merge, parse

    sources = [Path(text) for text in arguments if "=" not in text or Path(text).exists()]
    if not sources:
        raise LSCError("name what is to be learned: labelled images or vectors")
    for source in sources:
        if not source.exists():
            raise LSCError(f"there is no {source}: pass labelled images or vectors")
    faults = Faults()
    texts = [text for text in arguments if Path(text) not in sources]
    overrides = parse(texts, faults)
    for key, _, _ in overrides:
        if key not in OF_MODELS and not key.startswith("encoder.options."):
            faults.add(f"{key} is no setting of a model: use {', '.join(OF_MODELS)}")
    merge({}, [o for o in overrides if not Path(str(o.value)).is_dir()], faults)
    faults.refuse()
    return sources, {override.key: override.value for override in overrides}


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

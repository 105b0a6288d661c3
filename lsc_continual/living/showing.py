"""What is told of a model: its classes, its size, its history."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lsc_continual.classifier.folder import SavedModel
from lsc_continual.classifier.life import Life
from lsc_continual.errors import inert


def described(folder: Path) -> dict[str, Any]:
    """What a model is and knows, in JSON types; nothing that its files name is run.

    Raises:
        LSCError: there is none, or it is that of an experiment.
    """
    saved = SavedModel.read(folder)
    state, spec = saved.description_of_life(), saved.description["spec"]
    with saved.damage_named():
        life = Life.from_json(state["life"]).to_json()
        judge, why = saved.description.get("detector"), "too few examples were held out"
        if saved.learner == "analytic":
            judge, why = state, state["uncalibrated"]
        alarms = f"none: {why}"
        if judge is not None and (judge is not state or why is None):
            alarms = f"{judge['score']}, false alarms at {float(judge['fpr']):g}"
        content: dict[str, Any] = inert_json(
            {
                "classes": life["known"],
                "retired": life["retired"],
                "learner": saved.learner,
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

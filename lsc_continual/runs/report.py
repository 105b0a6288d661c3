"""One training run as one self-contained HTML page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib import style
from matplotlib.figure import Figure

from lsc_continual.runs.charts import DASH, STYLE, heat_map, line_chart, to_svg
from lsc_continual.runs.metrics import classes_seen

COLLAPSE = ("within_class_variability", "equinorm", "equiangularity", "self_duality")
"""Of neural collapse, what falls to 0 as it comes about."""
_COLLAPSED = 1e-4  # what is less is drawn as this

_SHOWN = ("auto", "doubt", "knn", "mahalanobis", "gap")
"""Scores, beside the run's own; `metrics.json` has all."""


def finite(value: Any) -> float | None:
    """`value` as a float, or `None` where it is missing, NaN or infinite."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def show(value: Any, spec: str = ".1%") -> str:
    """`value` in the given format, or an en dash where there is none.

    >>> show(0.987), show(float("nan")), show(123456, ",.0f")
    ('98.7%', '–', '123,456')
    """
    number = finite(value)
    return DASH if number is None else format(number, spec)


def mean(values: Sequence[float | None]) -> float | None:
    """The mean, or `None` where it would pass over a missing value."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def abbreviate(classes: Sequence[Any], most: int = 10) -> str:
    """Class names in a row; a long row is cut and counted.

    >>> abbreviate([3, 7]), abbreviate(range(100), most=3)
    ('3, 7', '0, 1, 2, … (100 classes)')
    """
    cut = "" if len(classes) <= most else f", … ({len(classes)} classes)"
    return ", ".join(map(str, classes[:most])) + cut


def auroc(experience: dict[str, Any], score: str) -> float | None:
    """The AUROC of one novelty score after `experience`, where it was measured."""
    return finite((experience["novelty"].get(score) or {}).get("auroc"))


def drawings(
    experiences: Sequence[dict[str, Any]], scores: Sequence[str], epochs: Sequence[dict[str, Any]]
) -> dict[str, tuple[Figure, str]]:
    """The page's charts, and what each shows in words, by name; those without data are left out.

    Args:
        experiences: as in `metrics.json`.
        scores: which of their novelty scores are shown.
        epochs: neural collapse after each epoch of all experiences.
    """
    if not experiences:
        return {}
    matrix = [[finite(a) for a in e["accuracy_by_experience"]] for e in experiences]
    seen = [finite(e["accuracy_seen"]) for e in experiences]
    counts = classes_seen(e["classes"] for e in experiences)
    novelty = {score: [auroc(e, score) for e in experiences] for score in scores}
    spoken = ", ".join(f"{show(a)} at {n}" for a, n in zip(seen, counts, strict=True))
    last_row = ", ".join(map(show, matrix[-1]))
    drawn = {
        "seen": (
            line_chart({"accuracy": seen}, counts, x_name="classes seen"),
            f"Line chart: accuracy over all classes seen. {spoken}",
        ),
        "matrix": (heat_map(matrix), f"Heat map: accuracy matrix. Last row: {last_row}"),
    }
    if known := _known(novelty):
        spoken = "; ".join(f"{n}: {', '.join(show(v, '.2f') for v in novelty[n])}" for n in novelty)
        chart = line_chart(
            novelty,
            range(1, len(experiences) + 1),
            x_name="experience",
            limits=(math.floor(10 * min(*known, 0.5)) / 10, 1.0),  # chance stays in view
            spec=".1f",
            reference=0.5,
        )
        drawn["novelty"] = chart, f"Line chart: novelty AUROC after each experience. {spoken}"
    collapse = {name: [_floored(epoch.get(name)) for epoch in epochs] for name in COLLAPSE}
    if known := _known(collapse):
        last = ", ".join(f"{name} {show(epochs[-1].get(name), '.3g')}" for name in COLLAPSE)
        low, high = math.floor(math.log10(min(known))), math.ceil(math.log10(max(known)))
        chart = line_chart(
            {name.replace("_", " "): values for name, values in collapse.items()},
            range(1, len(epochs) + 1),
            x_name="epoch",
            limits=(10.0**low, 10.0 ** max(high, low + 1)),
            spec="g",
            log=True,
        )
        drawn["collapse"] = chart, f"Line chart: neural collapse after each epoch. Last: {last}"
    return drawn


def _known(series: Mapping[str, Sequence[float | None]]) -> list[float]:
    return [value for values in series.values() for value in values if value is not None]


def _floored(value: Any) -> float | None:
    number = finite(value)
    return None if number is None else max(number, _COLLAPSED)


def render_report(metrics: dict[str, Any], config: str) -> str:
    """The page about one run.

    Args:
        metrics: the content of `metrics.json`. A run that stopped early may lack `final`, and any
            figure may be null or NaN.
        config: the resolved configuration, YAML.
    """
    optional = ("class_names", "flagged", "neural_collapse", "novelty", "novelty_missing")
    experiences = [e | {key: e.get(key) or {} for key in optional} for e in metrics["experiences"]]
    scores = list(dict.fromkeys(score for e in experiences for score in e["novelty"]))
    shown = (*_SHOWN, metrics.get("novelty_score"))
    scores = [score for score in scores if score in shown] or scores
    epochs = [epoch or {} for e in experiences for epoch in e["neural_collapse"].get("epochs", ())]
    with style.context(STYLE):
        drawn = drawings(experiences, scores, epochs)
        charts = {name: to_svg(chart, name, words) for name, (chart, words) in drawn.items()}
    page = Environment(
        loader=PackageLoader("lsc_continual.runs", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template("report.html.jinja")
    return page.render(
        run=metrics,
        final=metrics.get("final") or {},
        experiences=experiences,
        scores=scores,
        flagged=list(dict.fromkeys(kind for e in experiences for kind in e["flagged"])),
        charts=charts,
        missing=[(n, why) for n, e in enumerate(experiences, 1) if (why := e["novelty_missing"])],
        matrix=[dict(enumerate(e["accuracy_by_experience"], start=1)) for e in experiences],
        epochs=epochs,
        collapse=COLLAPSE,
        config=config,
        show=show,
        mean=mean,
        abbreviate=abbreviate,
        auroc=auroc,
    )

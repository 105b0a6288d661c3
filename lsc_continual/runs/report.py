"""One training run as one self-contained HTML page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

DASH = "–"

_NOT_YET = ("within_class_variability", "equinorm", "equiangularity", "self_duality")
"""Of neural collapse, what falls to 0 as it comes about."""
_COLLAPSED = 1e-4  # what is less is drawn as this

_SHOWN = ("auto", "doubt", "knn", "mahalanobis", "gap")  # scores; metrics.json has all

# Marks (drawn around the origin) and dashes: as 6 and 5 share no factor, 30 series differ in the
# pair, and nobody has to tell them apart by colour.
_MARKS = (
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0Z",
    "M-3.5 -3.5h7v7h-7Z",
    "M0 -4.5L4.5 3.5H-4.5Z",
    "M0 -5L5 0L0 5L-5 0Z",
    "M0 4.5L4.5 -3.5H-4.5Z",
    "M-4 -4L4 4M-4 4L4 -4",
)
_DASHES = ("none", "7 3", "2 3", "9 3 2 3", "4 2")


class Series(NamedTuple):
    """One line of a chart; `None` where nothing was measured."""

    name: str
    values: Sequence[float | None]


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


def text(x: float, y: float, content: str, kind: str = "middle") -> Markup:
    """A label; `kind` names its classes in the style sheet."""
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}">{}</text>').format(kind, x, y, content)


def tooltip(content: str) -> Markup:
    """What a pointer resting on the surrounding element is shown."""
    return Markup("<title>{}</title>").format(content) if content else Markup()


def mark(index: int, x: float, y: float, tip: str = "") -> Markup:
    """The mark of series `index` at (x, y), with a tooltip."""
    markup = '<path class="s{}" d="{}" transform="translate({:.1f} {:.1f})">{}</path>'
    return Markup(markup).format(index % 6, _MARKS[index % 6], x, y, tooltip(tip))


def stroke(index: int, points: Sequence[tuple[float, float] | None]) -> Markup:
    """The line of series `index` through `points`, interrupted at every `None`."""
    path, pen = "", "M"
    for point in points:
        path += f"{pen}{point[0]:.1f} {point[1]:.1f}" if point else ""
        pen = "L" if point else "M"
    markup = '<path class="line s{}" stroke-dasharray="{}" d="{}"/>'
    return Markup(markup).format(index % 6, _DASHES[index % 5], path)


def swatch(index: int) -> Markup:
    """The legend's sample of series `index`."""
    sample = stroke(index, [(0, 7), (44, 7)]) + mark(index, 22, 7)
    markup = '<svg class="swatch" viewBox="0 0 44 14" aria-hidden="true">{}</svg>'
    return Markup(markup).format(sample)


def picture(width: float, height: float, label: str, parts: Sequence[str]) -> Markup:
    """`parts` as one image; `label` says in words what a screen reader cannot see."""
    # Within these limits the text of a wide picture is no smaller than that of a narrow one.
    limits = f"min-width: {0.6 * width:.0f}px; max-width: {1.25 * width:.0f}px"
    markup = '<svg class="chart" style="{}" viewBox="0 0 {:.0f} {:.0f}" role="img" aria-label="{}">'
    return Markup(markup + "{}</svg>").format(limits, width, height, label, Markup("").join(parts))


def line_chart(
    series: Sequence[Series],
    xs: Sequence[int],
    *,
    x_name: str,
    label: str,
    low: float = 0.0,
    high: float = 1.0,
    spec: str = ".0%",
    reference: float | None = None,
) -> Markup:
    """Lines over `xs`, the vertical axis from `low` to `high`, and a dotted line at `reference`."""
    left, right, top, bottom = 46, 468, 12, 216
    first, span = min(xs), max(xs) - min(xs)
    rule = Markup('<line class="{}" x1="{}" x2="{}" y1="{y:.1f}" y2="{y:.1f}"/>')

    def at(x: float, y: float) -> tuple[float, float]:
        across = (x - first) / span if span else 0.5
        up = (y - low) / (high - low)
        return left + 12 + (right - left - 24) * across, bottom - (bottom - top) * up

    widest = math.ceil((high - low) / 6)
    step = next((s for s in (0.1, 0.2) if high - low < 6.001 * s), widest)
    levels = [high - k * step for k in range(math.floor((high - low) / step + 1.001))]
    parts = [rule.format("grid", left, right, y=at(0, y)[1]) for y in levels]
    parts += [text(left - 6, at(0, y)[1] + 4, format(y, spec), "end") for y in levels]
    # A tick stands only where something was measured, and a dozen labels fit.
    ticks = sorted(set(xs))
    parts += [text(at(x, 0)[0], bottom + 18, str(x)) for x in ticks[:: math.ceil(len(ticks) / 12)]]
    parts += [text((left + right) / 2, bottom + 38, x_name)]
    if reference is not None:
        parts.append(rule.format("reference", left, right, y=at(0, reference)[1]))
    for index, (name, ys) in enumerate(series):
        points = [None if y is None else at(x, y) for x, y in zip(xs, ys, strict=True)]
        parts.append(stroke(index, points))
        for x, y, point in zip(xs, ys, points, strict=True):
            if point:
                parts.append(mark(index, *point, f"{name}, {x_name} {x}: {show(y, '.3f')}"))
    return picture(480, 260, label, parts)


def heat_map(rows: Sequence[Sequence[float | None]], *, label: str) -> Markup:
    """Row i, column j: accuracy after experience i on the test data of experience j, in per cent.

    Beyond 30 experiences the numbers no longer fit and remain as tooltips.
    """
    count = max(map(len, [rows, *rows]))
    numbered = count <= 30
    wide = min(max(436 / count, 32 if numbered else 8), 60)
    high = min(wide, 30)
    left, top = 44, 26
    ticks = range(0, count, 1 if numbered else 10)
    parts = [text(left + (k + 0.5) * wide, top - 8, str(k + 1)) for k in ticks]
    parts += [text(left - 8, top + (k + 0.5) * high + 4, str(k + 1), "end") for k in ticks]
    box = f'width="{wide:.1f}" height="{high:.1f}"'
    cell = Markup(f'<rect x="{{:.1f}}" y="{{:.1f}}" {box} fill-opacity="{{:.3f}}">{{}}</rect>')
    for i, row in enumerate(rows):
        for j, value in enumerate(row):
            x, y, shade = left + j * wide, top + i * high, value or 0
            tip = tooltip(f"after {i + 1}, tested on {j + 1}: {show(value)}")
            parts.append(cell.format(x, y, shade, tip))
            if numbered:
                number = DASH if value is None else f"{100 * value:.0f}"
                kind = "middle inverse" if shade > 0.65 else "middle"
                parts.append(text(x + wide / 2, y + high / 2 + 4, number, kind))
    return picture(max(480, left + wide * count + 2), top + high * len(rows) + 2, label, parts)


def auroc(experience: dict[str, Any], score: str) -> float | None:
    """The AUROC of one novelty score after `experience`, where it was measured."""
    return finite((experience["novelty"].get(score) or {}).get("auroc"))


def collapse_chart(experiences: Sequence[dict[str, Any]]) -> tuple[list[str], Markup] | None:
    """Neural collapse over the epochs of all experiences on a logarithmic axis, and the legend."""
    epochs = [epoch or {} for e in experiences for epoch in e["neural_collapse"].get("epochs", ())]
    series = [Series(name, [_log(epoch.get(name)) for epoch in epochs]) for name in _NOT_YET]
    known = [value for one in series for value in one.values if value is not None]
    if not known:
        return None
    last = ", ".join(f"{name} {show(epochs[-1].get(name), '.3g')}" for name in _NOT_YET)
    chart = line_chart(
        series,
        range(1, len(epochs) + 1),
        x_name="epoch",
        low=math.floor(min(known)),
        high=max(math.floor(min(known)) + 1, math.ceil(max(known))),
        spec=".0f",
        label=f"Line chart: neural collapse after each epoch, decimal logarithms. Last: {last}",
    )
    return [name.replace("_", " ") for name in _NOT_YET], chart


def _log(value: Any) -> float | None:
    number = finite(value)
    return None if number is None else math.log10(max(number, _COLLAPSED))


def charts(experiences: Sequence[dict[str, Any]], scores: Sequence[str]) -> dict[str, Markup]:
    """The page's charts by name; those without data are left out."""
    if not experiences:
        return {}
    matrix = [[finite(a) for a in e["accuracy_by_experience"]] for e in experiences]
    seen = [finite(e["accuracy_seen"]) for e in experiences]
    classes: set[str] = set()
    counts = [len(classes := classes | set(map(str, e["classes"]))) for e in experiences]
    spoken = ", ".join(f"{show(a)} at {n}" for a, n in zip(seen, counts, strict=True))
    last_row = ", ".join(map(show, matrix[-1]))
    drawn = {
        "seen": line_chart(
            [Series("accuracy", seen)],
            counts,
            x_name="classes seen",
            label=f"Line chart: accuracy over all classes seen. {spoken}",
        ),
        "matrix": heat_map(matrix, label=f"Heat map: accuracy matrix. Last row: {last_row}"),
    }
    novelty = [Series(score, [auroc(e, score) for e in experiences]) for score in scores]
    known = [value for one in novelty for value in one.values if value is not None]
    if known:
        spoken = "; ".join(f"{n}: {', '.join(show(v, '.2f') for v in vs)}" for n, vs in novelty)
        drawn["novelty"] = line_chart(
            novelty,
            range(1, len(experiences) + 1),
            x_name="experience",
            low=math.floor(10 * min(*known, 0.5)) / 10,  # chance stays in view
            spec=".1f",
            reference=0.5,
            label=f"Line chart: novelty AUROC after each experience. {spoken}",
        )
    return drawn


def render_report(metrics: dict[str, Any], config: str) -> str:
    """The page about one run.

    Args:
        metrics: the content of `metrics.json`. A run that stopped early may lack `final`, and any
            figure may be null or NaN.
        config: the resolved configuration, YAML.
    """
    missing: dict[str, Any] = {"novelty": {}, "flagged": {}, "neural_collapse": {}}
    experiences = [
        e | {key: e.get(key) or empty for key, empty in missing.items()}
        for e in metrics["experiences"]
    ]
    scores = list(dict.fromkeys(score for e in experiences for score in e["novelty"]))
    scores = [score for score in scores if score in _SHOWN] or scores
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
        charts=charts(experiences, scores),
        collapse=collapse_chart(experiences),
        config=config,
        show=show,
        mean=mean,
        abbreviate=abbreviate,
        auroc=auroc,
        swatch=swatch,
    )

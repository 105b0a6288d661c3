"""From the figures of many runs to one line for each strategy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from statistics import mean, stdev
from typing import Any, NamedTuple

from rich.markup import escape
from rich.table import Table

from lsc_continual.compare.compared import ComparedRun, Comparison
from lsc_continual.runs.metrics import RunMetrics, classes_seen
from lsc_continual.strategies.names import find_strategy

Figures = dict[str, float]


class Column(NamedTuple):
    """A figure of a run, and how it is shown."""

    key: str
    heading: str
    shown: Callable[[float], str]
    best: Callable[[Sequence[float]], float]


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def _seconds(value: float) -> str:
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def _bytes(value: float) -> str:
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:,.1f} GB"


COLUMNS = (
    Column("last_accuracy", "last %", _percent, max),
    Column("average_incremental_accuracy", "average %", _percent, max),
    Column("forgetting", "forgetting %", _percent, min),
    Column("auroc", "AUROC %", _percent, max),
    Column("oscr", "OSCR %", _percent, max),
    Column("train_seconds", "training s", _seconds, min),
    Column("parameters", "parameters", "{:,.0f}".format, min),
    Column("state_bytes", "state", _bytes, min),
    Column("stored_bytes", "stored", _bytes, min),
)


_NOVELTY = ("auroc", "oscr")


def figures_of(metrics: RunMetrics) -> Figures:
    """The figures of one run by column key; novelty only if measured.

    AUROC and OSCR are means over the experiences after which classes were still to come, of the
    score that the run names. Earlier versions measured less.
    """
    assert metrics.final is not None
    latest = metrics.experiences[-1]
    figures: Figures = asdict(metrics.final)
    figures["train_seconds"] = sum(entry.train_seconds for entry in metrics.experiences)
    sizes = {key: getattr(latest, key) for key in ("parameters", "state_bytes", "stored_bytes")}
    figures |= {key: size for key, size in sizes.items() if size is not None}
    novelty, _ = metrics.novelty()
    return figures | {key: novelty[key] for key in _NOVELTY if key in novelty}


def _without_novelty(runs: Sequence[RunMetrics]) -> str | None:
    """Why the runs of a strategy have no novelty figures together; None where they have."""
    scores = sorted({str(metrics.novelty_score) for metrics in runs})
    if len(scores) > 1:
        return f"the seeds have different scores, {' and '.join(scores)}"
    reasons = {metrics.seed: metrics.novelty()[1] for metrics in runs}
    said = [f"seed {seed}: {why}" for seed, why in reasons.items() if why is not None]
    if len(said) == len(runs) and len(set(reasons.values())) == 1:
        return next(iter(reasons.values()), None)
    return "; ".join(said) or None


def summarize(comparison: Comparison, problems: Mapping[ComparedRun, str]) -> dict[str, Any]:
    """What `comparison.json` holds: a row for each strategy, over the seeds that finished.

    Args:
        problems: of runs that did not finish, in a sentence each.
    """
    rows, environment = [], None
    for strategy in comparison.strategies:
        planned = [run for run in comparison.runs if run.strategy == strategy]
        runs = [run.folder.metrics() for run in planned if run not in problems]
        environment = environment or (runs[0].environment if runs else None)
        figures = [figures_of(metrics) for metrics in runs]
        missing = _without_novelty(runs)
        names = [key for key in (figures[0] if figures else ()) if all(key in f for f in figures)]
        if missing is not None:
            names = [key for key in names if key not in _NOVELTY]
        rows.append(
            {
                "strategy": strategy,
                "bound": find_strategy(strategy).bound,
                "novelty_score": next((m.novelty_score for m in runs if m.novelty_score), None),
                "novelty_missing": missing,
                "seeds": [metrics.seed for metrics in runs],
                "figures": {key: _spread([f[key] for f in figures]) for key in names},
                "curve": _curve(runs),
                "problems": {
                    str(run.settings.seed): problems[run] for run in planned if run in problems
                },
            }
        )
    return {
        "scenario": comparison.scenario,
        "seeds": list(comparison.seeds),
        "settings": list(comparison.settings),
        "environment": environment,
        "rows": rows,
    }


def _spread(values: Sequence[float]) -> dict[str, Any]:
    """Mean and sample standard deviation, and what they are of."""
    sd = stdev(values) if len(values) > 1 else None
    return {"mean": mean(values), "sd": sd, "values": list(values)}


def _curve(runs: Sequence[RunMetrics]) -> list[dict[str, Any]]:
    """Accuracy over all classes seen, at each number of them."""
    points: dict[int, list[float]] = {}
    for metrics in runs:
        counts = classes_seen(entry.classes for entry in metrics.experiences)
        for count, entry in zip(counts, metrics.experiences, strict=True):
            points.setdefault(count, []).append(entry.accuracy_seen)
    return [{"classes": count, **_spread(values)} for count, values in sorted(points.items())]


def label_of(row: Mapping[str, Any]) -> str:
    """What a row is called where it is shown."""
    return f"{row['strategy']} (bound)" if row["bound"] else str(row["strategy"])


def table_of(summary: Mapping[str, Any]) -> Table:
    """The rows as a table: mean ± standard deviation, the best in bold."""
    seeds = ", ".join(map(str, summary["seeds"]))
    title = f"{summary['scenario']}: mean ± standard deviation over seeds {seeds}"
    if len(summary["seeds"]) == 1:
        title = f"{summary['scenario']}, seed {seeds}"
    table = Table(title=title, title_justify="left", caption_justify="left")
    table.add_column("strategy")
    for column in COLUMNS:
        table.add_column(column.heading, justify="right")
    table.add_column("novelty score")
    if any(row["problems"] for row in summary["rows"]):
        table.add_column("not finished", overflow="fold")
    best = {column.key: _best(summary["rows"], column) for column in COLUMNS}
    without = []
    for row in summary["rows"]:
        cells = [_cell(row, column, best[column.key]) for column in COLUMNS]
        problems = "\n".join(f"seed {n}: {text}" for n, text in row["problems"].items())
        last = [escape(problems)] if problems else []
        table.add_row(label_of(row), *cells, row["novelty_score"] or "–", *last)
        if row["novelty_missing"] is not None:
            without.append(f"– AUROC and OSCR of {row['strategy']}: {row['novelty_missing']}")
    table.caption = escape("\n".join(without))
    return table


def _best(rows: Sequence[Mapping[str, Any]], column: Column) -> float | None:
    means = [
        row["figures"][column.key]["mean"]
        for row in rows
        if not row["bound"] and column.key in row["figures"]
    ]
    return column.best(means) if len(means) > 1 else None


def _cell(row: Mapping[str, Any], column: Column, best: float | None) -> str:
    if column.key not in row["figures"]:
        return "–"
    spread = row["figures"][column.key]
    text = column.shown(spread["mean"])
    if spread["sd"]:  # none where seeds agree, as in the number of parameters
        text += f" ± {column.shown(spread['sd'])}"
    return f"[bold]{text}[/]" if spread["mean"] == best and not row["bound"] else text

"""arXiv 2310.08224, appendix D: the vertices that are left, as targets of arriving classes.

The paper's appendix D suggests, without trying, that the 2^d − K vertices that no class occupies
could serve to learn new classes. Here each arriving class is given a vertex by this package's `LSC`
(`system=hypercube`), beside the default, V21, in as many dimensions: Fashion-MNIST, ten classes in
five experiences, 200 stored images. All of that is our choice; two class orders at least, of
which the spread is shown. The penalty (`loss.collapse=exponential`, the one that is strong from the
first epoch) needs a loss that sees the norm, so it is compared with vertices whose embeddings are
taken as they are, in 32 dimensions, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import mean, stdev

from matplotlib.figure import Figure

from experiments.outcome import Finding, Outcome, Row, Table, Verdict, spreads
from experiments.running import final_figures, run_and_read
from experiments.settings import Settings, option
from lsc_continual.bench.plots import panels

TITLE = "Vertices of the hypercube as targets of arriving classes"
PAPER = "arXiv 2310.08224"

_DIMS = (8, 32)
_LEVEL = 1.0
"""Points of accuracy by which two kinds of targets may differ and be called level."""
_VARIANTS: dict[str, list[str]] = {
    f"{system}, {dim} dimensions": [f"system={system}", f"system.dim={dim}"]
    for system in ("hypercube", "v21")
    for dim in _DIMS
}
_RAW = ["system=hypercube", f"system.dim={_DIMS[-1]}", "loss.normalize=false"]
_VARIANTS["raw embeddings"] = _RAW
_VARIANTS["raw, with the penalty"] = [*_RAW, "loss.collapse=exponential"]


@dataclass(frozen=True)
class Options:
    """Settings of all runs."""

    size: tuple[str, ...] = option(
        (
            "data.train_per_class=500",
            "encoder=mlp",
            "train.epochs=5",
            "train.batch_size=32",
            "replay.size=200",
        ),
        ("encoder=resnet-small", "train.epochs=10", "replay.size=500"),
    )


def measure(settings: Settings, options: Options) -> Outcome:
    """Ten classes in five experiences, with vertices and with V21 as targets."""
    seeds = range(max(2, settings.seeds))  # one class order says little
    found: dict[str, list[dict[str, float]]] = {}
    for name, variant in _VARIANTS.items():
        settings.say(name)
        overrides = [*options.size, *variant, "novelty.holdout=0"]
        runs = (run_and_read("split-fashion-mnist", overrides, settings, seed) for seed in seeds)
        found[name] = [final_figures(run) for run in runs]
    rows: list[Row] = [{"targets": name} | spreads(runs) for name, runs in found.items()]
    return Outcome(
        _findings(found),
        [Table(f"Fashion-MNIST, ten classes in five experiences, {len(seeds)} seeds", rows)],
        {"accuracy": _draw(found)},
    )


def _findings(found: dict[str, list[dict[str, float]]]) -> list[Finding]:
    def last(name: str) -> list[float]:
        return [100 * each["last_accuracy"] for each in found[name]]

    def gain(name: str, other: str) -> tuple[list[float], str]:
        """Of one kind of targets over another, seed by seed, and in words."""
        gains = [a - b for a, b in zip(last(name), last(other))]
        words = (
            f"{mean(last(name)):.1f} against {mean(last(other)):.1f} % "
            f"({mean(gains):+.1f} ± {stdev(gains):.1f})"
        )
        return gains, words

    compared = {
        dim: gain(f"hypercube, {dim} dimensions", f"v21, {dim} dimensions") for dim in _DIMS
    }
    gains, words = gain("raw, with the penalty", "raw embeddings")
    return [
        Finding(
            "Vertices that no class occupies could serve classes to come (suggested, not tried): "
            "as targets they are as good as V21, within a point.",
            "last accuracy, vertices against V21, "
            + "; ".join(f"{dim} dimensions: {text}" for dim, (_, text) in compared.items()),
            Verdict.of(*(mean(some) >= -_LEVEL for some, _ in compared.values())),
        ),
        Finding(
            "The penalty helps there, too (our question): with every seed.",
            f"last accuracy with it against without {words}",
            Verdict.of(*(each > 0 for each in gains)),
        ),
    ]


def _draw(found: dict[str, list[dict[str, float]]]) -> Figure:
    figure, (axes,) = panels(1, height=2.8)
    for number, runs in enumerate(found.values()):
        values = [100 * each["last_accuracy"] for each in runs]
        axes.plot(values, [number] * len(values), "C0o", alpha=0.6)
        axes.plot(mean(values), number, "k|", markersize=14)
    axes.set(yticks=range(len(found)), yticklabels=list(found), xlabel="last accuracy, %")
    axes.invert_yaxis()
    return figure

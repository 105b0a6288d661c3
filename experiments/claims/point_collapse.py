"""arXiv 2310.08224: a strong penalty on the latent collapses each class to one point.

L = CE + γ · mean(z²) on the latent z before the last linear layer, with γ from 1e-2 to 1e6, against
the same network without the penalty ("linear"), after a non-linear layer (SiLU), and without a
penultimate layer. From the paper and its authors' code: the loss, the end points and the geometric
growth of γ, AdamW with weight decay 5e-4, a classifier without bias whose learning rate does not
decay. `--full` follows the published course (800 epochs, γ × 1.05 each) with a ResNet-18; the
paper's CIFAR-100 network is a ResNet-50, its augmentation is left out, and the learning rate
of the rest falls along a cosine, as in the authors' newer code.

What the quick setting changes is ours: a perceptron, images of 14×14, twelve epochs, in which γ
goes from end point to end point within 5,300 steps instead of 148,000. The latent vanishes as γ
grows (accuracy of chance) unless the classifier's weights grow as fast. They do so by steps of the
size of the learning rate, so that of the classifier is 150 times that of the rest, for all
variants, and its weight decay as much less.

"Within" is the trace of the covariance within a class, of 10,000 training images at most, while the
authors' code takes the mean of the matrix's elements: only ratios can be compared with the paper.
As all of the latent shrinks, what the variance is by that between classes is judged beside it.
There, training images that the network gets wrong count much; "by answer" are the same figures with
what the network says for the class, as in the authors' code.
"""

from __future__ import annotations

from matplotlib.figure import Figure
from torch import Tensor

from experiments.claims.penalised_networks import (
    TITLES,
    Options,
    figures_of,
    images_of,
    network_of,
    variants,
)
from experiments.outcome import Finding, Outcome, Row, Table, Verdict, averaged
from experiments.settings import Settings
from experiments.training import outputs
from lsc_continual.bench.plots import draw_lines, panels

TITLE = "Latent Point Collapse: each class at one point"
PAPER = "arXiv 2310.08224"

_ALLOWED = 0.5
"""Points of accuracy by which two networks may differ and be called level."""
_PAIR = ("LPC", "linear")
_WITHOUT = ("linear", "not linear", "no penultimate")


def measure(settings: Settings, options: Options) -> Outcome:
    """All variants on all data sets."""
    results: dict[str, dict[str, Row]] = {}
    courses: list[Row] = []
    latents: dict[str, Tensor] = {}
    for scenario in options.scenarios:
        title = TITLES[scenario]
        data = images_of(scenario, settings, options)
        results[title] = {}
        for name in variants(options.wide):
            rows = []
            for seed in range(settings.seeds):
                result = network_of(scenario, name, seed, settings, options)
                rows.append(row := figures_of(result.network, data))
                settings.say(
                    f"{title}, {name}, seed {seed}: {row['test accuracy']:.2f} %, "
                    f"within / between {row['within / between']:.1e}"
                )
            (results[title][name],) = averaged(rows, by=())
            if name in _PAIR:
                courses += [{"network": f"{title}, {name}"} | row for row in result.course]
                if title == "Fashion-MNIST":
                    latents[name] = outputs(result.network.latent, data.test.images).cpu()
    return Outcome(
        _findings(results),
        [table for title, rows in results.items() for table in _tables(title, rows)],
        {
            "latent": _draw_latent(latents),
            "spread": draw_lines(
                courses,
                x="training, %",
                y=["variance within a class", "within / between"],
                line="network",
                log="y",
                marked=False,
            ),
        },
    )


def _findings(results: dict[str, dict[str, Row]]) -> list[Finding]:
    def having(*names: str) -> list[list[Row]]:
        """The figures of these variants, of each data set."""
        return [[rows[name] for name in names] for rows in results.values()]

    def each(text: str, *names: str) -> str:
        """`text` for each data set, filled in."""
        return "; ".join(
            f"{title}: {text.format(*rows)}" for title, rows in zip(results, having(*names))
        )

    pairs = having(*_PAIR)
    gains = [lpc["test accuracy"] - linear["test accuracy"] for lpc, linear in pairs]

    def collapse(*keys: str) -> Verdict:
        return Verdict.of(*(10 * lpc[key] <= linear[key] for key in keys for lpc, linear in pairs))

    absolute = "{0[within]:.1e} against {1[within]:.1e}"
    relative = (
        "{0[within / between]:.1e} against {1[within / between]:.1e} by label, {0[by answer]:.1e} "
        "against {1[by answer]:.1e} by answer, {0[test: by answer]:.1e} against "
        "{1[test: by answer]:.1e} on test images"
    )
    accuracies = "{0[test accuracy]:.2f} % against {1[test accuracy]:.2f} %"
    training = "{0[training accuracy]:.1f} % against {1[training accuracy]:.1f} %"
    modes = (
        "{0[in two modes, %]:.0f} % against {1[in two modes, %]:.0f} %, "
        "class means at {0[vertices]:g} vertices"
    )
    return [
        Finding(
            "The penalty collapses the variance within a class: 3.2e-12 against 0.671 "
            "(CIFAR-100), 1.2e-12 against 6.9 (CIFAR-10).",
            each(absolute, "LPC", "linear"),
            collapse("within"),
        ),
        Finding(
            "It is not only that everything shrinks: divided by the variance between classes, the "
            "variance within falls, too (our test: at least tenfold).",
            each(relative, "LPC", "linear"),
            collapse("within / between", "by answer", "test: by answer"),
        ),
        Finding(
            "That costs no accuracy (ours: no more than half a point).",
            each(accuracies, "LPC", "linear"),
            Verdict.of(*(gain >= -_ALLOWED for gain in gains)),
        ),
        Finding(
            "It improves accuracy: 77.90 against 76.51 % (CIFAR-100), 94.86 against 94.53 % "
            "(CIFAR-10).",
            each(accuracies, "LPC", "linear"),
            Verdict.of(*(gain > 0 for gain in gains)),
        ),
        Finding(
            "The latent becomes binary: every coordinate takes one of two values, so that classes "
            "sit on vertices of a hypercube.",
            "coordinates in two modes " + each(modes, "LPC", "linear"),
            Verdict.of(*(lpc["in two modes, %"] >= 90 for lpc, _ in pairs)),
        ),
        Finding(
            "All latents have nearly the same norm: coefficient of variation 0.085 against 0.10 "
            "to 0.21.",
            each("{0[variation of ‖z‖]:.3f} against {1[variation of ‖z‖]:.3f}", "LPC", "linear"),
            Verdict.of(
                *(
                    lpc["variation of ‖z‖"] < min(row["variation of ‖z‖"] for row in others)
                    for lpc, *others in having("LPC", *_WITHOUT)
                )
            ),
        ),
        Finding(
            "After a non-linear penultimate layer the strong penalty stops training from "
            "converging.",
            "training accuracy after a SiLU against that after a linear layer, "
            + each(training, "LPC, not linear", "LPC"),
            Verdict.of(
                *(
                    curved["training accuracy"] < linear["training accuracy"] - _ALLOWED
                    for curved, linear in having("LPC, not linear", "LPC")
                )
            ),
        ),
        Finding(
            "A wide or a narrow penultimate layer is less good: 75.87 % and 74.90 % against 77.90 "
            "(CIFAR-100).",
            each(
                "{0[test accuracy]:.2f} %, {1[test accuracy]:.2f} % against {2[test accuracy]:.2f}",
                "LPC, wide",
                "LPC, narrow",
                "LPC",
            ),
            Verdict.of(
                *(
                    lpc["test accuracy"] > row["test accuracy"]
                    for lpc, *others in having("LPC", "LPC, wide", "LPC, narrow")
                    for row in others
                )
            ),
        ),
    ]


def _tables(title: str, results: dict[str, Row]) -> list[Table]:
    keys = list(next(iter(results.values())))
    return [
        Table(
            f"{title}: {about}",
            [
                {"network": name} | {key: _shown(row[key], key) for key in some if key in row}
                for name, row in results.items()
            ],
        )
        for about, some in (("accuracy and collapse", keys[:7]), ("geometry", keys[7:]))
    ]


def _shown(value: float, key: str) -> float | str:
    """Small figures as powers of ten; two decimals would hide them."""
    if "within" in key or "answer" in key:
        return f"{value:.1e}"
    if key == "vertices":
        return f"{value:g}"
    return f"{value:.3f}" if key == "variation of ‖z‖" else float(value)


def _draw_latent(latents: dict[str, Tensor]) -> Figure:
    figure, places = panels(2, height=3.2, sharey=True)
    for axes, (name, z) in zip(places, latents.items()):
        scaled = z / z.square().mean(0).sqrt()
        axes.hist(scaled.flatten().numpy(), bins=150, range=(-2.5, 2.5), density=True)
        axes.set(title=name, xlabel="coordinate by its root mean square")
    figure.supylabel("density, test images", fontsize="medium")
    return figure

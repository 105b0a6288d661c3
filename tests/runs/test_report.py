"""The report is a well-formed page that needs nothing but itself, whatever the run did."""

from __future__ import annotations

import copy
import math
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from lsc_continual.runs.report import (
    collapse_chart,
    heat_map,
    line_chart,
    mean,
    render_report,
    stroke,
)

VOID = {"br", "hr", "img", "input", "link", "meta"}
FETCHING = {"src", "srcset", "href", "xlink:href", "poster", "data", "action", "background"}
CONFIG = "scenario: split-digits\nstrategy: lsc\n"


class Page(HTMLParser):
    """Reads a page and fails on a tag that is not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style" and data.strip():
            self.words.append(" ".join(data.split()))

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)


def novelty(mass: float | None, ambiguity: float | None) -> dict[str, Any]:
    return {
        "mass": {"auroc": mass, "fpr95": 0.4, "oscr": 0.9},
        "ambiguity": {"auroc": ambiguity, "fpr95": 0.5, "oscr": 0.8},
    }


def experience(classes: list[Any], by_experience: list[Any], **changes: Any) -> dict[str, Any]:
    return {
        "classes": classes,
        "accuracy_seen": 0.905,
        "accuracy_by_experience": by_experience,
        "parameters": 123456,
        "state_bytes": 495000,
        "train_seconds": 1.2,
        "images_per_second": 3400.0,
        "novelty": {},
    } | changes


@pytest.fixture
def metrics() -> dict[str, Any]:
    return {
        "scenario": "split-digits",
        "strategy": "lsc",
        "seed": 7,
        "environment": {"python": "3.11.7", "cpu_threads": 2, "device": "cpu"},
        "experiences": [
            experience([3, 7], [0.99], novelty=novelty(0.913, 0.845)),
            experience([1, 4], [0.94, 0.98], novelty=novelty(0.881, 0.416)),
            experience([0, 9], [0.61, 0.82, 0.96]),
        ],
        "final": {
            "last_accuracy": 0.797,
            "average_incremental_accuracy": 0.882,
            "forgetting": 0.123,
        },
    }


def test_the_page_is_well_formed_and_says_what_was_measured(metrics: dict[str, Any]) -> None:
    page = Page(render_report(metrics, CONFIG))
    words = page.words
    assert words.count("split-digits · lsc · seed 7") == 2, "title and heading"
    for headline in ("79.7%", "88.2%", "12.3%"):
        assert headline in words
    assert "71.5%" in words, "old classes after experience 3: the mean of 61 % and 82 %"
    for figure in ("96.0%", "0.913", "0.416", "3,400", "123,456", "495,000", "3.11.7", "3, 7"):
        assert figure in words
    assert CONFIG.split("\n")[0] in " ".join(words)


def test_sections_stand_in_the_order_of_a_readers_questions(metrics: dict[str, Any]) -> None:
    html = render_report(metrics, CONFIG)
    headings = re.findall(r"<h2>(.*?)</h2>", html) + re.findall(r"<summary>(.*?)<", html)
    assert headings == [
        "Accuracy as classes arrive",
        "Accuracy matrix",
        "Experiences",
        "Novelty",
        "Environment",
        "Configuration",
    ]


def test_every_chart_is_an_image_with_a_label_and_a_caption(metrics: dict[str, Any]) -> None:
    page = Page(render_report(metrics, CONFIG))
    charts = [a for tag, a in page.tags if tag == "svg" and a.get("aria-hidden") != "true"]
    assert len(charts) == 3
    assert all(chart["role"] == "img" and chart["aria-label"] for chart in charts)
    assert page.count("figcaption") == page.count("figure") == 4, "three charts and the table"


def test_the_heat_map_has_a_cell_for_each_measured_pair(metrics: dict[str, Any]) -> None:
    rows = [e["accuracy_by_experience"] for e in metrics["experiences"]]
    page = Page(heat_map(rows, label="matrix"))
    shades = [float(a["fill-opacity"] or "") for tag, a in page.tags if tag == "rect"]
    assert shades == [0.99, 0.94, 0.98, 0.61, 0.82, 0.96]
    assert [w for w in page.words if len(w) == 2] == ["99", "94", "98", "61", "82", "96"]


def test_scores_differ_by_mark_and_dash_not_only_by_colour(metrics: dict[str, Any]) -> None:
    scores = {f"score {i}": {"auroc": 0.5 + i / 60} for i in range(30)}
    metrics["experiences"][0]["novelty"] = scores
    metrics["experiences"][1]["novelty"] = {}
    html = render_report(metrics, CONFIG)
    legend = re.findall(r'<li>.*?stroke-dasharray="(.*?)".*? d="(M[^"]*Z?)" trans', html)
    assert len(legend) == len(set(legend)) == 30


def test_a_line_is_interrupted_where_nothing_was_measured() -> None:
    path = Page(stroke(0, [(0, 1), None, (2, 3), (4, 5)])).tags[0][1]["d"]
    assert path == "M0.0 1.0M2.0 3.0L4.0 5.0"


def test_text_from_outside_is_escaped_everywhere(metrics: dict[str, Any]) -> None:
    attack = "<script>alert(1)</script>"
    quoted = f'"{attack}'
    metrics |= {"scenario": attack, "strategy": attack, "environment": {attack: attack}}
    metrics["experiences"][0] |= {"classes": [attack, 7], "novelty": {quoted: {"auroc": 0.9}}}
    html = render_report(metrics, f"# {attack}")
    page = Page(html)
    assert page.count("script") == 0
    assert attack not in html
    assert f"{attack}, 7" in page.words


def test_an_unfinished_run_shows_what_it_has(metrics: dict[str, Any]) -> None:
    del metrics["experiences"][1:]
    null = copy.deepcopy(metrics) | {"final": None}
    del metrics["final"]
    for unfinished in (metrics, null):
        words = Page(render_report(unfinished, CONFIG)).words
        assert "Not finished: 1 experience so far." in words
        assert "–" in words
        assert "99.0%" in words


def test_a_run_without_any_experience_still_has_a_page(metrics: dict[str, Any]) -> None:
    page = Page(render_report(metrics | {"experiences": [], "final": None}, CONFIG))
    assert page.count("svg") == 0
    assert "Not finished: 0 experiences so far." in page.words


@pytest.mark.parametrize("missing", [None, math.nan, math.inf])
def test_a_missing_figure_is_a_dash(metrics: dict[str, Any], missing: float | None) -> None:
    metrics["final"]["forgetting"] = missing
    metrics["experiences"][1] = experience(
        [1, 4],
        [missing, 0.98],
        accuracy_seen=missing,
        parameters=missing,
        state_bytes=missing,
        images_per_second=missing,
        novelty={"mass": {"auroc": missing}, "ambiguity": None},
    )
    html = render_report(metrics, CONFIG)
    page = Page(html)
    row = html.split("<tbody>")[1].split("</tr>")[1]
    # Seen, old, both scores, images/s, parameters and state; not "new", which was measured.
    assert Page(row + "</tr>").words.count("–") == 7
    assert not re.search(r"\b(nan|inf|None)\b", " ".join(page.words), re.IGNORECASE)
    assert not re.search(r'="[^"]*\b(nan|inf|None)\b', html)


def test_a_mean_does_not_pass_over_what_is_missing() -> None:
    assert mean([0.25, 0.75]) == 0.5
    assert mean([0.25, None]) is None
    assert mean([]) is None


def test_classes_that_return_are_counted_once() -> None:
    metrics = {
        "scenario": "s",
        "strategy": "lsc",
        "seed": 0,
        "environment": {},
        "experiences": [experience([0, 1], [0.9]), experience([1, 2], [0.9, 0.9])],
    }
    assert "90.5% at 2, 90.5% at 3" in render_report(metrics, CONFIG)


def test_the_axis_reaches_down_to_the_worst_score() -> None:
    def lowest(low: float) -> str:
        chart = line_chart([], [1, 2], x_name="x", label="", low=low, spec=".1f")
        return str(re.findall(r'class="end"[^>]*>([^<]*)', chart)[-1])

    assert [lowest(low) for low in (0.5, 0.4, 0.2, 0.0)] == ["0.5", "0.4", "0.2", "0.0"]


def test_the_page_fetches_nothing(metrics: dict[str, Any]) -> None:
    html = render_report(metrics, CONFIG)
    page = Page(html)
    assert not re.search(r"https?://", html)
    assert "url(" not in html
    assert "@import" not in html
    assert not [(tag, a) for tag, a in page.tags if FETCHING & a.keys()]
    assert not {"script", "link", "iframe", "img"} & {tag for tag, _ in page.tags}


@pytest.mark.parametrize("variability", [1e-9, 0.5, 3e5, 1e40])
def test_neural_collapse_of_any_size_is_drawn(variability):
    epoch = {"within_class_variability": variability, "equinorm": 0.1, "equiangularity": None}
    chart = collapse_chart([{"neural_collapse": {"epochs": [epoch, None, epoch]}}])
    assert chart is not None
    assert chart[1].count("<path") > 3

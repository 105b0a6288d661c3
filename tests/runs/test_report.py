"""The report is a well-formed page that needs nothing but itself, whatever the run did."""

from __future__ import annotations

import copy
import math
import re
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from lsc_continual.runs.report import COLLAPSE, mean, render_report

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


def charts_of(html: str) -> list[str]:
    return re.findall("<svg .*?</svg>", html, re.DOTALL)


def novelty(mass: float | None, ambiguity: float | None) -> dict[str, Any]:
    return {
        "mass": {"auroc": mass, "fpr95": 0.4, "oscr": 0.9},
        "ambiguity": {"auroc": ambiguity, "fpr95": 0.5, "oscr": 0.8},
    }


def experience(classes: list[Any], by_experience: list[Any], **changes: Any) -> dict[str, Any]:
    return {
        "classes": classes,
        "accuracy_seen": 0.9 - 0.05 * len(by_experience),
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
        "in numbers",
        "Configuration",
    ]


def test_every_chart_is_an_image_with_a_label_and_a_caption(metrics: dict[str, Any]) -> None:
    page = Page(render_report(metrics, CONFIG))
    charts = [a for tag, a in page.tags if tag == "svg"]
    assert [chart["role"] for chart in charts] == ["img"] * 3
    assert [chart["aria-label"] for chart in charts] == [
        "Line chart: accuracy over all classes seen. 85.0% at 2, 80.0% at 4, 75.0% at 6",
        "Heat map: accuracy matrix. Last row: 61.0%, 82.0%, 96.0%",
        "Line chart: novelty AUROC after each experience. mass: 0.91, 0.88, –; "
        "ambiguity: 0.84, 0.42, –",
    ]
    assert page.count("figcaption") == page.count("figure") == 4, "three charts and the table"


def test_numbers_that_charts_do_not_spell_out_are_in_tables(metrics: dict[str, Any]) -> None:
    names = dict.fromkeys(COLLAPSE, 0.0123)
    metrics["experiences"][0]["neural_collapse"] = {"epochs": [names, names | {"equinorm": None}]}
    words = Page(render_report(metrics, CONFIG)).words
    assert words.count("0.0123") == 7
    assert {"94.0%", "61.0%", "82.0%"} <= set(words), "of the matrix"


def contrast(one: Any, other: Any) -> float:
    """The contrast ratio of the Web Content Accessibility Guidelines 2.1."""

    def luminance(colour: Any) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05

    ratio = luminance(one) / luminance(other)
    return max(ratio, 1 / ratio)


def test_charts_are_legible_in_light_and_dark(metrics: dict[str, Any]) -> None:
    scores = {f"score {n}": {"auroc": 0.9} for n in range(9)}
    metrics["experiences"][0] |= {"novelty": scores, "accuracy_by_experience": [1.0]}
    html = render_report(metrics, CONFIG)
    papers = re.findall("--paper: (#[0-9a-f]+); --ink: (#[0-9a-f]+);", html)
    colours = set(re.findall("(?:stroke|fill): (#[0-9a-f]+)", "".join(charts_of(html))))
    assert (len(papers), len(colours)) == (2, 4)
    cells = re.findall("fill: (#[0-9a-f]+); fill-opacity: ([0-9.]+)", html)
    opacity, cell = max((float(opacity), cell) for cell, opacity in cells)
    for paper, ink in ([to_rgb(colour) for colour in pair] for pair in papers):
        assert all(contrast(to_rgb(colour), paper) > 3 for colour in colours)
        shade = opacity * np.array(to_rgb(cell)) + (1 - opacity) * np.array(paper)
        assert contrast(shade, ink) > 4.5, "the number in a full cell"


def test_text_from_outside_is_escaped_everywhere(metrics: dict[str, Any]) -> None:
    attack = "<script>alert(1)</script>"
    quoted = f'"{attack} -->$x^$'
    metrics |= {"scenario": attack, "strategy": attack, "environment": {attack: attack}}
    scores = {quoted: {"auroc": 0.9}, "other": {"auroc": 0.8}}
    metrics["experiences"][0] |= {"classes": [attack, 7], "novelty": scores}
    metrics["experiences"][1] |= {"class_names": [attack, "seven"]}
    html = render_report(metrics, f"# {attack}")
    page = Page(html)
    assert page.count("script") == 0
    assert attack not in html
    assert page.words.count(quoted) == 2, "in the table and in the legend"
    assert f"{attack}, 7" in page.words
    assert f"{attack}, seven" in page.words


def test_classes_go_by_their_names_where_these_are_known(metrics: dict[str, Any]) -> None:
    metrics["experiences"][0]["class_names"] = ["wren", "lynx"]
    metrics["experiences"][1]["class_names"] = None
    words = Page(render_report(metrics, CONFIG)).words
    assert "wren, lynx" in words
    assert "3, 7" not in words
    assert "1, 4" in words


def test_a_score_that_was_not_measured_has_a_dash_in_its_own_column(
    metrics: dict[str, Any],
) -> None:
    for experience, score in zip(metrics["experiences"], ("auto", "doubt", "gap"), strict=True):
        experience["novelty"] = {score: {"auroc": 0.75}}
    rows = render_report(metrics, CONFIG).split("<th>gap</th>")[1].split("<tbody>")[1]
    cells = [re.findall(r"<td>([^<]*)</td>", row)[4:7] for row in rows.split("</tr>")[:3]]
    assert cells == [["0.750", "–", "–"], ["–", "0.750", "–"], ["–", "–", "0.750"]]


def test_the_runs_own_score_is_shown_beside_the_usual_ones(metrics: dict[str, Any]) -> None:
    scores = {name: {"auroc": 0.75} for name in ("auto", "mass", "norm")}
    metrics["experiences"][0]["novelty"] = scores
    metrics["novelty_score"] = "norm"
    html = render_report(metrics, CONFIG)
    assert [name for name in scores if f"<th>{name}</th>" in html] == ["auto", "norm"]


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
    row = html.split("<tbody>")[2].split("</tr>")[1]  # in the table of experiences
    # Seen, old, both scores, images/s, parameters and state; not "new", which was measured.
    assert Page(row + "</tr>").words.count("–") == 7
    assert not re.search(r"\b(nan|inf|None)\b", " ".join(page.words), re.IGNORECASE)
    assert not re.search(r'="[^"]*\b(nan|inf|None)\b', html)


def test_a_mean_does_not_pass_over_what_is_missing() -> None:
    assert mean([0.25, 0.75]) == 0.5
    assert mean([0.25, None]) is None
    assert mean([]) is None


def test_the_page_fetches_nothing(metrics: dict[str, Any]) -> None:
    html = render_report(metrics, CONFIG)
    page = Page(html)
    assert not re.search(r"https?://", html)
    assert "@import" not in html
    assert not {"script", "link", "iframe", "img", "image"} & {tag for tag, _ in page.tags}
    ids = [a["id"] for _, a in page.tags if "id" in a]
    references = re.findall(r"url\(([^)]*)\)", html)
    references += [str(a[name]) for _, a in page.tags for name in FETCHING & a.keys()]
    assert references
    assert {reference[:1] for reference in references} == {"#"}, "only parts of the page itself"
    for reference in references:  # a mark that two figures share would be drawn in one only
        assert reference[1:] in ids


def test_parts_of_charts_do_not_mix(metrics: dict[str, Any]) -> None:
    charts = charts_of(render_report(metrics, CONFIG))
    ids = [{e.get("id") for e in ElementTree.fromstring(chart).iter()} - {None} for chart in charts]
    assert all(ids)
    assert not ids[0] & ids[1] | ids[1] & ids[2] | ids[0] & ids[2]


def test_the_same_figures_give_the_same_page_whatever_the_users_style(
    metrics: dict[str, Any],
) -> None:
    html = render_report(metrics, CONFIG)
    with matplotlib.rc_context({"text.usetex": True, "lines.linewidth": 9, "font.size": 20}):
        assert render_report(metrics, CONFIG) == html


def test_a_dash_has_its_reason(metrics):
    first, *_ = metrics["experiences"]
    metrics["novelty_score"] = "auto"
    first["novelty_missing"] = "3 <held out> are too few"
    text = render_report(metrics, "")
    assert "– for auto after 1: 3 &lt;held out&gt; are too few" in text

"""Charts show what was measured, and series can be told apart without colour."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure

from lsc_continual.runs.charts import heat_map, line_chart, to_svg
from lsc_continual.runs.report import drawings
from tests.runs.test_report import experience, novelty


def lines(figure: Figure) -> dict[str, np.ndarray]:
    """The points of each line, [2, N], by its name."""
    return {str(line.get_label()): line.get_data(orig=True) for line in figure.axes[0].lines}


def test_the_charts_show_what_was_measured() -> None:
    nan = math.nan
    experiences = [
        experience([3, 7], [0.99], novelty=novelty(0.913, 0.845)),
        experience([1, 4], [0.94, None], novelty=novelty(None, 0.416)),
        experience([0, 9], [0.61, 0.82, 0.96], accuracy_seen=nan),
    ]
    drawn = drawings(experiences, ["mass", "ambiguity"], [])
    seen = lines(drawn["seen"][0])
    np.testing.assert_allclose(seen.pop("accuracy"), [[2, 4, 6], [0.85, 0.8, nan]])
    assert not seen
    scores = lines(drawn["novelty"][0])
    np.testing.assert_array_equal(scores.pop("mass"), [[1, 2, 3], [0.913, nan, nan]])
    np.testing.assert_array_equal(scores.pop("ambiguity"), [[1, 2, 3], [0.845, 0.416, nan]])
    ((_, chance),) = scores.values()
    assert set(chance) == {0.5}
    (mesh,) = drawn["matrix"][0].axes[0].collections
    expected = [[0.99, nan, nan], [0.94, nan, nan], [0.61, 0.82, 0.96]]
    np.testing.assert_array_equal(mesh.get_array().filled(nan), expected)


def test_classes_that_return_are_counted_once() -> None:
    experiences = [experience([0, 1], [0.9]), experience([1, 2], [0.9, 0.9])]
    figure, words = drawings(experiences, [], [])["seen"]
    assert list(lines(figure)["accuracy"][0]) == [2, 3]
    assert words.endswith("85.0% at 2, 80.0% at 3")


@pytest.mark.parametrize(("worst", "lowest"), [(0.95, 0.5), (0.42, 0.4), (0.2, 0.2), (0.0, 0.0)])
def test_the_axis_reaches_down_to_chance_and_to_the_worst_score(worst, lowest) -> None:
    measured = [experience([0, 1], [0.9], novelty=novelty(0.99, worst))]
    figure, _ = drawings(measured, ["mass", "ambiguity"], [])["novelty"]
    assert figure.axes[0].get_ylim() == (lowest, 1.0)


@pytest.mark.parametrize("variability", [1e-9, 0.5, 3e5, 1e40])
def test_neural_collapse_of_any_size_is_drawn(variability: float) -> None:
    epoch = {"within_class_variability": variability, "equinorm": 0.1, "equiangularity": None}
    figure, words = drawings([experience([0], [1.0])], [], [epoch, {}, epoch])["collapse"]
    drawn = lines(figure)
    shown = max(variability, 1e-4)
    np.testing.assert_array_equal(
        drawn["within class variability"], [[1, 2, 3], [shown, math.nan, shown]]
    )
    assert np.isnan(drawn["equiangularity"][1]).all()
    assert figure.axes[0].get_yscale() == "log"
    low, high = figure.axes[0].get_ylim()
    assert low <= min(shown, 0.1) < max(shown, 0.1) <= high
    assert words.endswith(
        f"within_class_variability {variability:.3g}, equinorm 0.1, equiangularity –, "
        "self_duality –"
    )
    assert to_svg(figure, "x", words).count("<path") > 3


def test_the_cells_of_a_heat_map_say_their_number() -> None:
    axes = heat_map([[0.994], [None, 0.985], [0.0, 1.0, 0.126]]).axes[0]
    assert axes.yaxis_inverted(), "time goes downwards"
    cells = {text.get_position()[::-1]: text.get_text() for text in axes.texts}
    assert cells == {
        (1, 1): "99",
        (2, 1): "–",
        (2, 2): "98",
        (3, 1): "0",
        (3, 2): "100",
        (3, 3): "13",
    }
    many = [[0.5] * (row + 1) for row in range(21)]
    assert not heat_map(many).axes[0].texts
    assert len(heat_map(many[:20]).axes[0].texts) == 20 * 21 / 2


def test_a_line_is_interrupted_where_nothing_was_measured() -> None:
    figure = line_chart({"a": [0.1, None, 0.2, 0.3]}, [0, 1, 2, 3], x_name="x")
    svg = to_svg(figure, "x", "")
    (line,) = re.findall(r'd="([^"]*)" style="fill: none; stroke: #0072b2', svg)
    assert re.findall("[A-Z]", line) == ["M", "M", "L"]
    assert svg.count('style="fill: #0072b2') == 3, "a mark for each point"


def test_series_differ_by_mark_and_dash_not_only_by_colour() -> None:
    figure = line_chart({str(n): [0.1, 0.2] for n in range(60)}, [1, 2], x_name="x")
    svg = ElementTree.fromstring(to_svg(figure, "x", ""))
    marks = {path.get("id"): path.get("d") for path in svg.iter("path")}
    looks = set()
    for sample in svg.find(".//g[@id='x-legend_1']") or ():
        if (line := sample.find("path")) is not None:
            dash = re.findall("stroke-dasharray: [^;]*", line.get("style", ""))
            looks.add((*dash, marks[sample.find("g/use").get("href")[1:]]))
    assert len(looks) == 60

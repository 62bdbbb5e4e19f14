import re

import numpy as np
import pytest

from deis.study.figures import Curve, Point, svg, swatch, work_precision
from deis.study.outcomes import Estimate, Outcome, Setting
from deis.study.plots import plots

LINE = Curve(0, (Point(5, 0.1, 0.08, 0.12), Point(10, 0.01, 0.008, 0.012)))


def axes(*curves, **options):
    return work_precision(curves, "calls", "error", **options).axes[0]


def test_equal_figures_give_equal_text_and_the_salt_tells_their_parts_apart():
    texts = [svg(work_precision([LINE], "calls", "error"), salt) for salt in ("a", "a", "b")]
    assert texts[0] == texts[1]
    names = [set(re.findall(r' id="(.*?)"', text)) for text in texts]
    assert names[0]
    assert names[0].isdisjoint(names[2])


def test_vector_graphics_are_bare_elements_in_the_colours_of_the_page():
    text = svg(work_precision([LINE], "calls", "error", level=0.02), "salt")
    assert text.startswith("<svg")
    assert text.rstrip().endswith("</svg>")
    assert not re.search(r"<style|<!--|<\?xml|metadata|#000000|DejaVu", text)
    for colour in ("currentColor", "var(--rule)", "var(--soft)", "#1f77b4"):
        assert colour in text


def test_legend_and_lines_look_the_same():
    line, sample = axes(LINE).get_lines()[0], swatch(0).axes[0].get_lines()[0]
    assert (line.get_color(), line.get_marker()) == (sample.get_color(), sample.get_marker())


def test_intervals_are_drawn_where_they_are_known_and_fit_the_logarithm():
    curve = Curve(0, (Point(1, 0.1, 0.08, 0.12), Point(2, 0.1), Point(3, 0.1, 0.0, 0.2)))
    bars = axes(curve).collections[0].get_segments()
    np.testing.assert_allclose(bars, [[[1, 0.08], [1, 0.12]]])


def test_the_reference_is_a_line():
    assert len(axes(LINE).get_lines()) == 1
    np.testing.assert_allclose(axes(LINE, level=0.02).get_lines()[1].get_ydata(), 0.02)


def test_a_single_failure_does_not_stretch_the_range():
    others = Curve(0, tuple(Point(calls, 0.1 / calls) for calls in range(1, 11)))
    failure = Curve(1, (Point(3, 1e6), Point(5, 0.02)))
    assert axes(others, failure).get_ylim()[1] < 10


@pytest.mark.parametrize("decades", [1, 12])
def test_every_point_of_a_converging_method_is_in_range(decades):
    values = np.logspace(0, -decades, 10)
    drawn = axes(Curve(0, tuple(Point(x + 1, float(y)) for x, y in enumerate(values))))
    low, high = drawn.get_ylim()
    assert low < values.min()
    assert values.max() < high
    ticks = [tick for tick in drawn.yaxis.get_major_locator()() if low <= tick <= high]
    assert 3 <= len(ticks) <= 13


def test_calls_are_the_ticks():
    assert list(axes(LINE, calls=[5, 10]).xaxis.get_major_locator()()) == [5, 10]


def test_what_no_logarithm_can_show_is_not_drawn():
    cell = Setting(target="a", kind="model", name="a", label="a", budget=5)
    one = Outcome("a", cell, 5, {"mmd": Estimate(-0.1), "frechet": Estimate(0.5)})
    assert [plot.caption.split(" against")[0] for plot in plots([one], {"a": "a"}, None, "salt")] == [
        "Frechet distance"
    ]

"""Plots put values where they belong, and say in words what they show."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from automl_opt.study.plots import COLOURS, Axis, Bar, Line, intervals, lines, parallel, strips


def parsed(svg: str) -> ET.Element:
    return ET.fromstring(svg)


def points(svg: str) -> list[list[tuple[float, float]]]:
    found = re.findall(r'<polyline points="([^"]+)"', svg)
    return [
        [(float(x), float(y)) for x, y in (pair.split(",") for pair in row.split())]
        for row in found
    ]


def test_higher_values_are_higher_and_later_ones_further_right():
    [[(x1, y1), (x2, y2), (x3, y3)]] = points(
        lines([Line("a", [(1, 0.0), (2, 1.0), (3, 0.5)])], alt="A", x="epoch", y="loss")
    )

    assert x1 < x2 < x3
    assert x2 - x1 == pytest.approx(x3 - x2)
    assert y2 < y3 < y1  # pixels count from the top
    assert y3 == pytest.approx((y1 + y2) / 2, abs=0.1)


def test_a_band_lies_around_its_line():
    svg = lines([Line("a", [(1, 2.0), (2, 2.0)], [(1, 1, 3), (2, 1, 3)])], alt="A", x="x", y="y")

    [[(_, middle), _]] = points(svg)
    ys = {
        float(y)
        for y in re.findall(r"[\d.]+,([\d.]+)", re.search('polygon points="([^"]+)"', svg)[1])
    }
    assert len(ys) == 2
    assert min(ys) < middle < max(ys)


@pytest.mark.parametrize(
    "svg",
    [
        lines(
            [Line(f"arm <{i}>", [(1, i), (2, i)]) for i in range(12)], alt='"A" & B', x="x", y="<y>"
        ),
        intervals([Bar("beside <b>", 0.5, 0.1, 0.9)], alt='"A" & B', x="<x>", margin=0.2),
        strips([("<a>", [1.0, 1.0])], alt='"A" & B', x="<x>"),
    ],
    ids=["lines", "intervals", "strips"],
)
def test_a_plot_is_well_formed_and_has_a_text_in_its_place(svg):
    figure = parsed(svg)

    [image] = [e for e in figure.iter() if e.get("role") == "img"]
    assert image.get("aria-label") == '"A" & B'
    assert "nan" not in svg
    assert "inf" not in svg.replace("info", "")


def test_after_the_last_colour_lines_are_dashed():
    svg = lines(
        [Line(str(i), [(1, i), (2, i)]) for i in range(len(COLOURS) + 1)], alt="A", x="x", y="y"
    )

    dashed = re.findall(r"<polyline [^>]*stroke-dasharray", svg)
    assert len(dashed) == 1


def test_rows_cross_the_axes_at_their_heights_and_those_that_stand_out_lie_above():
    axes = [Axis("lr", "0.1", "1"), Axis("<beta>", "0", "1"), Axis("loss", "2", "3")]
    svg = parallel(axes, [([0.0, 0.5, 1.0], True), ([1.0, 1.0, 1.0], False)], alt="All")

    parsed(svg)
    grey, blue = points(svg)
    assert [x for x, _ in grey] == [x for x, _ in blue]
    assert grey[0][1] == grey[1][1] == grey[2][1] == blue[2][1]
    assert blue[0][1] > blue[1][1] > blue[2][1]
    assert "&lt;beta&gt;" in svg


def test_nothing_to_show_is_no_plot():
    assert parallel([Axis("a", "0", "1")], [([0.0], True)], alt="A") == ""
    assert parallel([Axis("a", "0", "1")] * 2, [], alt="A") == ""
    assert lines([Line("a", [])], alt="A", x="x", y="y") == ""
    assert intervals([], alt="A", x="x", margin=1) == ""
    assert strips([("a", [])], alt="A", x="x") == ""


def contrast(colour: str) -> float:
    """WCAG 2's contrast with white."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return 1.05 / (luminance + 0.05)


@pytest.mark.parametrize("colour", COLOURS)
def test_every_colour_can_be_read_on_white(colour):
    assert contrast(colour) >= 4.5


def test_an_interval_is_drawn_from_its_low_to_its_high_end():
    svg = intervals([Bar("b", 0.0, -1.0, 1.0)], alt="A", x="x", margin=0.5)

    low, high = re.search(r'd="M([\d.]+) \d+H([\d.]+)" stroke="#0b57d0"', svg).groups()
    value = re.search(r'circle cx="([\d.]+)"', svg)[1]
    assert float(value) == pytest.approx((float(low) + float(high)) / 2, abs=0.1)
    left, width = re.search(r'<rect x="([\d.]+)" y="\d+" width="([\d.]+)"', svg).groups()
    assert float(width) == pytest.approx((float(high) - float(low)) / 2, abs=0.2)
    assert float(left) > float(low)

"""Charts: which ticks, where a point lies, what is left out, by the colours in the picture."""

from __future__ import annotations

import math

import numpy as np
import pytest

from deepcanon.core.chart import Chart, Line, Scale, Stroke, draw, draw_bars, ticks

pytestmark = pytest.mark.row("C18")

BLUE, ORANGE = (0, 114, 178), (213, 94, 0)


@pytest.mark.parametrize(
    ("low", "high", "found"),
    [
        (0, 100, [0, 20, 40, 60, 80, 100]),
        (0, 1500, [0, 500, 1000, 1500]),
        (0.0, 0.5, [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]),
        (12.5, 14.1, [12.5, 13.0, 13.5, 14.0]),
        (-3, 3, [-3, -2, -1, 0, 1, 2, 3]),
    ],
)
def test_round_ticks(low: float, high: float, found: list[float]) -> None:
    assert ticks(low, high) == found


@pytest.mark.parametrize(
    ("low", "high", "found"),
    [
        (1, 100, [1, 2, 5, 10, 20, 50, 100]),
        (0.001, 1000, [1e-3, 1e-2, 1e-1, 1, 10, 100, 1000]),
        (30, 300, [50, 100, 200]),
        (1, 1e12, [1, 100, 1e4, 1e6, 1e8, 1e10, 1e12]),
        (3, 4, [3, 4]),  # no round number between them
    ],
)
def test_ticks_of_a_logarithmic_scale(low: float, high: float, found: list[float]) -> None:
    assert ticks(low, high, scale=Scale.LOG) == pytest.approx(found)


def inked(pixels: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """[n, 2]: the pixels (row, column) below the legend that are nearly of that colour."""
    where = np.argwhere((np.abs(pixels.astype(int) - np.array(colour)) < 40).all(axis=2))
    return where[where[:, 0] > 64]


def chart(*points: tuple[float, float], **options: object) -> Chart:
    settings: dict[str, object] = {"title": "a title", "x": "steps", "y": "error, %"}
    return Chart(lines=[Line(name="one", points=points)], **(settings | options))  # type: ignore[arg-type]


def test_a_line_goes_from_corner_to_corner() -> None:
    pixels = draw(chart((0, 0), (10, 100)), width=300, height=200)
    assert (pixels.shape, pixels.dtype) == ((200, 300, 3), np.uint8)
    line = inked(pixels, BLUE)
    lowest, highest = line[line[:, 0].argmax()], line[line[:, 0].argmin()]
    assert lowest[1] < 60
    assert highest[1] > 260
    middle = line[np.abs(line[:, 1] - (lowest[1] + highest[1]) / 2) < 2]
    assert np.abs(middle[:, 0].mean() - (lowest[0] + highest[0]) / 2) < 3


def test_a_logarithmic_scale_puts_ten_between_one_and_a_hundred() -> None:
    points = ((1.0, 10.0), (2.0, 10.0))
    options = {"y_scale": Scale.LOG, "y_range": (1.0, 100.0)}
    rows = inked(draw(chart(*points, **options)), BLUE)[:, 0]
    assert rows.mean() == pytest.approx((80 + 370) / 2, abs=1)
    linear = inked(draw(chart(*points, y_range=(1.0, 100.0))), BLUE)[:, 0]
    assert linear.mean() == pytest.approx(370 - 9 / 99 * (370 - 80), abs=1)


def test_what_has_no_place_is_left_out() -> None:
    nothing = draw(chart())
    assert not inked(nothing, BLUE).size
    bad = chart((math.nan, 1), (1, math.inf))
    assert np.array_equal(draw(bad), nothing)
    below = chart((0, 1), (1, 0), (-1, 2), x_scale=Scale.LOG, y_scale=Scale.LOG)
    assert not inked(draw(below), BLUE).size
    above = draw(chart((0, 200), (10, 200), y_range=(0, 100)))
    assert not inked(above, BLUE).size


def test_a_single_point_is_a_dot() -> None:
    dot = inked(draw(chart((3, 4))), BLUE)
    assert {int(np.ptp(dot[:, axis])) for axis in (0, 1)} <= {4, 5, 6}


def test_dashes_leave_gaps() -> None:
    points = [(float(x), 1.0) for x in range(50)]
    lines = [Line(name="a", points=points, stroke=stroke) for stroke in Stroke]
    solid, dashed = (inked(draw(Chart(title="", x="", y="", lines=[line])), BLUE) for line in lines)
    columns = np.unique(dashed[:, 1])
    assert 0.4 < len(columns) / len(np.unique(solid[:, 1])) < 0.65
    assert np.diff(columns).max() in (6, 7)


def test_charts_stand_side_by_side_and_lines_may_share_a_colour() -> None:
    lines = [
        Line(name="first", points=[(0, 0), (1, 1)], colour=1),
        Line(name="second", points=[(0, 1), (1, 0)], colour=1),
    ]
    both = Chart(title="", x="", y="", lines=lines)
    pixels = draw(both, chart((0, 0), (1, 1)), width=200, height=160)
    assert pixels.shape == (160, 400, 3)
    assert not inked(pixels[:, :200], BLUE).size
    assert inked(pixels[:, :200], ORANGE).size
    with pytest.raises(ValueError, match="no chart"):
        draw()


def test_bars_are_as_long_as_their_shares() -> None:
    """The longest name takes 40 % of the width at the most, and 100 % still has its number."""
    shares = [("a", 1.0), ("b", 0.5), ("c" * 300, 0.25), ("d", 0.0)]
    pixels = draw_bars(shares, title="a title", width=400)
    assert pixels.shape == (44 + 4 * 20, 400, 3)
    blue = (pixels == np.array(BLUE)).all(axis=2)
    lengths = [blue[row].sum() for row in (44, 64, 84, 104)]
    whole = lengths[0]
    assert whole > 100 and lengths[3] <= 1
    assert lengths[1:3] == pytest.approx([whole / 2, whole / 4], abs=1)
    assert 0.3 * 400 < blue[84].argmax() < 0.5 * 400
    assert (pixels[38:50, 330:] < 200).any()

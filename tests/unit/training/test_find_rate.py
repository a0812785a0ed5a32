"""The range test on losses whose fall is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from deepcanon.core.errors import Failed
from deepcanon.training import find_rate
from deepcanon.training.find_rate import Found, steepest, sweep


def valley(rate: float) -> float:
    """2 up to a rate of 1e-3, down to 1 at 1e-1 by the logarithm, 0.3 more a decade beyond."""
    decades = math.log10(rate)
    if decades < -3:
        return 2.0
    return 2 - (decades + 3) / 2 if decades < -1 else 1 + 0.3 * (decades + 1)


def test_the_suggestion_is_where_the_loss_falls() -> None:
    found = sweep(valley, steps=101, least=1e-5, most=1.0)
    assert len(found.rates) == len(found.losses) == 101
    assert found.rates[0] == 1e-5 and found.rates[-1] == pytest.approx(1.0)
    np.testing.assert_allclose(np.diff(np.log10(found.rates)), 0.05)
    assert found.losses[0] == 2.0  # an average of one, not pulled towards zero
    assert 1e-3 < found.suggestion < 1e-1


def test_the_average_is_unbiased() -> None:
    losses = iter([1.0, 3.0, *[2.0] * 18])
    with pytest.raises(Failed):
        sweep(lambda rate: next(losses), steps=20, least=1e-3, most=1.0)
    losses = iter([1.0, 3.0, *[0.0] * 18])
    found = sweep(lambda rate: next(losses), steps=20, least=1e-3, most=1.0)
    # weights 0.09 and 0.1
    assert found.losses[1] == pytest.approx((0.09 * 1 + 0.1 * 3) / 0.19)


@pytest.mark.parametrize("bad", [1e6, math.inf, math.nan])
def test_it_ends_where_the_loss_runs_away(bad: float) -> None:
    tried: list[float] = []

    def step(rate: float) -> float:
        tried.append(rate)
        return valley(rate) if rate < 0.1 else bad

    found = sweep(step, steps=101, least=1e-5, most=1.0)
    assert len(tried) == 81 + (1 if tried[80] < 0.1 else 0)
    assert 1e-3 < found.suggestion < 1e-1


def test_the_slope_is_a_straight_line_through_nine_points() -> None:
    rates = [10.0**-place for place in range(20, 0, -1)]
    # Down by 1 a step from the tenth to the fourteenth: of all nine points there, from 10 to 18,
    # the fifth line is the steepest one that lies on the fall alone.
    losses = [10.0] * 10 + [9.0, 8.0, 7.0, 6.0, 5.0] + [5.0] * 5
    assert steepest(rates, losses) in rates[10:14]


@pytest.mark.parametrize("losses", [[], [1.0] * 20, [1.0 + place for place in range(20)]])
def test_a_loss_that_falls_nowhere(losses: list[float]) -> None:
    rates = [10.0**place for place in range(len(losses))]
    with pytest.raises(Failed, match="the loss falls at no rate") as failed:
        steepest(rates, losses)
    assert "--least" in failed.value.hint


def test_the_curve_has_every_loss_up_to_where_it_runs_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn = []
    monkeypatch.setattr(find_rate, "draw", drawn.append)
    losses = (2.0, 2.9, 2.5, 1.0, 1.5, 9.0, 1.2)  # it rises before it falls, and runs away
    rates = tuple(10.0**place for place in range(-6, 1))
    Found(rates=rates, losses=losses, suggestion=1e-4).plot(title="loss")
    (chart,) = drawn
    assert chart.lines[0].points == list(zip(rates, losses, strict=True))[:5]


def test_the_picture_shows_the_suggestion() -> None:
    found = Found(rates=(1e-3, 1e-2, 1e-1), losses=(2.0, 1.0, 9.0), suggestion=1e-2)
    pixels = found.plot(title="loss")
    assert pixels.dtype == np.uint8 and pixels.ndim == 3 and len(np.unique(pixels)) > 4
    moved = Found(rates=found.rates, losses=found.losses, suggestion=5e-3)
    assert not np.array_equal(moved.plot(title="loss"), pixels)

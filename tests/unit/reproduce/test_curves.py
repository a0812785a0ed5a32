"""What follows of curves: hand-worked means, margins, verdicts."""

from __future__ import annotations

import json
import math

import pytest

from deepcanon.reproduce.curves import Claim, Curve, End, Point, first_at, margin, percent, verdict
from tests.tiny_contest import curve

pytestmark = pytest.mark.row("C15", "C16")


def test_late_is_the_mean_of_the_last_tenth() -> None:
    found = curve([0.9] * 18 + [0.3, 0.1], every=5)  # 100 steps: those after 90 are 95 and 100
    assert found.late == pytest.approx(0.2)
    assert curve([0.5]).late == 0.5


def test_what_diverged_is_worse_than_anything() -> None:
    gone = curve([0.5], end=End.DIVERGED, train_error=None, held_out_error=None)
    assert gone.late == gone.judged == gone.gap == math.inf
    assert curve([], end=End.DIVERGED).late == math.inf
    assert percent(gone.judged) == "none: diverged"


def test_gap() -> None:
    assert curve([0.5], train_error=0.05, held_out_error=0.3).gap == pytest.approx(0.25)


def test_there_and_back() -> None:
    first = curve([0.5, 0.25], [0.75], end=End.GOAL)
    again = Curve.from_dict(json.loads(json.dumps(first.to_dict())))
    assert again == first
    assert isinstance(again.running[0], Point)
    for broken in ({}, {**first.to_dict(), "end": "no word"}, {**first.to_dict(), "running": [1]}):
        with pytest.raises((KeyError, TypeError, ValueError)):
            Curve.from_dict(broken)


def test_first_at() -> None:
    points = curve([0.9, 0.5, 0.6, 0.4]).running
    assert first_at(points, 0.5) == Point(20, 20.0, 0.5)
    assert first_at(points, 0.45) == Point(40, 40.0, 0.4)
    assert first_at(points, 0.39) is None
    assert first_at([], 1.0) is None


def test_two_standard_errors() -> None:
    # sqrt((0.25 + 0.25) / 200) = 0.05
    assert margin(0.5, 0.5, count=200) == pytest.approx(0.1)
    # sqrt((0.09 + 0.16) / 2500) = 0.01
    assert margin(0.1, 0.2, count=2500) == pytest.approx(0.02)
    assert margin(0.0, 1.0, count=10) == 0.0
    assert margin(math.inf, 0.5, count=10) == 0.0


def test_verdicts() -> None:
    good = Claim("water is wet", True, "wet")
    bad = Claim("pigs fly", False, "0 of 3")
    assert verdict([good]) == "reproduced"
    assert verdict([good, bad]) == "not reproduced at this scale: pigs fly (0 of 3)"
    assert percent(0.3456) == "34.6 %"

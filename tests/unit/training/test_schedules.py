"""Learning-rate curves, at the points where their values are known."""

from __future__ import annotations

import pytest

from deepcanon.training.schedules import constant, cosine


def test_a_rise_and_half_a_cosine() -> None:
    factor = cosine(steps=110, rise=10)
    assert [factor(0), factor(4), factor(9)] == pytest.approx([0.1, 0.5, 1.0])
    assert [factor(10), factor(35), factor(60), factor(110)] == pytest.approx(
        [1, 0.5 + 0.5**1.5, 0.5, 0]
    )
    assert factor(500) == 0


def test_a_rise_and_a_constant() -> None:
    factor = constant(rise=4)
    assert [factor(0), factor(3), factor(4), factor(9000)] == [0.25, 1, 1, 1]
    assert constant()(0) == 1


def test_no_rise_and_one_step() -> None:
    assert cosine(steps=4)(0) == 1
    assert cosine(steps=4)(2) == pytest.approx(0.5)
    assert cosine(steps=1, rise=1)(0) == 1

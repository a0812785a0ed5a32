"""Descents against the clock: what is kept, what counts, and what the judge says of it."""

from __future__ import annotations

import time

import pytest
import torch
from torch import Tensor

from deepcanon.style.race import Curve, Track, judged, timed
from deepcanon.style.repaint import LBFGS, Adam, Terms, descend

pytestmark = pytest.mark.row("T1")


class Bowl:
    """Mean square distance from a grey. Sleeps when it is made, as targets take their time."""

    def __init__(self, grey: float, *, sleep: float = 0.0) -> None:
        time.sleep(sleep)
        self.grey = grey

    def __call__(self, picture: Tensor) -> Terms:
        total = (picture - self.grey).square().mean()
        return Terms(total, total * 0, total * 0, total * 0)


START = torch.full((1, 3, 4, 4), 0.25)


def track(*totals: float, seconds: float = 1.0) -> Track:
    """A track of one-coloured pictures, each iteration as long as the others."""
    count = len(totals)
    return Track(
        iterations=list(range(count)),
        seconds=[seconds * place for place in range(count)],
        pictures=[torch.full((1, 3, 2, 2), total) for total in totals],
        each=[seconds] * (count - 1),
    )


def test_the_pictures_are_those_of_the_descent() -> None:
    optimiser = Adam(learning_rate=0.01)
    told: list[int] = []
    found = timed(
        START,
        lambda: Bowl(0.5),
        optimiser=optimiser,
        iterations=5,
        keep=[0, 2, 5, 99],
        on_step=told.append,
    )
    steps = list(descend(START, Bowl(0.5), optimiser=optimiser, iterations=5))
    assert found.iterations == [0, 2, 5]
    for picture, expected in zip(
        found.pictures, [START, steps[1].picture, steps[4].picture], strict=True
    ):
        assert torch.equal(picture, expected)
    assert told == [1, 2, 3, 4, 5]
    assert len(found.each) == 5


def test_the_clock_runs_for_targets_and_stands_for_who_is_told() -> None:
    found = timed(
        START,
        lambda: Bowl(0.5, sleep=0.2),
        optimiser=LBFGS(),
        iterations=2,
        keep=[0, 1, 2],
        on_step=lambda _: time.sleep(0.5),
    )
    assert found.seconds[0] >= 0.2
    assert found.seconds == sorted(found.seconds)
    assert found.seconds[2] - found.seconds[0] == pytest.approx(sum(found.each))
    assert sum(found.each) < 0.5 + found.seconds[0]  # two sleeps of 0.5 are not in it


def test_one_track_goes_on_with_another() -> None:
    whole = track(0.9, 0.8, 0.7, 0.6).then(track(0.7, 0.5, seconds=10.0), at=2)
    assert whole.iterations == [0, 1, 2, 3]
    assert whole.seconds == [0.0, 1.0, 2.0, 12.0]
    assert [picture.mean().item() for picture in whole.pictures] == pytest.approx(
        [0.9, 0.8, 0.7, 0.5]
    )
    assert whole.each == [1.0, 1.0, 10.0]


def test_the_best_picture_so_far_counts_clipped() -> None:
    curve = judged(track(0.5, 0.1, 0.3, -2.0), Bowl(0.0))
    assert curve.losses == pytest.approx([0.25, 0.01, 0.01, 0.0])
    assert list(curve.points())[1] == (1, 1.0, pytest.approx(0.01))
    assert curve.at(2) == (2.0, pytest.approx(0.01))
    with pytest.raises(ValueError, match="not in list"):
        curve.at(9)


def test_when_a_loss_is_reached() -> None:
    curve = Curve(iterations=[0, 5, 10], seconds=[0.5, 1.0, 2.0], losses=[4.0, 2.0, 1.0])
    assert curve.reaches(4.5) == (0, 0.5)
    assert curve.reaches(2.0) == (5, 1.0)
    assert curve.reaches(1.5) == (10, 2.0)
    assert curve.reaches(0.5) is None

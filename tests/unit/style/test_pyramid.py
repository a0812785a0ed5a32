"""The coordinates of a pyramid: the same pictures, and a quicker descent where areas must move."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from deepcanon.style.pyramid import GAIN, merge, split
from deepcanon.style.repaint import LBFGS, Terms, descend

pytestmark = pytest.mark.row("T1")


def test_the_first_map_is_the_picture_and_the_others_are_zero() -> None:
    picture = torch.rand(1, 3, 48, 66)
    maps = split(picture, levels=6)
    assert [tuple(each.shape[2:]) for each in maps] == [(48, 66), (24, 33), (12, 16)]
    assert maps[0] is picture and not any(each.any() for each in maps[1:])
    assert torch.equal(merge(maps), picture)


def test_one_level_is_the_pixels_alone() -> None:
    picture = torch.rand(1, 3, 48, 64)
    (only,) = split(picture, levels=1)
    assert merge([only]) is picture


def test_a_coarse_value_moves_an_area() -> None:
    maps = split(torch.zeros(1, 3, 32, 32), levels=3)
    maps[1] += 0.5
    maps[2] += 0.25
    torch.testing.assert_close(merge(maps), torch.full((1, 3, 32, 32), 0.5 * GAIN + 0.25 * GAIN**2))
    one = split(torch.zeros(1, 3, 32, 32), levels=2)
    one[1][0, 0, 8, 8] = 1.0
    moved = merge(one)[0, 0]
    assert moved[16, 16] == pytest.approx(GAIN * 0.75**2)  # a quarter of a coarse pixel off
    assert not moved[:14].any() and not moved[19:].any()


class Poisson:
    """How unlike the slopes of two pictures are: areas that are off cost nearly nothing."""

    def __init__(self) -> None:
        self.wanted = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))

    def __call__(self, picture: Tensor) -> Terms:
        off = picture - self.wanted
        total = sum(off.diff(dim=dim).square().sum() for dim in (2, 3)) + 1e-3 * off.square().sum()
        assert isinstance(total, Tensor)
        zero = total.new_zeros(())
        return Terms(total, total, zero, zero)


def test_descent_with_coarse_coordinates_is_sooner_near_the_picture() -> None:
    task, grey = Poisson(), torch.full((1, 3, 64, 64), 0.9)

    def error(levels: int) -> float:
        steps = descend(grey, task, optimiser=LBFGS(levels=levels), iterations=20)
        *_, last = steps
        return (last.picture - task.wanted).square().mean().item()

    assert error(4) < 0.3 * error(1)
    assert torch.equal(grey, torch.full((1, 3, 64, 64), 0.9))

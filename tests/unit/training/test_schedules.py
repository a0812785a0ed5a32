"""Learning-rate curves, at the points where their values are known."""

from __future__ import annotations

import math

import pytest
import torch
from torch.optim.lr_scheduler import LambdaLR

from deepcanon.training.schedules import Plateau, constant, cosine, decay, step


def test_a_rise_and_half_a_cosine() -> None:
    factor = cosine(steps=110, warmup=10)
    assert [factor(0), factor(4), factor(9)] == pytest.approx([0.1, 0.5, 1.0])
    assert [factor(10), factor(35), factor(60), factor(110)] == pytest.approx(
        [1, 0.5 + 0.5**1.5, 0.5, 0]
    )
    assert factor(500) == 0


def test_a_rise_and_a_constant() -> None:
    factor = constant(warmup=4)
    assert [factor(0), factor(3), factor(4), factor(9000)] == [0.25, 1, 1, 1]
    assert constant()(0) == 1


def test_no_rise_and_one_step() -> None:
    assert cosine(steps=4)(0) == 1
    assert cosine(steps=4)(2) == pytest.approx(0.5)
    assert cosine(steps=1, warmup=1)(0) == 1


def test_steps_down() -> None:
    factor = step(at=(32, 48), drop=0.1, warmup=4)
    assert [factor(0), factor(3), factor(4), factor(31)] == [0.25, 1, 1, 1]
    assert [factor(32), factor(47), factor(48)] == pytest.approx([0.1, 0.1, 0.01])


def test_a_decay_counts_from_the_first_step() -> None:
    factor = decay(every=10, drop=0.5, warmup=2)
    assert [factor(0), factor(1), factor(2), factor(9)] == [0.5, 1, 1, 1]
    assert [factor(10), factor(19), factor(20)] == [0.5, 0.5, 0.25]


def test_a_plateau_is_patience_measurements_without_improvement() -> None:
    plateau = Plateau(drop=0.1, patience=2, warmup=2)
    assert [plateau(0), plateau(1)] == [0.5, 1]
    found = []
    for error in (0.5, 0.6, 0.4, 0.4, 0.41, 0.39, math.nan, 0.38999, 0.3):
        plateau.tell(error)
        found.append(plateau(9))
    # 0.4 twice and 0.41: two in a row that are no better. 0.38999 is better by less than 1e-4.
    assert found == pytest.approx([1, 1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01])


def test_a_plateau_is_in_the_state_of_its_scheduler() -> None:
    def schedule() -> tuple[Plateau, LambdaLR]:
        plateau = Plateau(drop=0.5, patience=1)
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        scheduler = LambdaLR(optimizer, plateau)
        optimizer.step()
        return plateau, scheduler

    one, two = schedule(), schedule()
    one[0].tell(0.3)
    one[0].tell(0.3)
    two[1].load_state_dict(one[1].state_dict())
    assert (two[0].factor, two[0].best, two[0].waited) == (0.5, 0.3, 0)
    two[1].step()
    assert two[1].get_last_lr() == [0.5]

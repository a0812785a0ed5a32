"""What a run is warned of, and that it is told once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from deepcanon.training import doubts
from deepcanon.training.doubts import Doubts
from deepcanon.training.progress import HORIZON, Averages

CHANCE = 2.3026  # ten classes


def watch(*, quiet: bool = False) -> tuple[Doubts, Averages]:
    averages = Averages()
    return Doubts(averages=averages, chance=CHANCE, quiet=quiet), averages


def see(doubt: Doubts, averages: Averages, *, step: int, loss: float, of: int = 1000) -> None:
    averages.values["loss"] = loss
    trainer: Any = SimpleNamespace(global_step=step, max_steps=of)
    doubt.on_train_batch_end(trainer, None)  # type: ignore[arg-type]


def test_a_loss_above_guessing_means_a_rate_that_is_too_high(
    capsys: pytest.CaptureFixture[str],
) -> None:
    doubt, averages = watch()
    see(doubt, averages, step=1, loss=2.4)
    see(doubt, averages, step=HORIZON - 1, loss=9.0)  # the average says too little so far
    assert capsys.readouterr().err == ""
    see(doubt, averages, step=HORIZON, loss=9.0)
    see(doubt, averages, step=HORIZON + 1, loss=9.5)
    blank, first, second = capsys.readouterr().err.splitlines()
    assert (blank, first) == ("", "warning: the loss is 9 at step 50, and guessing costs 2.3")
    assert second.startswith("hint: ") and "find-rate" in second


def test_a_loss_at_chance_is_told_when_it_is_time(capsys: pytest.CaptureFixture[str]) -> None:
    doubt, averages = watch()
    for step in (HORIZON, doubts.AFTER - 1, doubts.AFTER, doubts.AFTER + 1):
        see(doubt, averages, step=step, loss=2.30)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert lines[1] == "warning: after 300 steps the loss is 2.3, as if guessed (2.3)"
    assert "check-data" in lines[2]


def test_labels_of_nearly_one_class_are_no_rate_that_is_too_high(
    capsys: pytest.CaptureFixture[str],
) -> None:
    averages = Averages()
    doubt = Doubts(averages=averages, chance=0.056, quiet=False)  # 99 to 1
    see(doubt, averages, step=1, loss=0.69)
    see(doubt, averages, step=HORIZON, loss=0.2)
    assert capsys.readouterr().err == ""
    see(doubt, averages, step=HORIZON + 1, loss=0.8)
    assert "the rate is too high" in capsys.readouterr().err


def test_a_short_run_is_told_half_way(capsys: pytest.CaptureFixture[str]) -> None:
    doubt, averages = watch()
    for step in (50, 99, 100, 101):
        see(doubt, averages, step=step, loss=2.30, of=200)
    assert "after 100 steps the loss is 2.3" in capsys.readouterr().err
    doubt, averages = watch()
    for step in range(1, 40):  # the average says too little
        see(doubt, averages, step=step, loss=2.30, of=40)
    assert capsys.readouterr().err == ""


def test_a_network_that_learns_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    doubt, averages = watch()
    see(doubt, averages, step=doubts.AFTER, loss=2.2)
    see(doubt, averages, step=doubts.AFTER + 1, loss=2.4)
    assert capsys.readouterr().err == ""


def test_a_resumed_run_does_not_repeat_itself(capsys: pytest.CaptureFixture[str]) -> None:
    doubt, averages = watch()
    see(doubt, averages, step=1, loss=2.4)
    see(doubt, averages, step=60, loss=9.0)
    again, _ = watch()
    again.load_state_dict(doubt.state_dict())
    assert capsys.readouterr().err != ""
    assert again.first == 2.4
    see(again, again.averages, step=61, loss=9.0)
    assert capsys.readouterr().err == ""


def test_quiet_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    doubt, averages = watch(quiet=True)
    see(doubt, averages, step=1, loss=2.4)
    see(doubt, averages, step=60, loss=9.0)
    assert capsys.readouterr().err == ""

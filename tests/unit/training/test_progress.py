"""Averages, the line for people and the table for later."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deepcanon.training import progress
from deepcanon.training.progress import Averages, Progress, Table, line


def at(step: int, *, of: int = 200, **metrics: float) -> Any:
    return SimpleNamespace(global_step=step, max_steps=of, callback_metrics=metrics)


def test_averages_are_plain_at_first_and_fade_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "HORIZON", 2)
    averages = Averages()
    for value, expected in ((4.0, 4.0), (2.0, 3.0), (5.0, 4.0), (0.0, 2.0)):
        averages.on_train_batch_end(at(1, loss=value, loss_step=9.0), None)  # type: ignore[arg-type]
        assert averages.values == {"loss": expected}


def test_averages_go_on_from_their_state() -> None:
    one, two = Averages(), Averages()
    one.on_train_batch_end(at(1, loss=1.0), None)  # type: ignore[arg-type]
    two.load_state_dict(one.state_dict())
    for each in (one, two):
        each.on_train_batch_end(at(2, loss=4.0), None)  # type: ignore[arg-type]
    assert one.values == two.values == {"loss": 2.5}


@pytest.mark.parametrize(
    ("seconds", "left"), [(0.5, "0:50"), (1.0, "1:40"), (30.0, "50:00"), (90.0, "2:30:00")]
)
def test_line(seconds: float, left: str) -> None:
    text = line(100, 200, losses={"style": 0.12345, "content": 3.0}, seconds=seconds)
    assert text == (f"step 100/200  style 0.1235  content 3  {seconds:.2f} s a step, {left} left")


@pytest.mark.parametrize("first", [0, 60])
def test_a_line_early_and_every_hundred_steps_where_there_is_no_terminal(
    first: int, capsys: pytest.CaptureFixture[str]
) -> None:
    bar = Progress(averages=Averages(), quiet=False)
    bar.on_train_start(at(first, of=250), None)  # type: ignore[arg-type]
    for step in range(first + 1, 251):
        bar.on_train_batch_end(at(step, of=250), None)  # type: ignore[arg-type]
    lines = capsys.readouterr().err.splitlines()
    shown = [f"{step}/250" for step in (first + 10, 100, 200, 250)]
    assert [each.split()[1] for each in lines] == shown


def test_a_terminal_has_one_line_that_never_wraps(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "21")
    bar = Progress(averages=Averages(), quiet=False)
    bar.on_train_start(at(0, of=2), None)  # type: ignore[arg-type]
    for step in (1, 2):
        bar.on_train_batch_end(at(step, of=2), None)  # type: ignore[arg-type]
    bar.on_train_end(at(2, of=2), None)  # type: ignore[arg-type]
    assert capsys.readouterr().err == ("\r\033[Kstep 1/2    0.00 s a\r\033[Kstep 2/2    0.00 s a\n")


def test_an_error_has_a_line_of_its_own(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    bar = Progress(averages=Averages(), quiet=False)
    bar.on_exception(at(0), None, ValueError())  # type: ignore[arg-type]
    assert capsys.readouterr().err == ""
    bar.on_train_batch_end(at(1), None)  # type: ignore[arg-type]
    for _ in range(2):
        bar.on_exception(at(1), None, ValueError())  # type: ignore[arg-type]
    assert capsys.readouterr().err.count("\n") == 1


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    bar = Progress(averages=Averages(), quiet=True)
    bar.on_train_batch_end(at(100), None)  # type: ignore[arg-type]
    assert capsys.readouterr().err == ""


def test_the_table_has_a_row_every_so_many_steps_and_the_last(tmp_path: Path) -> None:
    averages = Averages()
    table = Table(tmp_path / "log" / "metrics.csv", averages=averages)
    table.on_train_start(at(0), None)  # type: ignore[arg-type]
    averages.values["loss"] = 0.5
    for step in (1, 25, 26, 200):
        table.on_train_batch_end(at(step), None)  # type: ignore[arg-type]
    assert table.path.read_text().splitlines() == ["step,loss", "25,0.5", "200,0.5"]


def test_the_table_of_a_run_begun_anew_is_new(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,loss,step\n0,9,25\n0,8,50\n\n,,x\n")
    averages = Averages()
    averages.values["loss"] = 7
    for first, expected in (
        (0, ["step,loss", "100,7"]),
        (25, ["epoch,loss,step", "0,9,25", ",7,100"]),
    ):
        path.write_text("epoch,loss,step\n0,9,25\n0,8,50\n\n,,x\n")
        table = Table(path, averages=averages)
        table.on_train_start(at(first), None)  # type: ignore[arg-type]
        table.on_train_batch_end(at(100), None)  # type: ignore[arg-type]
        assert path.read_text().splitlines() == expected

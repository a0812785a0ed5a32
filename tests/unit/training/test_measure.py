"""Measurements: when they are taken, where they go, and that a resumed run takes the same."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import pytest

from deepcanon.training.fit import Run, fit, scores
from deepcanon.training.ranks import Place
from tests.tiny_training import STEPS, At, Numbers, TinyTask, assert_same_state, press_ctrl_c


class MeasuredTask(TinyTask):
    """Measures how many steps it took."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[float] = []

    def measure(self) -> dict[str, float]:
        return {"steps": float(self.global_step)}

    def hear(self, measured: Mapping[str, float]) -> None:
        self.heard.append(measured["steps"])


def run(folder: Path, task: MeasuredTask, *, at: At | None = None, resume: bool = False) -> bool:
    given = Run(folder=folder, steps=STEPS, batch=2, measure_every=4, quiet=True)
    idle = At(-1, press_ctrl_c)  # which draws, as the other does
    return fit(task, Numbers(), run=given, recipe={}, resume=resume, callbacks=[at or idle])


def test_every_so_many_steps_and_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deepcanon.training.progress.EVERY", 1)
    task = MeasuredTask()
    assert run(tmp_path / "whole", task)
    assert task.heard == [4.0, 6.0]
    assert scores(task)["steps"] == 6.0  # the last, not an average
    rows = csv.DictReader((tmp_path / "whole/log/metrics.csv").read_text().splitlines())
    assert [row["steps"] for row in rows] == ["", "", "", "4.0", "4.0", "6.0"]

    first, second = MeasuredTask(), MeasuredTask()
    assert not run(tmp_path / "parts", first, at=At(4, press_ctrl_c))
    assert run(tmp_path / "parts", second, resume=True)
    assert first.heard + second.heard == [4.0, 6.0]
    assert_same_state(tmp_path / "parts/last.ckpt", tmp_path / "whole/last.ckpt")


def test_a_finished_run_still_knows_its_measurements(tmp_path: Path) -> None:
    assert run(tmp_path, MeasuredTask())
    again = MeasuredTask()
    assert run(tmp_path, again, resume=True)
    assert again.heard == [] and scores(again)["steps"] == 6.0


def test_processes_share_a_batch_in_order() -> None:
    from deepcanon.training.fit import _Onwards

    one = _Onwards(range(2, 4), batch=4, here=Place())
    first, second = (_Onwards(range(2, 4), batch=4, here=Place(rank=rank, of=2)) for rank in (0, 1))
    assert list(one) == [8, 9, 10, 11, 12, 13, 14, 15] and len(one) == 8
    assert list(first) == [8, 9, 12, 13] and len(first) == 4
    assert list(second) == [10, 11, 14, 15]

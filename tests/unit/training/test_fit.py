"""A run that is interrupted anywhere ends as one that never was; and every other end of a run."""

from __future__ import annotations

import csv
import signal
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from deepcanon.core.errors import BadInput, Failed, Unavailable
from deepcanon.training import resume
from deepcanon.training.fit import Run, fit, scores
from tests.tiny_training import (
    RECIPE,
    STEPS,
    At,
    Numbers,
    TinyTask,
    assert_same_state,
    crash,
    press_ctrl_c,
    train,
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was never interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    assert train(folder)
    return folder


def test_ctrl_c_after_any_step_and_resume(whole: Path, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    for step in range(1, STEPS):
        folder, task = tmp_path / str(step), TinyTask()
        assert not train(folder, task=task, at=At(step, press_ctrl_c))
        assert len(task.seen) == step
        assert resume.read(folder / "last.ckpt")["deepcanon"]["step"] == step
        assert signal.getsignal(signal.SIGINT) is before
        assert train(folder, resume=True, task=task)
        assert [first for first, _ in task.seen] == [2.0 * i for i in range(STEPS)]
        assert_same_state(folder / "last.ckpt", whole / "last.ckpt")


def test_ctrl_c_in_the_last_step_comes_too_late(whole: Path, tmp_path: Path) -> None:
    assert train(tmp_path, at=At(STEPS, press_ctrl_c))
    assert_same_state(tmp_path / "last.ckpt", whole / "last.ckpt")


def test_a_crash_loses_the_steps_since_the_checkpoint_and_no_bit(
    whole: Path, tmp_path: Path
) -> None:
    with pytest.raises(RuntimeError, match="the power went"):
        train(tmp_path, at=At(5, crash), every=2)
    assert resume.read(tmp_path / "last.ckpt")["deepcanon"]["step"] == 4
    assert train(tmp_path, resume=True, every=2)
    assert_same_state(tmp_path / "last.ckpt", whole / "last.ckpt")


def test_a_run_may_be_interrupted_again_and_again(whole: Path, tmp_path: Path) -> None:
    for step in (1, 2, 4):
        assert not train(tmp_path, resume=step > 1, at=At(step, press_ctrl_c))
    assert train(tmp_path, resume=True)
    assert_same_state(tmp_path / "last.ckpt", whole / "last.ckpt")


def test_sigterm_stops_with_a_checkpoint_too(whole: Path, tmp_path: Path) -> None:
    def terminate(trainer: pl.Trainer) -> None:
        trainer._signal_connector.received_sigterm = True

    assert not train(tmp_path, at=At(2, terminate))
    assert train(tmp_path, resume=True)
    assert_same_state(tmp_path / "last.ckpt", whole / "last.ckpt")


def test_a_second_ctrl_c_stops_at_once(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)

    def twice(trainer: pl.Trainer) -> None:
        press_ctrl_c(trainer)
        press_ctrl_c(trainer)

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, at=At(3, twice), every=2)
    assert resume.read(tmp_path / "last.ckpt")["deepcanon"]["step"] == 2
    assert signal.getsignal(signal.SIGINT) is before


def test_a_checkpoint_of_lightnings_own_making_is_continued(whole: Path, tmp_path: Path) -> None:
    """Earlier versions wrote it where Lightning does, before the counters of the step moved."""
    assert not train(tmp_path, at=At(2, press_ctrl_c))
    content = resume.read(tmp_path / "last.ckpt")
    loop = content["loops"]["fit_loop"]
    counters = {"ready": 2, "started": 2, "processed": 2, "completed": 1}
    loop["epoch_loop.batch_progress"]["current"].update(counters)
    loop["epoch_loop.batch_progress"]["total"].update(counters)
    loop["epoch_loop.state_dict"]["_batches_that_stepped"] = 1
    loop["epoch_progress"]["current"].update(ready=1, started=1)
    del content["callbacks"]["Averages"], content["deepcanon"]["threads"]
    torch.save(content, tmp_path / "last.ckpt")
    task = TinyTask()
    assert train(tmp_path, resume=True, task=task)
    assert len(task.seen) == STEPS - 2
    ours, theirs = resume.read(tmp_path / "last.ckpt"), resume.read(whole / "last.ckpt")
    for key, value in theirs["state_dict"].items():
        assert torch.equal(ours["state_dict"][key], value), key


def test_resuming_a_finished_run_restores_it_and_takes_no_step(whole: Path, tmp_path: Path) -> None:
    first, again = TinyTask(), TinyTask()
    assert train(tmp_path, task=first)
    assert train(tmp_path, task=again, resume=True)
    assert again.seen == []
    assert torch.equal(again.average, first.average)
    assert scores(again) == scores(first) != {}
    assert_same_state(tmp_path / "last.ckpt", whole / "last.ckpt")


def test_scores_average_the_steps_of_the_whole_run(tmp_path: Path) -> None:
    losses: list[float] = []

    class Remember(TinyTask):
        def training_step(self, batch: Tensor, step: int) -> Tensor:
            loss = super().training_step(batch, step)
            losses.append(loss.item())
            return loss

    assert not train(tmp_path, task=Remember(), at=At(2, press_ctrl_c))
    task = Remember()
    assert train(tmp_path, task=task, resume=True)
    assert scores(task) == {"loss": pytest.approx(sum(losses) / STEPS)}


def test_a_folder_that_holds_a_run_is_not_overwritten(tmp_path: Path) -> None:
    assert not train(tmp_path, at=At(1, press_ctrl_c))
    content = (tmp_path / "last.ckpt").read_bytes()
    with pytest.raises(BadInput, match="already holds a run") as refused:
        train(tmp_path)
    assert "--resume" in refused.value.hint and "-o" in refused.value.hint
    assert (tmp_path / "last.ckpt").read_bytes() == content


def test_there_must_be_something_to_resume(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"there is no .*last\.ckpt to resume"):
        train(tmp_path / "new", resume=True)
    assert not (tmp_path / "new").exists()


def test_resuming_with_another_recipe_says_what_differs(tmp_path: Path) -> None:
    assert not train(tmp_path, at=At(1, press_ctrl_c))
    with pytest.raises(BadInput) as refused:
        train(tmp_path, resume=True, recipe={**RECIPE, "steps": 7})
    assert "(steps: 6 then, 7 now)" in refused.value.message


def test_resuming_with_other_files_says_which(tmp_path: Path) -> None:
    began = {"photos": "a", "painting one": "b", "start": "c"}
    assert not train(tmp_path, at=At(1, press_ctrl_c), inputs=began)
    with pytest.raises(BadInput, match=r"other files \(painting one, start, features\.1\)"):
        train(tmp_path, resume=True, inputs={"photos": "a", "painting one": "x", "features.1": "d"})
    assert not train(tmp_path, resume=True, at=At(2, press_ctrl_c), inputs=began)
    content = resume.read(tmp_path / "last.ckpt")
    assert content["deepcanon"]["inputs"] == began
    del content["deepcanon"]["inputs"]  # as earlier versions wrote it
    torch.save(content, tmp_path / "last.ckpt")
    assert train(tmp_path, resume=True, inputs={"photos": "x"})


@pytest.mark.parametrize(
    ("name", "value"),
    [("steps", 0), ("batch", 0), ("checkpoint_every", 0), ("seed", -1), ("workers", -1)],
)
def test_numbers_that_are_too_small_are_named(name: str, value: int, tmp_path: Path) -> None:
    sizes: dict[str, Any] = {"steps": 1, "batch": 1, name: value}
    with pytest.raises(BadInput, match=f"{name} is {value}"):
        Run(folder=tmp_path, **sizes)


class Poisoned(TinyTask):
    """Its third loss is NaN."""

    def training_step(self, batch: Tensor, step: int) -> Tensor:
        loss = super().training_step(batch, step)
        return loss * float("nan") if self.global_step == 2 else loss


def test_a_loss_that_is_no_number_names_its_step(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Failed, match="the loss became nan at step 3") as failed:
        train(tmp_path, task=Poisoned(), every=1)
    assert "is sound, of step 2" in failed.value.hint
    assert "learning_rate" in failed.value.hint
    sound = resume.read(tmp_path / "last.ckpt")
    assert sound["deepcanon"]["step"] == 2
    assert all(torch.isfinite(value).all() for value in sound["state_dict"].values())
    assert signal.getsignal(signal.SIGINT) is before


def test_a_loss_that_is_no_number_names_what_was_shown(tmp_path: Path) -> None:
    run = Run(folder=tmp_path, steps=STEPS, batch=5, quiet=True)
    with pytest.raises(Failed) as failed:
        fit(Poisoned(), Numbers(), run=run, recipe={}, names=lambda index: f"{index}.jpg")
    listing = tmp_path / "bad_batch.txt"
    assert failed.value.message == (
        "the loss became nan at step 3, which was shown 10.jpg, 11.jpg, 12.jpg and 2 more, all in "
        f"{listing}"
    )
    assert listing.read_text().split() == ["10.jpg", "11.jpg", "12.jpg", "13.jpg", "14.jpg"]


class OneGone(Numbers):
    """Numbers of which one cannot be read."""

    def __getitem__(self, index: int) -> Tensor:
        if index == 7:
            raise BadInput("cat.jpg is damaged", hint="mend it")
        return super().__getitem__(index)


def test_data_that_cannot_be_read_is_resumed_when_it_can(whole: Path, tmp_path: Path) -> None:
    run = Run(folder=tmp_path, steps=STEPS, batch=2, seed=5, quiet=True)
    idle = At(-1, crash)
    with pytest.raises(BadInput, match=r"cat\.jpg is damaged") as error:
        fit(TinyTask(), OneGone(), run=run, recipe=RECIPE, callbacks=[idle])
    assert error.value.hint == "mend it; then go on with --resume"
    assert resume.read(tmp_path / "last.ckpt")["deepcanon"]["step"] == 3
    assert train(tmp_path, resume=True)
    assert_same_state(tmp_path / "last.ckpt", whole / "last.ckpt")


def test_data_that_cannot_be_read_in_the_first_step_leaves_nothing_to_resume(
    tmp_path: Path,
) -> None:
    run = Run(folder=tmp_path, steps=STEPS, batch=8, quiet=True)
    with pytest.raises(BadInput, match=r"cat\.jpg is damaged") as error:
        fit(TinyTask(), OneGone(), run=run, recipe=RECIPE)
    assert error.value.hint == "mend it"
    assert not (tmp_path / "last.ckpt").exists()


def test_a_loss_that_is_no_number_before_any_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(Failed) as failed:
        train(tmp_path, task=Poisoned())
    assert failed.value.hint.startswith("no checkpoint was due before; start anew")
    assert not (tmp_path / "last.ckpt").exists()


class PoisonedWeights(TinyTask):
    """A finite loss whose gradient is not: the square root of zero."""

    def training_step(self, batch: Tensor, step: int) -> Tensor:
        loss = super().training_step(batch, step)
        hole = (self.net[0].weight * 0).sum().sqrt()  # type: ignore[operator,union-attr]
        return loss + hole if self.global_step == 2 else loss


def test_weights_that_are_no_numbers_do_not_replace_a_sound_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="became NaN or infinite by step 3"):
        train(tmp_path, task=PoisonedWeights(), every=1)
    assert resume.read(tmp_path / "last.ckpt")["deepcanon"]["step"] == 2


@pytest.mark.parametrize(
    ("cause", "says"),
    [
        (OSError(28, "No space left on device"), "the disk is full"),
        (RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos"), "written"),
    ],
)
def test_a_full_disk_leaves_the_checkpoint_before(
    cause: Exception, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, saved = torch.save, []

    def full_the_second_time(content: Any, file: Any) -> None:
        saved.append(content["deepcanon"]["step"])
        if len(saved) == 2:
            file.write(b"half")
            raise cause
        save(content, file)

    monkeypatch.setattr(torch, "save", full_the_second_time)
    with pytest.raises(Unavailable, match=says):
        train(tmp_path, every=1)
    assert saved == [1, 2]
    assert resume.read(tmp_path / "last.ckpt")["deepcanon"]["step"] == 1
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["last.ckpt"]


def test_people_see_our_lines_only(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert not train(tmp_path, quiet=False, at=At(2, press_ctrl_c))
    out, err = capfd.readouterr()
    assert out == ""
    assert err.splitlines() == [
        f"6 steps, into {tmp_path}; Ctrl-C stops with a checkpoint",
        "",
        "stopping after this step; Ctrl-C: at once",
    ]
    assert train(tmp_path, quiet=False, resume=True)
    out, err = capfd.readouterr()
    assert out == ""
    start, end = err.splitlines()
    assert start.startswith("resuming at step 2 of 6, into ")
    assert end.startswith("step 6/6  loss ") and end.endswith(" left")


def test_quiet_is_silent(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert not train(tmp_path, at=At(2, press_ctrl_c))
    assert train(tmp_path, resume=True)
    assert capfd.readouterr() == ("", "")


def test_other_threads_are_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert not train(tmp_path, at=At(1, press_ctrl_c))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert train(tmp_path, resume=True, quiet=False)
    assert "note: 1 threads then, 3 now" in capfd.readouterr().err


def test_the_table_goes_on_where_the_checkpoint_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deepcanon.training.progress.EVERY", 1)
    with pytest.raises(RuntimeError):
        train(tmp_path, at=At(5, crash), every=3)
    table = tmp_path / "log" / "metrics.csv"
    before = list(csv.DictReader(table.read_text().splitlines()))
    assert [row["step"] for row in before] == ["1", "2", "3", "4"]
    assert train(tmp_path, resume=True, every=3)
    after = list(csv.DictReader(table.read_text().splitlines()))
    assert [row["step"] for row in after] == ["1", "2", "3", "4", "5", "6"]
    assert after[:4] == before
    assert list((tmp_path / "log").glob("events.out.tfevents.*"))

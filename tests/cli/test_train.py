"""`deepcanon train`: what it prints, what it refuses, and a run that is interrupted for real."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from deepcanon.core.record import read_record
from deepcanon.style import distill, train
from tests.cli.conftest import Run, files, refused
from tests.tiny_features import TinyFeatures
from tests.tiny_recipes import TinyTeacher, pictures, settings
from tests.tiny_training import assert_same_state, press_ctrl_c

pytestmark = pytest.mark.row("T2")

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distill, "load_features", lambda name: TinyTeacher())
    monkeypatch.setattr(train, "load_features", lambda name: TinyFeatures())


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with photos/ and paintings/."""
    folder = pictures(tmp_path / "desk")
    monkeypatch.chdir(folder)
    return folder


def words(*more: str, steps: int = 2) -> list[str]:
    """A command line that distils for two steps."""
    found = [*settings("slim-vgg", Path()), f"steps={steps}", *more]
    return ["train", "slim-vgg", *(part for each in found for part in ("--set", each))]


def test_the_result_goes_to_stdout_and_the_rest_to_stderr(run: Run, desk: Path) -> None:
    ran = run(*words())
    assert (ran.code, ran.out) == (0, "runs/slim-vgg/slim-vgg.safetensors\n")
    first, last = ran.err.splitlines()
    assert first == "2 steps, into runs/slim-vgg; Ctrl-C stops with a checkpoint"
    assert last.startswith("step 2/2  features ")
    assert set(files(desk / "runs")) >= {
        "slim-vgg/last.ckpt",
        "slim-vgg/log/metrics.csv",
        "slim-vgg/slim-vgg.safetensors",
    }
    assert read_record(desk / "runs/slim-vgg/slim-vgg.safetensors").recipe["steps"] == 2


def test_json(run: Run, desk: Path) -> None:
    ran = run(*words(), "-o", "out", "--json", "-q", "--seed", "7", "--threads", "1")
    assert (ran.code, ran.err) == (0, "")
    said = ran.json
    assert said["seconds"] > 0
    assert said["settings"]["seed"] == 7 and said["settings"]["photos"] == "photos"
    del said["seconds"], said["settings"]
    assert said == {
        "command": "train",
        "recipe": "slim-vgg",
        "folder": "out",
        "output": "out/slim-vgg.safetensors",
    }


def test_quiet(run: Run, desk: Path) -> None:
    ran = run(*words(), "-q")
    assert (ran.code, ran.stdout, ran.err) == (0, b"", "")


def test_threads(run: Run, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    assert run(*words(), "--threads", "1").code == 0
    assert asked == [1]


def test_a_yaml_file_names_the_folder(run: Run, desk: Path) -> None:
    shown = run("recipes", "show", "slim-vgg").out
    changed = shown.replace('photos: "" ', "photos: photos").replace("steps: 2500", "steps: 2")
    assert changed != shown
    (desk / "mine.yaml").write_text(changed)
    ran = run("train", "mine.yaml", *words()[2:])
    assert (ran.code, ran.out) == (0, "runs/mine/slim-vgg.safetensors\n")


@pytest.mark.parametrize("how", [[], ["--json"]])
def test_three_bad_photographs_among_good_ones(run: Run, desk: Path, how: list[str]) -> None:
    good = (desk / "photos" / "0.png").read_bytes()
    (desk / "photos" / "cut.png").write_bytes(good[: len(good) // 2])
    (desk / "photos" / "empty.jpg").write_bytes(b"")
    (desk / "photos" / "words.webp").write_text("no picture")
    ran = run(*words(), *how)
    assert ran.code == 0
    lines = ran.err.splitlines()
    for line, name in zip(lines, ("cut.png", "empty.jpg", "words.webp"), strict=False):
        assert line.startswith("skipped: ") and name in line
    assert lines[3] == "3 skipped, 3 left"
    record = read_record(desk / "runs/slim-vgg/slim-vgg.safetensors")
    assert record.data == "2 photographs, 1 kept out, 2 paintings"


def test_a_folder_without_pictures(run: Run, desk: Path) -> None:
    (desk / "empty").mkdir()
    (desk / "empty" / "notes.txt").write_text("words")
    before = files(desk)
    refused(run(*words("photos=empty")), "empty", "no pictures")
    (desk / "empty" / "bad.jpg").write_bytes(b"")
    refused(run(*words("photos=empty")), "empty has no picture that can be read")
    refused(run(*words("photos=nowhere")), "nowhere does not exist")
    assert files(desk) == [*sorted([*before, "empty/bad.jpg"])]


@pytest.mark.parametrize(
    ("line", "error", "hint"),
    [
        ("slimvgg", "no recipe is named 'slimvgg'", "slim-vgg"),
        ("mine.yml", "mine.yml does not exist", "recipes"),
        ("slim-vgg --set stpes=3", "recipe slim-vgg has no setting 'stpes'", "steps"),
        ("slim-vgg --set steps", "KEY=VALUE", "--set steps=2500"),
        ("slim-vgg --set steps=many", "steps = 'many'", "recipes show slim-vgg"),
        ("slim-vgg --set precision=half", "precision = 'half'", "recipes show slim-vgg"),
        ("slim-vgg --set learning_rate=-1", "learning_rate is -1", "recipes show slim-vgg"),
        ("slim-vgg --resume", "runs/slim-vgg/last.ckpt to resume", "--resume"),
        ("slim-vgg -o photos/0.png", "photos/0.png is not a folder", "-o"),
        ("slim-vgg --seed -1", "-1 is not in the range", "train --help"),
    ],
)
def test_bad_input(line: str, error: str, hint: str, run: Run, desk: Path) -> None:
    before = files(desk)
    need = ["--set", "photos=photos", "--set", "paintings=paintings"]
    assert hint in refused(run("train", *line.split(), *need), error)
    assert files(desk) == before


def test_what_a_recipe_cannot_do(run: Run, desk: Path) -> None:
    refused(run(*words("steps=0")), "steps is 0, and the least is 1")
    refused(run(*words("batch=0")), "batch is 0, and the least is 1")
    assert not (desk / "runs").exists()


def test_a_run_is_not_overwritten_nor_resumed_with_other_settings(run: Run, desk: Path) -> None:
    assert run(*words()).code == 0
    before = {name: (desk / name).read_bytes() for name in files(desk)}
    hint = refused(run(*words()), "runs/slim-vgg already holds a run")
    assert "--resume" in hint
    refused(run(*words("batch=2"), "--resume"), "(batch: 1 then, 2 now)")
    (desk / "runs/slim-vgg/last.ckpt").write_bytes(b"no checkpoint")
    refused(run(*words(), "--resume"), "last.ckpt is not a checkpoint of deepcanon's")
    after = {name: (desk / name).read_bytes() for name in files(desk)}
    assert after == {**before, "runs/slim-vgg/last.ckpt": b"no checkpoint"}


def test_other_folders_of_the_same_names_are_the_same_recipe(run: Run, desk: Path) -> None:
    assert run(*words()).code == 0
    again = run(*words(f"photos={desk / 'photos'}", f"paintings={desk}/paintings/"), "--resume")
    assert again.code == 0
    assert again.err.splitlines()[0].startswith("resuming at step 2 of 2")


def test_a_loss_that_is_no_number(run: Run, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distill, "gram_error", lambda a, b: (a - b).sum() * float("nan"))
    ran = run(*words(), "-q")
    hint = refused(ran, "the loss became nan at step 1", code=1)
    assert "learning_rate" in hint
    assert not (desk / "runs/slim-vgg/last.ckpt").exists()


def test_ctrl_c_before_the_first_step(
    run: Run, desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load_features(name: str) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(distill, "load_features", load_features)
    hint = refused(run(*words()), "interrupted", code=130)
    assert hint == "hint: no checkpoint was due yet; the same command starts anew"


def test_the_hint_of_an_interrupted_run_is_the_command_that_continues_it(
    run: Run, desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        disturb = distill.disturb

        def disturb_and_press(pictures: torch.Tensor, *, seed: list[int]) -> torch.Tensor:
            press_ctrl_c(None)  # type: ignore[arg-type]
            return disturb(pictures, seed=seed)

        patch.setattr(distill, "disturb", disturb_and_press)
        ran = run(*words("teacher=a b"), "-o", "my run", "-q", "--seed", "4", "--threads", "1")
    hint = refused(ran, "interrupted", code=130)
    command = shlex.split(hint.removeprefix("hint: go on with: "))
    assert command == [
        *("deepcanon", *words("teacher=a b", "seed=4"), "-o", "my run", "--threads", "1"),
        "--resume",
    ]
    ran = run(*command[1:])
    assert (ran.code, ran.out) == (0, "my run/slim-vgg.safetensors\n")


STEPS = 80


def begin(*more: str) -> subprocess.Popen[str]:
    """The command line in a process of its own, with the tiny networks."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "tests.tiny_recipes", *more],
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def checkpoints(path: Path, process: subprocess.Popen[str]) -> Iterator[float]:
    """The times at which a running process has written a checkpoint, as it happens."""
    before = path.stat().st_mtime_ns if path.exists() else None
    while process.poll() is None:
        now = path.stat().st_mtime_ns if path.exists() else None
        if now != before:
            before = now
            yield time.monotonic()
        time.sleep(0.005)


def test_a_real_process_interrupted_killed_and_resumed(run: Run, desk: Path) -> None:
    line = words("checkpoint_every=8", steps=STEPS)
    whole = run(*line, "-o", "whole")
    assert whole.code == 0, whole.err

    process = begin(*line, "-o", "parts")
    for _ in checkpoints(desk / "parts/last.ckpt", process):
        process.send_signal(signal.SIGINT)
        break
    out, err = process.communicate(timeout=600)
    assert (process.returncode, out) == (130, ""), err
    assert err.splitlines()[-2] == "error: interrupted"
    command = shlex.split(err.splitlines()[-1].removeprefix("hint: go on with: deepcanon "))
    assert command == [*line, "-o", "parts", "--resume"]
    assert "Traceback" not in err and "Lightning" not in err and "GPU" not in err
    reached = step_of(desk / "parts/last.ckpt")
    assert 8 <= reached < STEPS

    process = begin(*command)
    for _ in checkpoints(desk / "parts/last.ckpt", process):
        process.kill()
        break
    out, err = process.communicate(timeout=600)
    assert process.returncode == -signal.SIGKILL, err
    assert reached < step_of(desk / "parts/last.ckpt") < STEPS

    again = run(*command, "--json")
    assert again.code == 0, again.err
    assert json.loads(again.out)["output"] == "parts/slim-vgg.safetensors"
    assert_same_state(desk / "parts/last.ckpt", desk / "whole/last.ckpt")
    one, two = (desk / name / "slim-vgg.safetensors" for name in ("parts", "whole"))
    assert one.read_bytes() == two.read_bytes()


def step_of(path: Path) -> int:
    return int(torch.load(path, weights_only=True)["deepcanon"]["step"])

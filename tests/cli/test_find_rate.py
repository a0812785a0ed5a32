"""`deepcanon find-rate`: what it prints, draws and refuses."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepcanon.classify import find_rate as classify_find_rate
from deepcanon.core.images import save
from deepcanon.training import recipe
from tests.cli.conftest import Run, refused

pytestmark = pytest.mark.row("C18")

NETWORK = ("side=8", "network={depth: 8, width: 4}", "batch=8", "precision=float32")


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with pictures/ of two colours, which anything learns to tell apart."""
    random = np.random.default_rng(0)
    for name, colour in (("red", (200, 40, 40)), ("blue", (40, 40, 200))):
        for place in range(10):
            noise = random.integers(-30, 30, (8, 8, 3))
            pixels = (np.array(colour) + noise).astype(np.uint8)
            save(pixels, tmp_path / "pictures" / name / f"{place}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def words(*more: str) -> list[str]:
    settings = [part for each in ("data=pictures", *NETWORK) for part in ("--set", each)]
    return ["find-rate", "resnet20-cifar10", *settings, "--threads", "1", *more]


def test_it_prints_a_setting_and_draws_the_curve(run: Run, desk: Path) -> None:
    ran = run(*words("--steps", "40", "--least", "1e-4", "-o", "rate.png"))
    assert ran.code == 0, ran.err
    name, _, value = ran.out.strip().partition("=")
    assert name == "learning_rate" and 1e-4 < float(value) < 10
    assert ran.err == "drawn: rate.png\n"
    with Image.open(desk / "rate.png") as picture:
        assert picture.size[0] > 100
    said = run(*words("--steps", "40", "--least", "1e-4", "--json"))
    assert (said.code, said.err) == (0, "")
    assert f"{said.json['suggestion']:.2g}" == value  # the same again
    assert len(said.json["rates"]) == len(said.json["losses"]) <= 40


def test_ctrl_c_keeps_nothing_and_says_so(
    run: Run, desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sweep(*_: object, **__: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(classify_find_rate, "sweep", sweep)
    hint = refused(run(*words("-o", "rate.png", "-q")), "interrupted", code=130)
    assert hint == "hint: nothing of it is kept; --steps N takes fewer steps"
    assert not (desk / "rate.png").exists()


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--least", "1", "--most", "0.1"), "--least is 1.0 and --most is 0.1"),
        (("-o", "rate.txt"), "rate.txt is not named .png"),
        (("--set", "data=nowhere"), "nowhere does not exist"),
        (("--set", "batch=1", "--set", "side=4"), "with one picture of 4x4 a process"),
        (("--steps", "3"), "--steps"),
    ],
)
def test_what_it_refuses(more: tuple[str, ...], says: str, run: Run, desk: Path) -> None:
    refused(run(*words(*more)), says)


@pytest.mark.parametrize(
    ("output", "says"),
    [("taken/rate.png", "taken is not a folder"), ("folder.png", "folder.png is a folder")],
)
def test_a_place_where_nothing_can_be_drawn_is_told_first(
    output: str, says: str, run: Run, desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(*_: object, **__: object) -> None:
        raise AssertionError("work was begun")

    monkeypatch.setattr(recipe, "ready", work)
    (desk / "taken").touch()
    (desk / "folder.png").mkdir()
    refused(run(*words("-o", output)), says)
    monkeypatch.setattr(os, "access", lambda *_: False)
    refused(run(*words("-o", "rate.png")), "is not writable")


def test_recipes_that_it_is_not_for(run: Run, desk: Path) -> None:
    refused(run("find-rate", "slim-vgg"), "there is no finder for slim-vgg")
    hint = refused(run("find-rate", "classifier"), "recipe classifier needs data")
    assert "--set data=..." in hint

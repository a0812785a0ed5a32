"""`deepcanon train` of a classifier: what it says, and what a user may get wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deepcanon.classify import train
from deepcanon.core.images import save
from tests.cli.conftest import Run, files, refused

pytestmark = pytest.mark.row("C18")

NETWORK = ("side=8", "network={depth: 8, width: 2}", "batch=2", "precision=float32")


@pytest.fixture(autouse=True)
def _no_export(monkeypatch: pytest.MonkeyPatch) -> None:
    to_weights = lambda net, path, **_: path.with_suffix(".safetensors")  # noqa: E731
    monkeypatch.setattr(train, "export", to_weights)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with pictures of two classes, and folders that cannot be trained on."""
    random = np.random.default_rng(0)
    for name in ("pictures/naïve 猫", "pictures/dog", "single/dog"):
        for place in range(4):
            pixels = random.integers(0, 256, (9, 8, 3), dtype=np.uint8)
            save(pixels, tmp_path / name / f"{place}.png")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def words(*more: str, data: str = "pictures", steps: int = 2) -> list[str]:
    settings = (f"data={data}", f"steps={steps}", *NETWORK, *more)
    return ["train", "resnet20-cifar10", *(part for each in settings for part in ("--set", each))]


def test_a_folder_of_classes_is_trained_on(run: Run, desk: Path) -> None:
    ran = run(*words())
    assert (ran.code, ran.out) == (0, "runs/resnet20-cifar10/resnet20.safetensors\n")
    what, first, last = ran.err.splitlines()
    counted = "pictures: 6 pictures of 2 classes, 2 kept out"
    assert what == f"resnet20 (paper) at 8x8 pixels, {counted}"
    assert first == "2 steps, into runs/resnet20-cifar10; Ctrl-C stops with a checkpoint"
    assert last.startswith("step 2/2  loss ") and "  top1 " in last
    from deepcanon.core.record import read_record

    record = read_record(desk / "runs/resnet20-cifar10/resnet20.safetensors")
    assert record.labels == ["dog", "naïve 猫"]
    assert record.data == counted


@pytest.mark.parametrize(
    ("settings", "says", "hint"),
    [
        (("data=empty",), "empty", "folder"),
        (("data=single",), "single", "class"),
        (("data=nowhere",), "nowhere does not exist", "standin"),
        (("start=gone.safetensors",), "gone.safetensors does not exist", "path"),
        (("start=imagenet",), "tells 10 classes apart, and pictures has 2", "head=new"),
        (("model=resnet21",), "no model is named 'resnet21'", "resnet20"),
        (("model=vgg16", "network={}"), "image_side is 8", "32"),
        (("augmentation=all",), "augmentation", "recipes show"),
        (("drop_at=[0.5, x]",), "drop_at", "recipes show"),
        (("batch=1", "side=4"), "with one picture of 4x4 a process, a batch norm", "batch=2"),
        (("batch=3", "processes=2"), "a batch of 3 cannot be shared by 2 processes", "batch=2"),
    ],
)
def test_what_it_refuses(
    settings: tuple[str, ...], says: str, hint: str, run: Run, desk: Path
) -> None:
    before = files(desk)
    assert hint in refused(run(*words(*settings)), says)
    assert files(desk) == before


def test_resuming_with_other_settings_says_which(run: Run, desk: Path) -> None:
    assert run(*words(), "-q").code == 0
    ran = run(*words("learning_rate=0.2"), "--resume")
    refused(ran, "learning_rate: 0.1 then, 0.2 now")


def test_a_loss_that_is_no_number_fails(run: Run, desk: Path) -> None:
    ran = run(*words("learning_rate=1e30", steps=4), "-q")
    refused(ran, "the loss became", "which was shown", ".png", code=1)

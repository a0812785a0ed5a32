"""Every recipe takes its steps on stand-in data, and ends the same when it is interrupted."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from deepcanon.classify import train as classify
from deepcanon.classify.samples import Samples
from deepcanon.core.record import Record, read_record
from deepcanon.nn.weights import write
from deepcanon.style import distill, train
from deepcanon.style.data import Crops
from deepcanon.training.recipe import all_recipes, choose, start
from tests.tiny_features import TinyFeatures
from tests.tiny_recipes import TinyTeacher, pictures, settings
from tests.tiny_training import assert_same_state

pytestmark = pytest.mark.row("C18", "T1", "T2")

STEPS = 3
# One of each kind of task; the others differ in numbers only.
KINDS = ("slim-vgg", "johnson", "johnson-paper", "multistyle", "new-style", "resnet20-cifar10")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos/ and paintings/."""
    return pictures(tmp_path_factory.mktemp("desk"))


def make_quick(patch: pytest.MonkeyPatch) -> None:
    """Tiny networks to judge and teach, and no export, which takes longer than all steps."""

    def write_weights(net: torch.nn.Module, path: Path, *, record: Record) -> Path:
        return write(net, path.with_suffix(".safetensors"), record=record)

    patch.setattr(distill, "load_features", lambda name: TinyTeacher())
    patch.setattr(train, "load_features", lambda name: TinyFeatures())
    patch.setattr(train, "export_transform_net", write_weights)
    patch.setattr(classify, "export", lambda net, path, **_: path.with_suffix(".safetensors"))


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    make_quick(monkeypatch)


def run(
    name: str, desk: Path, folder: Path, *, first: Path | None, steps: int = STEPS, **how: bool
) -> Path | None:
    chosen = choose(name, settings=[*settings(name, desk, start=first), f"steps={steps}"])
    return start(chosen, folder=folder, resume=how.get("resume", False), quiet=True)


@pytest.fixture(scope="module")
def multistyle(desk: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of two styles, trained for one step."""
    with pytest.MonkeyPatch.context() as patch:
        make_quick(patch)
        folder = tmp_path_factory.mktemp("multistyle")
        made = run("multistyle", desk, folder, first=None, steps=1)
    assert made is not None
    return made


def test_all_kinds_are_here() -> None:
    classes = {type(all_recipes()[name].recipe) for name in KINDS}
    assert classes == {type(each.recipe) for each in all_recipes().values()}


@pytest.mark.parametrize("name", list(all_recipes()))
def test_one_step(name: str, desk: Path, multistyle: Path, tmp_path: Path) -> None:
    made = run(name, desk, tmp_path / "run", first=multistyle, steps=1)
    assert made is not None
    record = read_record(made)
    assert record.recipe["steps"] == 1
    assert record.recipe["precision"] == "float32"
    # No folder of this machine.
    assert record.recipe.get("photos", "photos") == "photos"
    assert record.recipe.get("data", "shapes") == "shapes"
    assert record.scores and all(value > 0 for value in record.scores.values())
    assert str(desk) not in record.to_json()


def stop_after(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Press Ctrl-C when the pictures of a step are fetched: the first of the next with batch=1."""
    for kind in (Crops, Samples):
        monkeypatch.setattr(kind, "__getitem__", pressing(kind.__getitem__, step))


def pressing(fetch: Callable[..., Any], step: int) -> Callable[..., Any]:
    def fetch_and_press(self: Any, index: int) -> Any:
        if index == step and signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            os.kill(os.getpid(), signal.SIGINT)
        return fetch(self, index)

    return fetch_and_press


@pytest.mark.parametrize("name", KINDS)
def test_interrupted_and_resumed(
    name: str, desk: Path, multistyle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    made = run(name, desk, whole, first=multistyle)
    with monkeypatch.context() as patch:
        stop_after(1, patch)
        assert run(name, desk, parts, first=multistyle) is None
    again = run(name, desk, parts, first=multistyle, resume=True)
    assert made is not None and again is not None
    assert_same_state(parts / "last.ckpt", whole / "last.ckpt")
    assert made.read_bytes() == again.read_bytes()

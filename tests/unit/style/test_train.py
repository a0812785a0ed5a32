"""Training transform networks, and one more style, on stand-in pictures and a tiny judge."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deepcanon.core import images
from deepcanon.core.errors import BadInput
from deepcanon.core.record import read_record
from deepcanon.core.standin import painting, picture_folder
from deepcanon.engine.export import weights_of
from deepcanon.style import train as training
from deepcanon.style.predict import Stylizer
from deepcanon.style.recipes import JohnsonRecipe, NewStyleRecipe
from tests.tiny_features import TinyFeatures

pytestmark = pytest.mark.row("T2")

TAPS = {"relu1_1": 0.5, "relu2_1": 0.5}


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What recipes need to be quick: few small photographs, two paintings, a tiny judge."""
    monkeypatch.setattr(training, "load_features", lambda name: TinyFeatures())
    picture_folder(tmp_path / "photos", 5, seed=1)
    (tmp_path / "paintings").mkdir()
    for seed in (1, 2):
        images.save(painting(seed, (32, 32)), tmp_path / "paintings" / f"{seed}.png")
    return {
        "photos": str(tmp_path / "photos"),
        "side": 24,
        "painting_side": 32,
        "batch": 2,
        "steps": 2,
        "content_tap": "relu2_1",
        "style_taps": TAPS,
        "precision": "float32",
        "preview_every": 1,
    }


def _multistyle(small: dict[str, Any], tmp_path: Path) -> Path:
    recipe = JohnsonRecipe(
        variant="multistyle",
        paintings=str(tmp_path / "paintings"),
        styles={"one": "1.png", "two": "2.png"},
        **small,
    )
    path = training.train(recipe, folder=tmp_path / "run", resume=False, quiet=True)
    assert path is not None
    return path


def test_a_trained_network_is_a_predictor_with_its_record(
    small: dict[str, Any], tmp_path: Path
) -> None:
    path = _multistyle(small, tmp_path)
    record = read_record(path)
    assert (record.variant, record.labels) == ("multistyle", ["one", "two"])
    assert record.recipe["steps"] == 2 and record.recipe["photos"] == "photos"
    assert record.scores["total"] > 0
    photo = tmp_path / "paintings" / "1.png"
    assert Stylizer("two", model=path, engine="onnxruntime")(photo).pixels.shape == (32, 32, 3)
    assert {file.name for file in (tmp_path / "run" / "previews").iterdir()} == {
        "000001.jpg",
        "000002.jpg",
    }


def test_a_new_style_leaves_everything_else_as_it_was(
    small: dict[str, Any], tmp_path: Path
) -> None:
    start = _multistyle(small, tmp_path)
    recipe = NewStyleRecipe(
        painting=str(tmp_path / "paintings" / "1.png"), name="three", start=str(start), **small
    )
    path = training.train_new_style(recipe, folder=tmp_path / "more", resume=False, quiet=True)
    assert path is not None
    assert read_record(path).labels == ["one", "two", "three"]
    before, after = weights_of(start), weights_of(path)
    for key in training.johnson.TransformNet(training.johnson.MULTISTYLE).state_dict():
        value = before[key]
        kept = after[key][:2] if key.endswith((".scales", ".shifts")) else after[key]
        torch.testing.assert_close(kept, value, rtol=0, atol=0)
    # It started at the mean of the others, and learned something.
    learned = after["enter.norm.scales"][2]
    assert not torch.equal(learned, before["enter.norm.scales"].mean(0))
    photo = tmp_path / "paintings" / "2.png"
    old = Stylizer("one", model=start, engine="onnxruntime")(photo).pixels
    new = Stylizer("one", model=path, engine="onnxruntime")(photo).pixels
    np.testing.assert_array_equal(old, new)


def test_a_style_that_is_there_already_is_refused(small: dict[str, Any], tmp_path: Path) -> None:
    start = _multistyle(small, tmp_path)
    recipe = NewStyleRecipe(
        painting=str(tmp_path / "paintings" / "1.png"), name="one", start=str(start), **small
    )
    with pytest.raises(BadInput, match="already has a style one"):
        training.train_new_style(recipe, folder=tmp_path / "more", resume=False, quiet=True)


def test_a_network_for_one_style_takes_one_painting(small: dict[str, Any], tmp_path: Path) -> None:
    recipe = JohnsonRecipe(
        variant="modern", paintings=str(tmp_path / "paintings"), styles={"a": "1.png"}, **small
    )
    for wrong in (replace(recipe, styles={"a": "1.png", "b": "2.png"}), replace(recipe, styles={})):
        with pytest.raises(BadInput):
            training.train(wrong, folder=tmp_path / "run", resume=False, quiet=True)
    path = training.train(recipe, folder=tmp_path / "run", resume=False, quiet=True)
    assert path is not None and path.name == "johnson-modern.onnx"
    with pytest.raises(BadInput, match="there is no style 'b'"):
        Stylizer("b", model=path, engine="onnxruntime")


def test_a_painting_that_is_missing_is_named(small: dict[str, Any], tmp_path: Path) -> None:
    recipe = JohnsonRecipe(
        variant="modern", paintings=str(tmp_path / "paintings"), styles={"a": "gone.png"}, **small
    )
    with pytest.raises(BadInput, match=r"gone\.png"):
        training.train(recipe, folder=tmp_path / "run", resume=False, quiet=True)

"""The learning-rate finder takes the steps that a training takes."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
import torch

from deepcanon.classify import find_rate as finder
from deepcanon.classify.recipes import ClassifierRecipe
from deepcanon.classify.train import prepare
from deepcanon.core.errors import Failed
from tests.tiny_pictures import class_folders

pytestmark = pytest.mark.row("C18")


def test_filters_of_zfnet_are_kept_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = ClassifierRecipe(
        data=str(class_folders(tmp_path / "data", {"red": 4, "blue": 4})),
        model="zfnet",
        network={"hidden": 2, "channels": [4, 4, 4, 4, 4]},
        side=53,
        batch=2,
        precision="float32",
    )
    prepared = prepare(recipe, quiet=True)
    weight = prepared.task.net.features.conv1.weight
    with torch.no_grad():
        weight.fill_(0.3)
    monkeypatch.setattr(finder, "prepare", lambda *_, **__: prepared)
    with suppress(Failed):  # at such rates the loss need not fall
        finder.find_rate(
            recipe, steps=20, least=1e-12, most=1e-11, quiet=True, advance=lambda _: None
        )
    torch.testing.assert_close(weight, torch.full_like(weight, 0.1))

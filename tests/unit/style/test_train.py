"""Training transform networks, and one more style, on stand-in pictures and a tiny judge."""

from __future__ import annotations

from collections.abc import Sequence
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
from deepcanon.engine.export import read_weights
from deepcanon.style import train as training
from deepcanon.style.evaluate import Training
from deepcanon.style.features import load_features
from deepcanon.style.predict import MARGIN, Stylizer
from deepcanon.style.recipes import RECIPES, JohnsonRecipe, NewStyleRecipe
from deepcanon.style.task import PerceptualLoss, Repainting
from tests.tiny_features import TinyFeatures

pytestmark = pytest.mark.row("T2")

TAPS = {"relu1_1": 0.5, "relu2_1": 0.5}


def _settings(folder: Path) -> dict[str, Any]:
    """What recipes need to be quick: few small photographs, and beside them two paintings."""
    picture_folder(folder / "photos", 5, seed=1)
    (folder / "paintings").mkdir()
    for seed in (1, 2):
        images.save(painting(seed, (32, 32)), folder / "paintings" / f"{seed}.png")
    return {
        "photos": str(folder / "photos"),
        "side": 24,
        "margin": 4,
        "painting_side": 32,
        "batch": 2,
        "steps": 2,
        "content_tap": "relu2_1",
        "style_taps": TAPS,
        "precision": "float32",
        "preview_every": 1,
    }


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Settings for a quick training that a tiny network judges."""
    monkeypatch.setattr(training, "load_features", lambda name: TinyFeatures())
    return _settings(tmp_path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network with the styles one and two, trained and exported once for all tests."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "load_features", lambda name: TinyFeatures())
        return _multistyle(_settings(folder), folder)


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


def test_a_trained_network_is_a_predictor_with_its_record(trained: Path) -> None:
    record = read_record(trained)
    assert (record.variant, record.labels) == ("multistyle", ["one", "two"])
    assert record.recipe["steps"] == 2 and record.recipe["photos"] == "photos"
    assert record.scores["total"] > 0
    assert record.licence.startswith("not stated")  # nothing is claimed for pictures of a user
    assert record.data == "4 photographs, 1 kept out"
    assert set(record.recipe["sha256"]) == {"photos", "painting one", "painting two"}
    pixels = Stylizer("two", model=trained, engine="onnxruntime")(painting(1, (32, 32))).pixels
    assert pixels.shape == (32, 32, 3)
    assert {file.name for file in (trained.parent / "previews").iterdir()} == {
        "000001.jpg",
        "000002.jpg",
    }


def test_a_new_style_leaves_everything_else_as_it_was(
    trained: Path, small: dict[str, Any], tmp_path: Path
) -> None:
    recipe = NewStyleRecipe(
        painting=str(tmp_path / "paintings" / "1.png"), name="three", start=str(trained), **small
    )
    path = training.train_new_style(recipe, folder=tmp_path / "more", resume=False, quiet=True)
    assert path is not None
    record, base = read_record(path), read_record(trained)
    assert (record.variant, record.labels) == ("multistyle", ["one", "two", "three"])
    assert record.licence == base.licence  # nothing is known of either
    assert record.recipe["base"] == base.recipe
    assert Training.of(record).paintings == {"one": "1.png", "two": "2.png", "three": "1.png"}
    before, after = read_weights(trained), read_weights(path)
    for key in training.johnson.TransformNet(training.johnson.MULTISTYLE).state_dict():
        value = before[key]
        kept = after[key][:2] if key.endswith((".scales", ".shifts")) else after[key]
        torch.testing.assert_close(kept, value, rtol=0, atol=0)
    # It started at the mean of the others, and learned something.
    learned = after["enter.norm.scales"][2]
    assert not torch.equal(learned, before["enter.norm.scales"].mean(0))
    photo = tmp_path / "paintings" / "2.png"
    old = Stylizer("one", model=trained, engine="onnxruntime")(photo).pixels
    new = Stylizer("one", model=path, engine="onnxruntime")(photo).pixels
    np.testing.assert_array_equal(old, new)


def test_a_start_of_another_shape_and_its_licence_are_kept(
    trained: Path, small: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = {"widths": (8, 8, 8), "blocks": 1}
    net = training.johnson.TransformNet(
        replace(training.johnson.MULTISTYLE, styles=2, widths=(8, 8, 8), blocks=1)
    )
    record = replace(read_record(trained), config={"styles": 2, **shape}, licence="Apache-2.0")
    start = training.export_transform_net(net, tmp_path / "narrow.onnx", record=record)
    recipe = NewStyleRecipe(
        painting=str(tmp_path / "paintings" / "1.png"), name="three", start=str(start), **small
    )
    path = training.train_new_style(recipe, folder=tmp_path / "more", resume=False, quiet=True)
    assert path is not None
    made = read_record(path)
    assert made.config == {"styles": 3, "widths": [8, 8, 8], "blocks": 1}
    assert made.licence == f"Apache-2.0. three: {training.LICENCE}"
    with monkeypatch.context() as patch, pytest.raises(BadInput, match="is a convnet multistyle"):
        patch.setattr(training, "read_record", lambda path: replace(record, model="convnet"))
        training.train_new_style(recipe, folder=tmp_path / "x", resume=False, quiet=True)


@pytest.mark.parametrize(
    "painting", ["art/Monet, Lilies.jpg", "a:b.png", "lilies.jpg.png", " .png"]
)
def test_a_style_that_could_not_be_named_is_refused_before_training(
    painting: str, small: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "_fit", None)
    recipe = NewStyleRecipe(painting=painting, **small)
    with pytest.raises(BadInput, match="style") as caught:
        training.train_new_style(recipe, folder=tmp_path / "x", resume=False, quiet=True)
    assert caught.value.hint == "choose another name: --set name=..."
    of_many = JohnsonRecipe(styles={Path(painting).stem: "1.png"}, **small)
    with pytest.raises(BadInput, match="style") as caught:
        training.train(of_many, folder=tmp_path / "x", resume=False, quiet=True)
    assert "--set styles=" in caught.value.hint


@pytest.mark.parametrize("quiet", [True, False])
def test_skipped_photographs_are_named_unless_quiet(
    quiet: bool,
    small: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(training, "load_features", load_features)  # the real one
    (tmp_path / "photos" / "bad.png").write_bytes(b"no picture")
    small |= {"paintings": str(tmp_path / "paintings"), "features": "gone.h5"}
    recipe = JohnsonRecipe(styles={"a": "1.png"}, **small)
    with pytest.raises(BadInput, match=r"gone\.h5"):  # it is looked for after the photographs
        training.train(recipe, folder=tmp_path / "run", resume=False, quiet=quiet)
    assert ("bad.png" in capsys.readouterr().err) is not quiet


def test_a_run_starts_from_a_network_of_the_same_shape_only(
    small: dict[str, Any], tmp_path: Path
) -> None:
    folder, paintings = tmp_path / "start", str(tmp_path / "paintings")
    usual: dict[str, Any] = {**small, "steps": 1, "paintings": paintings, "styles": {"a": "1.png"}}
    recipe = JohnsonRecipe(variant="paper", ema_decay=0.0, shift=0, **usual)
    first = training.train(recipe, folder=folder, resume=False, quiet=True)
    assert first is not None
    frozen = replace(recipe, start=str(first), learning_rate=0.0)
    second = training.train(frozen, folder=tmp_path / "again", resume=False, quiet=True)
    assert second is not None
    before, after = read_weights(first), read_weights(second)
    torch.testing.assert_close(after["enter.conv.weight"], before["enter.conv.weight"])
    record = read_record(second)
    assert (record.variant, record.recipe["start"]) == ("paper", "johnson-paper.onnx")
    assert set(record.recipe["sha256"]) == {"photos", "painting a", "start"}
    assert record.recipe["base"] == read_record(first).recipe
    with pytest.raises(BadInput, match=r"johnson-paper\.onnx"):
        training.train(
            replace(frozen, variant="modern"), folder=tmp_path / "x", resume=False, quiet=True
        )
    (tmp_path / "w.safetensors").write_bytes(b"nothing")
    with pytest.raises(BadInput, match=r"w\.safetensors"):
        training.train(
            replace(frozen, start=str(tmp_path / "w.safetensors")),
            folder=tmp_path / "x",
            resume=False,
            quiet=True,
        )


def test_another_painting_of_the_same_name_is_another_run(
    small: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "export_transform_net", lambda net, path, *, record: path)
    recipe = JohnsonRecipe(paintings=str(tmp_path / "paintings"), styles={"a": "1.png"}, **small)
    assert training.train(recipe, folder=tmp_path / "run", resume=False, quiet=True)
    images.save(painting(3, (32, 32)), tmp_path / "paintings" / "1.png")
    with pytest.raises(BadInput, match=r"other files \(painting a\)"):
        training.train(recipe, folder=tmp_path / "run", resume=True, quiet=True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("side", 8),
        ("painting_side", 0),
        ("preview_every", 0),
        ("checkpoint_every", 0),
        ("steps", 0),
        ("batch", 0),
        ("margin", -1),
        ("shift", 9),
        ("ema_decay", 1.5),
        ("style_taps", {}),
    ],
)
def test_numbers_that_training_cannot_do_with(name: str, value: Any) -> None:
    for kind in (JohnsonRecipe, NewStyleRecipe):
        with pytest.raises(BadInput, match=name):
            kind(**{name: value})


def test_networks_learn_with_the_margin_that_they_are_used_with() -> None:
    assert JohnsonRecipe().margin == NewStyleRecipe().margin == MARGIN
    assert RECIPES["johnson-paper"].margin == 0  # type: ignore[union-attr]


def test_a_margin_wants_more_pixels_than_it_mirrors(small: dict[str, Any], tmp_path: Path) -> None:
    settings = {**small, "margin": small["side"]}
    recipe = JohnsonRecipe(paintings=str(tmp_path / "paintings"), styles={"a": "1.png"}, **settings)
    with pytest.raises(BadInput, match="a margin of 24 pixels cannot mirror crops of 24"):
        training.train(recipe, folder=tmp_path / "run", resume=False, quiet=True)


def test_turns_and_content_weights_are_of_styles_that_there_are(
    small: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match="gives one 0 pictures"):
        JohnsonRecipe(styles={"one": "1.png"}, turns={"one": 0})
    for setting in ("turns", "content_weights"):
        with pytest.raises(BadInput, match=f"{setting} names three") as caught:
            _multistyle({**small, setting: {"three": 2}}, tmp_path)
        assert caught.value.hint == f"--set {setting}={{}} treats all styles alike"


def test_turns_and_content_weights_reach_training_and_the_record(
    small: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    class Watched(Repainting):
        def __init__(
            self, net: Any, *, loss: PerceptualLoss, turns: Sequence[int], **others: Any
        ) -> None:
            seen.extend((turns, loss.content_weights.tolist()))
            super().__init__(net, loss=loss, turns=turns, **others)

    monkeypatch.setattr(training, "Repainting", Watched)
    path = _multistyle({**small, "turns": {"two": 3}, "content_weights": {"one": 0.5}}, tmp_path)
    assert seen == [[0, 1, 1, 1], [0.5, 1.0]]
    objective = Training.of(read_record(path))
    assert objective.of_style("one").content_weight == 0.5
    assert objective.of_style("two") == objective.weighting


def test_a_style_that_is_there_already_is_refused(
    trained: Path, small: dict[str, Any], tmp_path: Path
) -> None:
    recipe = NewStyleRecipe(
        painting=str(tmp_path / "paintings" / "1.png"), name="one", start=str(trained), **small
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

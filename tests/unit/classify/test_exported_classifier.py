"""A network of the catalogue, exported and read back: the crops of `Classifier` against torch's."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from torch import nn

from deepcanon.classify.crops import Crops
from deepcanon.classify.predict import Classifier
from deepcanon.core.catalog import create_model
from deepcanon.engine.export import export, interface_of
from deepcanon.nn.preprocessing import INCEPTION, preprocess
from tests.tiny_record import CLASSIFIER

pytestmark = pytest.mark.row("C18", "C10")

SIDE, RESIZE = 32, 64
STAGES = (((3, 6),), ((3, 8),), ((3, 8),))  # VGG's pattern, of three stages
SMALL = {"stages": STAGES, "image_side": SIDE, "hidden": 16, "num_classes": 6}


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    model = create_model("vgg11", **SMALL)
    with torch.no_grad():
        for each in model.modules():
            if isinstance(each, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(each.weight)  # the paper's are too small to tell apart
    return model.eval()


@pytest.fixture(scope="module")
def file(network: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    record = dataclasses.replace(
        CLASSIFIER,
        model="vgg11",
        config=dataclasses.asdict(network.config),
        labels=list("abcdef"),
        preprocessing={**INCEPTION.to_dict(), "side": SIDE, "resize": RESIZE},
    )
    interface = interface_of(network, input_size=(3, SIDE, SIDE))
    return export(
        network,
        tmp_path_factory.mktemp("vgg") / "vgg.onnx",
        example=interface.example,
        outputs=interface.outputs,
        dynamic=interface.dynamic,
        record=record,
        check=interface.check[:1],
    )


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """Already at the shorter side, so that nothing is resized: 64x96."""
    return np.random.default_rng(0).integers(0, 256, (RESIZE, 96, 3), dtype=np.uint8)


def by_hand(network: nn.Module, views: list[np.ndarray]) -> np.ndarray:
    """The mean of the softmax of views of one size."""
    pictures = torch.from_numpy(np.stack(views).copy()).permute(0, 3, 1, 2) / 255
    with torch.inference_mode():
        return network(preprocess(pictures, how=INCEPTION)).softmax(1).mean(0).numpy()


@pytest.mark.parametrize("engine", ["onnxruntime", "torch"])
@pytest.mark.parametrize("crops", list(Crops))
def test_crops(
    engine: str, crops: Crops, file: Path, network: nn.Module, picture: np.ndarray
) -> None:
    classifier = Classifier(file, engine=engine, threads=1)
    square = picture[:, 16:80]
    views = {
        Crops.ONE: [square[16:48, 16:48]],
        Crops.TEN: [
            view[:, ::step]
            for step in (1, -1)
            for view in (
                *(square[y : y + 32, x : x + 32] for y in (0, 32) for x in (0, 32)),
                square[16:48, 16:48],
            )
        ],
        Crops.FIFTY: [
            view[y : y + 32, x : x + 32]
            for view in (picture, picture[:, ::-1])
            for y in (0, 8, 16, 24, 32)
            for x in (0, 16, 32, 48, 64)
        ],
        Crops.DENSE: [picture, picture[:, ::-1]],
    }[crops]
    (found,) = classifier.scores([picture], crops=crops)
    wanted = by_hand(network, views)
    assert wanted.std() > 0.01 and wanted.max() < 0.99  # the network tells something
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_dense_is_not_the_centre(file: Path, picture: np.ndarray) -> None:
    classifier = Classifier(file, engine="onnxruntime", threads=1)
    one, dense = (classifier.scores([picture], crops=each) for each in (Crops.ONE, Crops.DENSE))
    assert np.abs(one - dense).max() > 1e-3

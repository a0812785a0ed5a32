"""Which network answers for which tap, in which units, from which file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from deepcanon.classify import vgg
from deepcanon.core.assets import shipped
from deepcanon.core.errors import BadInput
from deepcanon.nn.preprocessing import CAFFE, TORCHVISION
from deepcanon.style.features import (
    Pooling,
    SplitFeatures,
    VGGFeatures,
    load_features,
)

pytestmark = pytest.mark.row("T1")

NARROW = vgg.Config(stages=tuple((vgg.Conv(3, 2 * n),) * 2 for n in (1, 2, 3)))


def _narrow(*, pooling: Pooling = Pooling.MAX) -> VGGFeatures:
    return VGGFeatures(vgg.convolution_stack(NARROW), how=TORCHVISION, pooling=pooling)


def test_channels_follow_the_taps_of_the_stack() -> None:
    channels = _narrow().channels
    assert (channels["conv1_1"], channels["relu2_2"], channels["pool3"]) == (2, 4, 6)
    assert list(channels)[:3] == ["conv1_1", "relu1_1", "conv1_2"]


def test_nothing_in_a_feature_network_can_be_trained() -> None:
    net = _narrow()
    pictures = torch.rand(1, 3, 16, 16, requires_grad=True)
    net(pictures, ["relu2_1"])["relu2_1"].sum().backward()
    assert pictures.grad is not None and pictures.grad.abs().sum() > 0
    assert not any(weight.requires_grad for weight in net.parameters())


def test_pictures_are_prepared_as_the_weights_want() -> None:
    stack = vgg.convolution_stack(NARROW)
    pictures = torch.rand(1, 3, 16, 16)
    found = VGGFeatures(stack, how=CAFFE)(pictures, ["conv1_1"])["conv1_1"]
    mean = torch.tensor([103.939, 116.779, 123.68]).view(3, 1, 1)
    torch.testing.assert_close(found, stack[0](pictures.flip(1) * 255 - mean))


def test_average_pooling_is_another_picture() -> None:
    torch.manual_seed(0)
    pictures = torch.rand(1, 3, 16, 16)
    net = _narrow()
    largest = net(pictures, ["pool1"])["pool1"]
    net.pooling = Pooling.AVERAGE
    mean = net(pictures, ["pool1"])["pool1"]
    assert (largest >= mean).all() and (largest > mean).any()


def test_split_takes_shallow_taps_from_one_network_and_deep_ones_from_the_other() -> None:
    shallow, deep = _narrow(), _narrow()
    pictures = torch.rand(1, 3, 16, 16)
    found = SplitFeatures(shallow, deep)(pictures, ["relu2_2", "relu3_1"])
    torch.testing.assert_close(found["relu2_2"], shallow(pictures, ["relu2_2"])["relu2_2"])
    torch.testing.assert_close(found["relu3_1"], deep(pictures, ["relu3_1"])["relu3_1"])
    assert not torch.equal(found["relu3_1"], shallow(pictures, ["relu3_1"])["relu3_1"])


def test_an_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(BadInput, match="resnet50") as raised:
        load_features("resnet50")
    assert "slim" in raised.value.hint and "vgg19" in raised.value.hint


@pytest.mark.parametrize("name", ["a.h5+b.h5+c.h5", ["a.h5"]])
def test_two_files_are_two(name: str | list[str]) -> None:
    with pytest.raises(BadInput, match="weights files, not two"):
        load_features(name)


def test_an_unknown_tap_is_named() -> None:
    with pytest.raises(BadInput, match="relu9_1"):
        _narrow()(torch.rand(1, 3, 16, 16), ["relu9_1"])


def test_a_file_that_is_neither_vgg16_nor_vgg19_is_refused(tmp_path: Path) -> None:
    torch.save({"features.0.weight": torch.zeros(2, 3, 3, 3)}, tmp_path / "other.pth")
    with pytest.raises(BadInput):
        load_features(tmp_path / "other.pth")


def test_a_vgg16_file_answers_as_the_network_that_wrote_it(tmp_path: Path) -> None:
    stack = vgg.convolution_stack(vgg.D)
    torch.save(
        {f"features.{key}": value for key, value in stack.state_dict().items()},
        tmp_path / "vgg16.pth",
    )
    pictures = torch.rand(1, 3, 16, 16)
    found = load_features(tmp_path / "vgg16.pth")(pictures, ["relu2_1"])["relu2_1"]
    own = VGGFeatures(stack, how=TORCHVISION)(pictures, ["relu2_1"])["relu2_1"]
    torch.testing.assert_close(found, own)


def test_a_slim_file_is_told_by_its_record() -> None:
    pictures = torch.rand(1, 3, 32, 32)
    found = load_features(shipped("slim-vgg"))(pictures, ["relu2_1"])["relu2_1"]
    torch.testing.assert_close(found, load_features("slim")(pictures, ["relu2_1"])["relu2_1"])

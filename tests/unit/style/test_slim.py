"""The slim student: its shape, its units, and what it was taught."""

from __future__ import annotations

import pytest
import torch

from deepcanon.core.errors import BadInput
from deepcanon.nn.layer_table import layer_table
from deepcanon.style.features import load_features
from deepcanon.style.slim import TAPS, TEACHER_CHANNELS, Config, SlimVGG

pytestmark = pytest.mark.row("T1")


def test_a_quarter_of_the_channels_at_every_tap() -> None:
    found = SlimVGG(Config())(torch.rand(1, 3, 32, 32), TAPS)
    assert {tap: value.shape[1] * 4 for tap, value in found.items()} == TEACHER_CHANNELS
    assert found["relu1_1"].shape[2:] == (32, 32) and found["relu5_1"].shape[2:] == (2, 2)


def test_parameters() -> None:
    # 3x3 convolutions of VGG16 to conv5_1, widths / 4 (weights and biases): 625,616 - and ten
    # heads w * w + w: 2 * 272 + 2 * 1,056 + 2 * 4,160 + 4 * 16,512 = 77,024 - hence the sum.
    convolutions = sum(
        into * out * 9 + out
        for into, out in (
            *((3, 16), (16, 16), (16, 32), (32, 32), (32, 64), (64, 64), (64, 64)),
            *((64, 128), (128, 128), (128, 128), (128, 128)),
        )
    )
    heads = 2 * 272 + 2 * 1_056 + 2 * 4_160 + 4 * 16_512
    assert sum(weight.numel() for weight in SlimVGG(Config()).parameters()) == convolutions + heads


def test_it_can_be_described() -> None:
    table = layer_table(SlimVGG(Config()), input_size=(3, 32, 32))
    assert table.parameters == 702_640
    heads = [layer.name for layer in table.layers if layer.name.startswith("heads.")]
    assert len(heads) == len(TAPS)


def test_scale_turns_answers_into_the_teachers_units() -> None:
    net = SlimVGG(Config())
    pictures = torch.rand(1, 3, 32, 32)
    before = net(pictures, ["relu2_1"])["relu2_1"]
    net.scale[TAPS.index("relu2_1")] = 3.0
    torch.testing.assert_close(net(pictures, ["relu2_1"])["relu2_1"], 3 * before)


def test_a_tap_it_was_not_taught_is_refused() -> None:
    with pytest.raises(BadInput, match="conv4_2"):
        SlimVGG(Config())(torch.rand(1, 3, 32, 32), ["conv4_2"])


def test_the_shipped_student_is_trained_and_counts_in_the_teachers_channels() -> None:
    net = load_features("slim")
    assert net.channels["relu4_2"] == 512
    flat = net(torch.full((1, 3, 32, 32), 0.5), ["relu1_1", "relu4_1"])
    # VGG16 prepared as Caffe's has activations in the tens, untrained heads in units of one.
    assert flat["relu1_1"].abs().mean() > 5

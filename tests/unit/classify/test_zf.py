"""ZF-net's parts: the forward pass step by step, starting weights, the limit on filters, sizes."""

import dataclasses
import math
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.testing import assert_close

from deepcanon.classify.zf import PAPER, Config, ZFNet, limit_filters, load
from deepcanon.core.catalog import create_model
from deepcanon.core.errors import BadInput
from deepcanon.nn.lrn import local_response_norm

pytestmark = pytest.mark.row("C17")

NARROW = dataclasses.replace(PAPER, channels=(6, 8, 7, 9, 8), hidden=12, num_classes=5)


def lively(config: Config = NARROW) -> ZFNet:
    """The network with weights that keep a signal's size."""
    torch.manual_seed(0)
    net = ZFNet(config)
    for parameter in net.parameters():
        if parameter.ndim > 1:
            nn.init.kaiming_normal_(parameter)
        else:
            nn.init.normal_(parameter, std=0.1)
    return net.eval()


def test_figure_3_step_by_step() -> None:
    net = lively()
    part = dict(net.features.named_children()) | dict(net.classifier.named_children())
    x = pictures = torch.rand(2, 3, 224, 224) * 4

    def weights(name: str) -> tuple[torch.Tensor, torch.Tensor]:
        return part[name].weight, part[name].bias

    x = functional.conv2d(x, *weights("conv1"), stride=2, padding=1).relu()
    assert x.shape[2:] == (110, 110)
    x = local_response_norm(functional.max_pool2d(x, 3, 2, 1))
    x = functional.conv2d(x, *weights("conv2"), stride=2).relu()
    assert x.shape[2:] == (26, 26)
    x = local_response_norm(functional.max_pool2d(x, 3, 2, 1))
    for name in ("conv3", "conv4", "conv5"):
        x = functional.conv2d(x, *weights(name), padding=1).relu()
    x = functional.max_pool2d(x, 3, 2)
    assert x.shape[2:] == (6, 6)
    for name in ("fc6", "fc7"):
        x = functional.linear(x.flatten(1), *weights(name)).relu()
    expected = functional.linear(x, *weights("fc8"))
    assert expected.std() > 0.01
    assert_close(net(pictures), expected, rtol=1e-4, atol=1e-5)


# --- starting weights and the limit on filters ---------------------------------------------------


def test_starts_from_normal_with_zero_biases() -> None:
    torch.manual_seed(0)
    net = ZFNet(dataclasses.replace(PAPER, hidden=64, num_classes=100))
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            number = layer.weight.numel()
            assert layer.weight.std().item() == pytest.approx(0.01, rel=4 / math.sqrt(2 * number))
            assert abs(layer.weight.mean().item()) < 5 * 0.01 / math.sqrt(number)
            assert not layer.bias.any()
    # Not uniform (which would stop at 0.0173), and not "all weights 0.01" as the paper prints.
    assert net.features.conv3.weight.abs().max().item() > 0.03


def test_seed_decides_the_weights_and_the_meta_device_is_respected() -> None:
    def first(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return ZFNet(NARROW).features.conv1.weight

    assert torch.equal(first(1), first(1))
    assert not torch.equal(first(1), first(2))
    with torch.device("meta"):
        net = ZFNet(PAPER)
    assert {each.device.type for each in net.parameters()} == {"meta"}


def test_filters_over_the_radius_are_shrunk_to_it_and_others_left() -> None:
    net = lively()
    with torch.no_grad():
        weight = net.features.conv1.weight
        weight[0] = 0.3  # an RMS of 0.3
        weight[1] = 0.05
        weight[2, 0] = 0.2
        weight[2, 1:] = 0.0  # an RMS of 0.2 / sqrt(3)
    biases = net.features.conv1.bias.detach().clone()
    dense = net.classifier.fc6.weight.detach().clone()
    limit_filters(net)
    assert_close(weight[0], torch.full_like(weight[0], 0.1))
    assert_close(weight[1], torch.full_like(weight[1], 0.05))
    assert_close(weight[2, 0], torch.full_like(weight[2, 0], 0.1 * math.sqrt(3)))
    assert not weight[2, 1:].any()
    for layer in net.features:
        if isinstance(layer, nn.Conv2d):
            assert (layer.weight.square().mean(dim=(1, 2, 3)).sqrt() < 0.1 + 1e-6).all()
    assert torch.equal(net.features.conv1.bias, biases)
    assert torch.equal(net.classifier.fc6.weight, dense)  # §3: in the convolutional layers
    limit_filters(net, radius=0.01)
    assert_close(weight[0], torch.full_like(weight[0], 0.01))


def test_filters_of_zeros_stay_finite() -> None:
    net = ZFNet(NARROW)
    with torch.no_grad():
        net.features.conv1.weight.zero_()
    limit_filters(net)
    assert not net.features.conv1.weight.any()


# --- sizes and settings --------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(53, 53), (53, 130), (240, 100)])
def test_any_size_is_averaged_to_the_map_of_fc6(size: tuple[int, int]) -> None:
    net, x = lively(), torch.rand(2, 3, *size)
    scores = net(x)
    maps = functional.adaptive_avg_pool2d(net.features(x), (6, 6))
    assert_close(scores, net.classifier(maps.flatten(1)))
    assert scores.shape == (2, 5) and scores.std() > 1e-3


@pytest.mark.parametrize("size", [(52, 80), (80, 52), (1, 1)])
def test_too_small_names_the_smallest(size: tuple[int, int]) -> None:
    with pytest.raises(BadInput, match=f"{size[1]}x{size[0]} pixels") as caught:
        lively()(torch.rand(1, 3, *size))
    assert "53x53" in caught.value.hint


def test_smaller_training_crops_make_fc6_smaller() -> None:
    assert ZFNet(dataclasses.replace(NARROW, image_side=64)).classifier.fc6.in_features == 8
    net = lively(dataclasses.replace(NARROW, image_side=64))
    assert net(torch.rand(1, 3, 100, 64)).shape == (1, 5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_side": 52}, "image_side is 52"),
        ({"num_classes": 0}, "num_classes is 0"),
        ({"hidden": 0}, "hidden is 0"),
        ({"dropout": -0.5}, "dropout is -0.5"),
        ({"channels": (96, 256)}, r"channels is \[96, 256\]"),
        ({"channels": (96, 256, 384, 0, 256)}, r"channels is \[96, 256, 384, 0, 256\]"),
    ],
)
def test_impossible_settings_are_refused_by_name(changes: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        create_model("zfnet", **changes)


def test_config_through_json_builds_the_same_network() -> None:
    settings = dataclasses.asdict(NARROW) | {"channels": [6, 8, 7, 9, 8]}
    assert create_model("zfnet", **settings).config == NARROW


# --- weights -------------------------------------------------------------------------------------


def test_weights_files(tmp_path: Path) -> None:
    source, net = lively(), ZFNet(NARROW)
    torch.save(source.state_dict(), tmp_path / "a.pth")
    assert load(net, tmp_path / "a.pth") is None
    assert_close(net.state_dict(), source.state_dict())
    other = ZFNet(dataclasses.replace(NARROW, num_classes=7))
    with pytest.raises(
        BadInput, match=r"fc8\.weight of shape \[5, 12\]; this model's is \[7, 12\]"
    ):
        load(other, tmp_path / "a.pth")
    torch.save({"conv1.weight": torch.rand(3)}, tmp_path / "b.pth")
    with pytest.raises(BadInput, match=r"no place for conv1\.weight"):
        load(net, tmp_path / "b.pth")
    with pytest.raises(BadInput, match="no published ImageNet weights"):
        load(net, "imagenet")

"""The pattern network's parts: the forward pass, starting weights, sizes, settings, weights."""

import dataclasses
import math
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.testing import assert_close

from deepcanon.classify.convnet import Config, ConvNet, Pool, load
from deepcanon.core.catalog import create_model
from deepcanon.core.errors import BadInput
from deepcanon.nn.pooling import l2_pool

pytestmark = pytest.mark.row("C4")

SMALL = Config(channels=4, hidden=6, image_side=8, num_classes=3)


def build(**changes: object) -> ConvNet:
    torch.manual_seed(0)
    return ConvNet(dataclasses.replace(SMALL, **changes))


def test_two_blocks_step_by_step() -> None:
    net = build(convolutions=2, blocks=2, hidden_layers=1, kernel=5)
    part = dict(net.features.named_children()) | dict(net.classifier.named_children())
    x = pictures = torch.rand(2, 3, 8, 8)
    for block in (1, 2):
        for number in (1, 2):
            layer = part[f"conv{block}_{number}"]
            assert layer.out_channels == 4 * block  # the second block has twice the channels
            x = functional.conv2d(x, layer.weight, layer.bias, padding=2).relu()
        x = functional.max_pool2d(x, 2)
    assert x.shape == (2, 8, 2, 2)
    x = functional.linear(x.flatten(1), part["fc1"].weight, part["fc1"].bias).relu()
    expected = functional.linear(x, part["fc2"].weight, part["fc2"].bias)
    assert expected.std() > 0.01
    assert_close(net(pictures), expected)


@pytest.mark.parametrize(
    ("pool", "by_hand"),
    [
        (Pool.MAX, lambda x: functional.max_pool2d(x, 2)),
        (Pool.AVERAGE, lambda x: functional.avg_pool2d(x, 2)),
        (Pool.L2, lambda x: l2_pool(x, kernel=2)),
        (Pool.NONE, lambda x: x),
    ],
)
def test_pool(pool: Pool, by_hand) -> None:
    net, x = build(convolutions=1, pool=pool), torch.rand(1, 3, 8, 8)
    conv = net.features.conv1_1
    expected = by_hand(functional.conv2d(x, conv.weight, conv.bias, padding=1).relu())
    assert_close(net.features(x), expected)
    net(x).square().sum().backward()
    assert all(each.grad is not None and each.grad.isfinite().all() for each in net.parameters())


def test_starting_weights_keep_the_variance() -> None:
    net = build(channels=64, hidden=200)
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            inputs, number = layer.weight[0].numel(), layer.weight.numel()
            std = math.sqrt(2 / inputs)
            assert layer.weight.std().item() == pytest.approx(std, rel=4 / math.sqrt(2 * number))
            assert abs(layer.weight.mean().item()) < 5 * std / math.sqrt(number)
            assert not layer.bias.any()


def test_seed_decides_the_weights_and_the_meta_device_is_respected() -> None:
    first = build().features.conv1_1.weight
    assert torch.equal(first, build().features.conv1_1.weight)
    assert not torch.equal(first, ConvNet(SMALL).features.conv1_1.weight)  # a later draw
    with torch.device("meta"):
        net = ConvNet(SMALL)
    assert {each.device.type for each in net.parameters()} == {"meta"}


@pytest.mark.parametrize("size", [(2, 2), (3, 9), (16, 16), (7, 5)])
def test_any_size_is_averaged_to_the_map_of_the_first_fc_layer(size: tuple[int, int]) -> None:
    net, x = build(), torch.rand(2, 3, *size)
    maps = functional.adaptive_avg_pool2d(net.features(x), (4, 4))
    assert_close(net(x), net.classifier(maps.flatten(1)))
    assert net(x).shape == (2, 3)


@pytest.mark.parametrize(("blocks", "smallest"), [(1, 2), (2, 4), (3, 8)])
def test_too_small_names_the_smallest(blocks: int, smallest: int) -> None:
    net = build(blocks=blocks, convolutions=1)
    assert net.config.smallest == smallest
    assert net(torch.rand(1, 3, smallest, smallest)).isfinite().all()
    with pytest.raises(BadInput, match=f"{smallest - 1}x8 pixels") as caught:
        net(torch.rand(1, 3, 8, smallest - 1))
    assert f"{smallest}x{smallest}" in caught.value.hint
    assert build(blocks=blocks, pool=Pool.NONE).config.smallest == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("convolutions", -1),
        ("blocks", -1),
        ("hidden_layers", -1),
        ("kernel", 2),
        ("kernel", -1),
        ("channels", 0),
        ("hidden", 0),
        ("num_classes", 0),
        ("image_side", 1),
    ],
)
def test_impossible_settings_are_refused_by_name(field: str, value: int) -> None:
    with pytest.raises(BadInput, match=f"{field} is {value}"):
        create_model("convnet", **{field: value})


def test_config_through_json_builds_the_same_network() -> None:
    settings = dataclasses.asdict(SMALL) | {"pool": "l2", "blocks": 2}
    net = create_model("convnet", **settings)
    assert net.config == dataclasses.replace(SMALL, pool=Pool.L2, blocks=2)


def test_weights_files(tmp_path: Path) -> None:
    source, net = build(), ConvNet(SMALL)
    torch.save(source.state_dict(), tmp_path / "a.pth")
    assert load(net, tmp_path / "a.pth") is None
    assert_close(net.state_dict(), source.state_dict())
    with pytest.raises(BadInput, match=r"no place for features\.conv1_3\.bias"):
        load(build(convolutions=2), tmp_path / "a.pth")
    with pytest.raises(BadInput, match=r"fc3\.weight of shape \[3, 6\]; this model's is \[5, 6\]"):
        load(build(num_classes=5), tmp_path / "a.pth")
    with pytest.raises(BadInput, match="no published ImageNet weights"):
        load(net, "imagenet")

"""Inception-ResNet: the sum by hand, scales, starting weights, sizes, settings and files."""

import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from deepcanon.classify.inception_resnet import (
    PAPER_V1,
    PAPER_V2,
    TF_SLIM,
    Config,
    End,
    InceptionResNet,
    Residual,
    Stem,
    Version,
    load,
)
from deepcanon.classify.parts.inception_parts import Branches, chain, same
from deepcanon.classify.weights.inception_v4 import RESNET_V2
from deepcanon.core.catalog import create_model
from deepcanon.core.errors import BadInput

pytestmark = pytest.mark.row("C14")

VARIANTS = {"v1": PAPER_V1, "v2": PAPER_V2, "tf_slim": TF_SLIM}
each_variant = pytest.mark.parametrize("config", VARIANTS.values(), ids=VARIANTS)


def small(config: Config) -> InceptionResNet:
    """One module of each kind."""
    torch.manual_seed(0)
    return InceptionResNet(dataclasses.replace(config, num_classes=5, blocks=(1, 1, 1))).eval()


# --- the sum -------------------------------------------------------------------------------------


def by_hand() -> Residual:
    """x + 0.5 * (2 * relu(x) - 3 * relu(-x) + 1), rectified; one channel."""
    plus, minus = chain(1, same(1, 1)), chain(1, same(1, 1))
    for branch, sign in ((plus, 1.0), (minus, -1.0)):
        nn.init.constant_(branch[0].conv.weight, sign)
        branch[0].norm.eps = 0.0
    net = Residual(Branches(plus, minus), width=2, channels=1, scale=0.5)
    with torch.no_grad():
        net.expand.weight.copy_(torch.tensor([2.0, -3.0]).view(1, 2, 1, 1))
        net.expand.bias.fill_(1.0)
    return net.eval()


def test_sum_by_hand() -> None:
    net, x = by_hand(), torch.tensor([4.0, 0.0, -1.0, -0.1]).view(1, 1, 1, 4)
    #  4 + (8 + 1) / 2,  0 + 1 / 2,  -1 + (-3 + 1) / 2 = -2,  -0.1 + (-0.3 + 1) / 2
    assert_close(net(x).flatten(), torch.tensor([8.5, 0.5, 0.0, 0.25]))
    net.activation = nn.Identity()
    assert_close(net(x).flatten(), torch.tensor([8.5, 0.5, -2.0, 0.25]))


def test_sum_leaves_its_input_alone() -> None:
    net, x = by_hand(), torch.tensor([4.0, -1.0]).view(1, 1, 1, 2)
    net(x)
    assert x.flatten().tolist() == [4.0, -1.0]


def test_sum_says_its_scale() -> None:
    assert "scale=0.5" in repr(by_hand())


def test_scales_reach_their_modules() -> None:
    config = dataclasses.replace(PAPER_V1, blocks=(1, 2, 2), scales=(0.3, 0.2, 0.1))
    with torch.device("meta"):
        net = InceptionResNet(config)
        slim = InceptionResNet(dataclasses.replace(config, end=End.TF_SLIM))
    assert [[each.scale for each in part] for part in (net.a, net.b, net.c)] == [
        [0.3],
        [0.2, 0.2],
        [0.1, 0.1],
    ]
    assert [getattr(each, "scale", None) for each in slim.c] == [0.1, 1.0, None]
    kinds = [type(each.activation) for each in slim.c[:2]]
    assert kinds == [nn.ReLU, nn.Identity]


# --- starting weights ----------------------------------------------------------------------------


@each_variant
def test_starting_weights(config: Config) -> None:
    net = small(config)
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            out, into, *kernel = layer.weight.shape
            reach = math.sqrt(6 / ((into + out) * math.prod(kernel)))  # Glorot, uniform
            assert layer.weight.abs().max().item() <= 1.0001 * reach
            number = layer.weight.numel()
            assert layer.weight.std().item() == pytest.approx(
                reach / math.sqrt(3), rel=4 / math.sqrt(number)
            )
            assert layer.bias is None or not layer.bias.any()
        elif isinstance(layer, nn.BatchNorm2d):
            assert layer.weight.eq(1).all() and not layer.bias.any()
            assert not layer.running_mean.any() and layer.running_var.eq(1).all()
            assert layer.eps == 1e-3


# --- sizes ---------------------------------------------------------------------------------------


@each_variant
def test_smallest_picture_is_the_smallest(config: Config) -> None:
    assert config.smallest == 75
    net = small(config)
    with torch.no_grad():
        for size in ((75, 75), (75, 90), (91, 76)):
            got = net(torch.rand(2, 3, *size))
            assert got.shape == (2, 5)
            assert torch.isfinite(got).all() and not torch.equal(got[0], got[1])
        with pytest.raises(RuntimeError):  # torch's own word: no pixel is left
            net.reduction_b(net.b(net.reduction_a(net.a(net.stem(torch.rand(1, 3, 74, 74))))))


@pytest.mark.parametrize("size", [(74, 90), (90, 74), (1, 1)])
def test_too_small_names_the_smallest(size: tuple[int, int]) -> None:
    with torch.device("meta"):
        net, x = small(PAPER_V2), torch.empty(1, 3, *size)
    with pytest.raises(BadInput, match=f"{size[1]}x{size[0]} pixels") as caught:
        net(x)
    assert "75x75" in caught.value.hint


# --- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("num_classes", 0, "num_classes is 0"),
        ("blocks", [5, 10, 0], r"blocks is \[5, 10, 0\]"),
        ("scales", [0.1, 0.1], r"scales is \[0\.1, 0\.1\]"),
        ("scales", [0.1, 0.0, 0.1], r"scales is \[0\.1, 0\.0, 0\.1\]"),
        ("scales", [0.1, 0.2, 1.1], r"scales is \[0\.1, 0\.2, 1\.1\]"),
        ("dropout", 1.0, r"dropout is 1\.0"),
    ],
)
def test_impossible_settings_are_refused_by_name(field: str, value: object, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        create_model("inception_resnet_v1", **{field: value})


@each_variant
def test_config_through_json_builds_the_same_network(config: Config) -> None:
    plain = json.loads(json.dumps(dataclasses.asdict(config)))
    with torch.device("meta"):
        net = create_model("inception_resnet_v2", **plain)
    assert net.config == config
    assert isinstance(net.config.version, Version) and isinstance(net.config.stem, Stem)


# --- weights -------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [PAPER_V1, PAPER_V2], ids=["v1", "v2"])
def test_imagenet_is_for_the_authors_code(config: Config) -> None:
    with torch.device("meta"), pytest.raises(BadInput, match="no published") as caught:
        load(InceptionResNet(config), "imagenet")
    assert "tf_slim" in caught.value.hint
    assert RESNET_V2.sha256 in RESNET_V2.url


def test_file_of_another_version_changes_nothing(tmp_path: Path) -> None:
    net = small(PAPER_V1)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    torch.save(small(PAPER_V2).state_dict(), tmp_path / "v2.pth")
    with pytest.raises(BadInput, match=r"v2\.pth has no place for stem\."):
        load(net, tmp_path / "v2.pth")
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert net.preprocessing is None


def test_plain_state_dict_of_a_paper_variant(tmp_path: Path) -> None:
    net, other = small(PAPER_V1), small(PAPER_V1)
    for parameter in net.parameters():
        nn.init.normal_(parameter)
    torch.save(net.state_dict(), tmp_path / "ours.pth")
    assert load(other, tmp_path / "ours.pth") is None
    assert all(map(torch.equal, net.parameters(), other.parameters()))

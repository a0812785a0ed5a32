"""BN-Inception's parts: a module by hand, its norms, starting weights, sizes, weights files."""

import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from deepcanon.classify.bn_inception import (
    PAPER,
    WIDE,
    BNInception,
    Config,
    Inception,
    Pool,
    Widths,
    load,
)
from deepcanon.classify.googlenet import Stem
from deepcanon.core.catalog import create_model
from deepcanon.core.errors import BadInput

pytestmark = pytest.mark.row("C12")

VARIANTS = {"paper": PAPER, "wide": WIDE}
each_variant = pytest.mark.parametrize("config", VARIANTS.values(), ids=VARIANTS)


def small(config: Config, *, classes: int = 5) -> BNInception:
    torch.manual_seed(0)
    return BNInception(dataclasses.replace(config, num_classes=classes)).eval()


def of_ones(widths: Widths, *, into: int = 1) -> Inception:
    """A module of kernels of ones, whose norms let everything pass."""
    net = Inception(into, widths).eval()
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.ones_(layer.weight)
        if isinstance(layer, nn.BatchNorm2d):
            layer.eps = 0.0
    return net


# --- modules -------------------------------------------------------------------------------------


def test_module_by_hand() -> None:
    x = torch.zeros(1, 1, 7, 7)
    x[0, 0, 3, 3] = 2.0
    one, three, twice, pool = of_ones(Widths(1, 1, 1, 1, 1, Pool.MAX, 1))(x)[0]
    for got, reach in ((one, 0), (three, 1), (pool, 1)):
        expected = torch.zeros(7, 7)
        expected[3 - reach : 4 + reach, 3 - reach : 4 + reach] = 2.0
        assert_close(got, expected)
    hill = torch.tensor([0.0, 1, 2, 3, 2, 1, 0])  # a window of 3 over one of 3
    assert_close(twice, 2 * torch.outer(hill, hill))


def test_average_leaves_the_border_out() -> None:
    net = of_ones(Widths(1, 1, 1, 1, 1, Pool.AVERAGE, 1))
    x = torch.arange(9.0).view(1, 1, 3, 3)
    got = net(x)[0, 3]
    assert got[0, 0].item() == pytest.approx((0 + 1 + 3 + 4) / 4)
    assert got[1, 1].item() == pytest.approx(4)
    assert got[2, 1].item() == pytest.approx((3 + 4 + 5 + 6 + 7 + 8) / 6)


def test_module_with_stride_by_hand() -> None:
    net = of_ones(Widths(0, 1, 1, 1, 1, Pool.MAX, 0), into=2)
    assert "one" not in net.branches
    x = torch.zeros(1, 2, 7, 8)
    x[0, 1, 2, 4] = 3.0
    three, twice, *pools = net(x)[0]
    assert len(pools) == 2 and not pools[0].any()  # passes through: both channels, each alone
    spot = torch.zeros(4, 4)
    spot[1, 2] = 3.0  # of the windows around pixels 0, 2, 4, 6, one has row 2 and column 4
    assert_close(pools[1], spot)
    assert_close(three, spot)
    rows, columns = torch.tensor([1.0, 3, 1, 0]), torch.tensor([0.0, 1, 3, 1])
    assert_close(twice, 3 * torch.outer(rows, columns))


def test_norm_comes_before_the_relu() -> None:
    net = Inception(3, Widths(4, 2, 2, 2, 2, Pool.MAX, 2)).train()
    seen: list[torch.Tensor] = []
    net.branches["one"].norm.register_forward_hook(lambda _layer, _x, y: seen.append(y.clone()))
    torch.manual_seed(0)
    out = net(torch.rand(8, 3, 9, 9))[:, :4]
    assert_close(seen[0].mean(dim=(0, 2, 3)), torch.zeros(4), atol=1e-5, rtol=0)
    assert (seen[0].var(dim=(0, 2, 3), unbiased=False) - 1).abs().max() < 0.1  # but for epsilon
    assert_close(out, seen[0].clamp(min=0))


# --- starting weights ----------------------------------------------------------------------------


def test_starting_weights() -> None:
    net = small(PAPER, classes=50)
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            std = math.sqrt(2 / layer.weight[0].numel())
            number = layer.weight.numel()
            assert layer.weight.std().item() == pytest.approx(std, rel=4 / math.sqrt(number))
            assert layer.weight.abs().max().item() <= 2.274 * std  # 2 / 0.8796
            assert layer.bias is None or not layer.bias.any()
        elif isinstance(layer, nn.BatchNorm2d):
            assert layer.weight.eq(1).all() and not layer.bias.any()
            assert layer.eps == 1e-3


# --- sizes ---------------------------------------------------------------------------------------


@each_variant
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (33, 47)])
def test_any_picture_has_scores(config: Config, size: tuple[int, int]) -> None:
    net = small(config)
    with torch.no_grad():
        got = net(torch.rand(2, 3, *size))
    assert got.shape == (2, 5)
    assert torch.isfinite(got).all() and not torch.equal(got[0], got[1])


def test_sides_halve_upwards_in_all_branches() -> None:
    net = small(PAPER)
    with torch.no_grad():
        x = net.stem(torch.rand(1, 3, 97, 35))
        assert x.shape[-2:] == (13, 5)  # 97 -> 49 -> 25 -> 13; 35 -> 18 -> 9 -> 5
        assert net.inception(x).shape == (1, 1024, 4, 2)  # -> 7 -> 4; -> 3 -> 2


def test_no_picture_at_all_names_the_smallest() -> None:
    assert PAPER.smallest == 1
    with pytest.raises(BadInput, match="5x0 pixels") as caught:
        small(PAPER)(torch.rand(1, 3, 0, 5))
    assert "1x1" in caught.value.hint


# --- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("num_classes", 0, "num_classes is 0"),
        ("project_4c_4d", 0, "project_4c_4d is 0"),
        ("dropout", 1.0, "dropout is 1.0"),
        ("dropout", -0.1, "dropout is -0.1"),
    ],
)
def test_impossible_settings_are_refused_by_name(field: str, value: object, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        create_model("bn_inception", **{field: value})


@each_variant
def test_config_through_json_builds_the_same_network(config: Config) -> None:
    plain = json.loads(json.dumps(dataclasses.asdict(config)))
    with torch.device("meta"):
        net = create_model("bn_inception", **plain)
    assert net.config == config
    assert isinstance(net.config.stem, Stem)


def test_full_first_convolution() -> None:
    with torch.device("meta"):
        net = create_model("bn_inception", stem="full")
    assert net.stem.conv1.conv.weight.shape == (64, 3, 7, 7)


# --- weights -------------------------------------------------------------------------------------


def test_imagenet_is_not_published() -> None:
    net = small(PAPER)
    with pytest.raises(BadInput, match="no published ImageNet weights"):
        load(net, "imagenet")


def test_file_of_another_variant_changes_nothing(tmp_path: Path) -> None:
    net = small(PAPER)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    torch.save(small(WIDE).state_dict(), tmp_path / "wide.pth")
    with pytest.raises(BadInput, match=r"inception\.4c\.branches\.pool\.project"):
        load(net, tmp_path / "wide.pth")
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert net.preprocessing is None


def test_a_file_with_caffes_names_is_refused(tmp_path: Path) -> None:
    torch.save({"conv1_7x7_s2.weight": torch.zeros(64, 3, 7, 7)}, tmp_path / "caffe.pth")
    net = small(PAPER)
    with pytest.raises(BadInput, match=r"conv1_7x7_s2\.weight"):
        load(net, tmp_path / "caffe.pth")
    assert net.preprocessing is None


def test_plain_state_dict_says_nothing_of_pictures(tmp_path: Path) -> None:
    net, other = small(PAPER), small(PAPER)
    for parameter in net.parameters():
        nn.init.normal_(parameter)
    torch.save(net.state_dict(), tmp_path / "ours.pth")
    assert load(other, tmp_path / "ours.pth") is None is other.preprocessing
    assert all(map(torch.equal, net.parameters(), other.parameters()))

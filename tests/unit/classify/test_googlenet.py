"""GoogLeNet's parts: the two modules by hand, heads, starting weights, sizes, weights files."""

import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.testing import assert_close

from deepcanon.classify.googlenet import (
    PAPER,
    SEPARABLE,
    TORCHVISION,
    Auxiliary,
    Config,
    GoogLeNet,
    Initialisation,
    Stem,
    load,
)
from deepcanon.classify.parts.googlenet_modules import (
    Inception,
    NaiveInception,
    Normalisation,
    Widths,
    separable,
)
from deepcanon.core.catalog import create_model
from deepcanon.core.errors import BadInput

pytestmark = pytest.mark.row("C11")

VARIANTS = {"paper": PAPER, "separable": SEPARABLE, "torchvision": TORCHVISION}
each_variant = pytest.mark.parametrize("config", VARIANTS.values(), ids=VARIANTS)


def small(config: Config, *, heads: tuple[str, ...] = ("4a", "4d")) -> GoogLeNet:
    torch.manual_seed(0)
    changed = dataclasses.replace(config, num_classes=5, hidden=16, heads=heads)
    net = GoogLeNet(dataclasses.replace(changed, initialisation=Initialisation.HE))
    return net.eval()


def all_ones(net: nn.Module) -> nn.Module:
    for name, parameter in net.named_parameters():
        nn.init.constant_(parameter, 1.0 if name.endswith("weight") else 0.0)
    return net


# --- modules -------------------------------------------------------------------------------------


def test_module_by_hand() -> None:
    net = all_ones(Inception(1, Widths(1, 1, 1, 1, 1, 1), how=Normalisation.RESPONSE))
    x = torch.zeros(1, 1, 7, 7)
    x[0, 0, 3, 3] = 2.0
    for got, reach in zip(net(x)[0], (0, 1, 2, 1), strict=True):  # 1x1, 3x3, 5x5, pool 3x3
        expected = torch.zeros(7, 7)
        expected[3 - reach : 4 + reach, 3 - reach : 4 + reach] = 2.0
        assert torch.equal(got, expected)


def test_module_rectifies_after_each_convolution() -> None:
    net = all_ones(Inception(1, Widths(1, 1, 1, 1, 1, 1), how=Normalisation.RESPONSE))
    for branch in (net.three, net.five):
        nn.init.constant_(branch.reduce.conv.weight, -1.0)
        nn.init.constant_(branch.wide.conv.weight, -1.0)
    one, three, five, pool = net(torch.ones(1, 1, 3, 3))[0]
    assert one.eq(1).all() and pool.eq(1).all()
    assert not three.any() and not five.any()  # without the ReLU between: 9 and 9


def test_naive_module_by_hand() -> None:
    net = all_ones(NaiveInception(2, one=1, three=1, five=1))
    x = torch.zeros(1, 2, 5, 5)
    x[0, :, 2, 2] = torch.tensor([1.0, 2.0])
    got = net(x)[0]
    assert got.shape == (5, 5, 5)
    assert [plane.sum().item() for plane in got] == [3, 3 * 9, 3 * 25, 1 * 9, 2 * 9]


def test_separable_convolution_is_a_full_one_of_products() -> None:
    torch.manual_seed(0)
    full = nn.Conv2d(3, 4, 7, stride=2, padding=3)
    net = separable(full, multiplier=2)
    depthwise, pointwise = net.depthwise.weight, net.pointwise.weight  # [6, 1, 7, 7], [4, 6, 1, 1]
    kernel = torch.einsum("oim,imhw->oihw", pointwise.view(4, 3, 2), depthwise.view(3, 2, 7, 7))
    x = torch.rand(2, 3, 21, 16)
    expected = functional.conv2d(x, kernel, net.pointwise.bias, stride=2, padding=3)
    assert expected.std() > 0.01
    assert_close(net(x), expected)


# --- heads ---------------------------------------------------------------------------------------


def test_auxiliary_pool_of_the_paper() -> None:
    torch.manual_seed(0)
    head = Auxiliary(3, dataclasses.replace(PAPER, num_classes=4)).eval()
    seen: list[torch.Tensor] = []
    head.reduce.register_forward_pre_hook(lambda _layer, inputs: seen.append(inputs[0]))
    x = torch.rand(1, 3, 14, 14)
    head(x)
    for row in range(4):
        for column in range(4):
            window = x[..., 3 * row : 3 * row + 5, 3 * column : 3 * column + 5]
            assert_close(seen[0][..., row, column], window.mean(dim=(2, 3)))
    other = torch.rand(1, 3, 8, 14)
    head(other)
    assert_close(seen[1], functional.adaptive_avg_pool2d(other, 4))


@each_variant
def test_all_logits_are_the_scores_and_the_heads_by_depth(config: Config) -> None:
    net = small(config, heads=("5a", "3b"))  # whatever order they are named in
    x = torch.rand(2, 3, 64, 64)
    scores, first, second = net.all_logits(x)
    assert_close(scores, net(x))
    assert scores.shape == first.shape == second.shape == (2, 5)
    middle = net.inception[:2](net.stem(x))
    assert_close(first, net.heads["3b"](middle))
    assert len(small(config, heads=()).all_logits(x)) == 1


def test_forward_leaves_the_heads_alone() -> None:
    net, ran = small(PAPER).train(), []
    for head in net.heads.values():
        head.register_forward_hook(lambda *_: ran.append(1))
    x = torch.rand(2, 3, 64, 64)
    assert net(x).shape == (2, 5) and not ran
    net.all_logits(x)
    assert len(ran) == 2


@each_variant
def test_gradient_reaches_every_weight_through_the_three_losses(config: Config) -> None:
    net = small(config)
    scores, *auxiliary = net.all_logits(torch.rand(2, 3, 64, 64))
    loss = scores.square().sum() + 0.3 * sum(each.square().sum() for each in auxiliary)
    loss.backward()
    assert [key for key, each in net.named_parameters() if not each.grad.any()] == []


def test_dropout_stands_where_the_paper_puts_it() -> None:
    net = small(PAPER).train()
    assert net.top.dropout.p == 0.4
    assert {head.dropout.p for head in net.heads.values()} == {0.7}
    seen: list[torch.Tensor] = []
    net.heads["4a"].fc2.register_forward_pre_hook(lambda _layer, inputs: seen.append(inputs[0]))
    net.heads["4a"].dropout.register_forward_pre_hook(lambda _l, inputs: seen.append(inputs[0]))
    net.all_logits(torch.rand(2, 3, 64, 64))
    before, after = seen
    assert (before >= 0).all() and (before > 0).any()  # rectified first
    kept = after != 0
    assert_close(after[kept], before[kept] / 0.3)


# --- starting weights ----------------------------------------------------------------------------


def test_starting_weights_of_the_paper_variants() -> None:
    torch.manual_seed(0)
    net = GoogLeNet(dataclasses.replace(SEPARABLE, num_classes=50, hidden=64))
    for layer in net.modules():
        if not isinstance(layer, nn.Conv2d | nn.Linear):
            continue
        std = math.sqrt(2 / layer.weight[0].numel())
        number = layer.weight.numel()
        assert layer.weight.std().item() == pytest.approx(std, rel=4 / math.sqrt(number))
        assert layer.weight.abs().max().item() <= 2.274 * std  # 2 / 0.8796
        assert layer.bias is None or not layer.bias.any()
    assert net.inception[-1].three.wide.conv.weight.abs().max() > 2.2 * math.sqrt(2 / (192 * 9))


def test_signal_survives_22_layers_without_normalisation() -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 3, 64, 64)
    wide = GoogLeNet(dataclasses.replace(PAPER, num_classes=50, heads=())).eval()
    narrow = dataclasses.replace(PAPER, initialisation=Initialisation.NARROW, heads=())
    with torch.no_grad():
        assert 0.01 < wide(x).std() < 10
        lost = GoogLeNet(narrow).eval()
        # What the choice is for: all pictures look the same, by the biases that are left.
        assert lost.inception(lost.stem(x)).std(dim=0).max() < 1e-3


def test_starting_weights_of_torchvision() -> None:
    torch.manual_seed(0)
    net = GoogLeNet(dataclasses.replace(TORCHVISION, num_classes=50, hidden=64))
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            number = layer.weight.numel()
            assert layer.weight.std().item() == pytest.approx(0.01, rel=4 / math.sqrt(2 * number))
    assert net.inception[-1].three.wide.conv.weight.abs().max() > 0.03  # not cut at two


# --- sizes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("config", "smallest"), [(PAPER, 31), (SEPARABLE, 31), (TORCHVISION, 15)])
def test_smallest_picture_is_the_smallest(config: Config, smallest: int) -> None:
    assert config.smallest == smallest
    net = small(config)
    for size in ((smallest, smallest), (smallest, 50), (50, smallest + 1)):
        for each in net.all_logits(torch.rand(2, 3, *size)):
            assert torch.isfinite(each).all() and not torch.equal(each[0], each[1])
    with pytest.raises(RuntimeError):  # torch's own word: no pixel is left
        net.inception(net.stem(torch.rand(1, 3, smallest - 1, smallest - 1)))


@pytest.mark.parametrize("size", [(30, 64), (64, 30), (1, 1)])
def test_too_small_names_the_smallest(size: tuple[int, int]) -> None:
    net, x = small(PAPER), torch.rand(1, 3, *size)
    for run in (net, net.all_logits):
        with pytest.raises(BadInput, match=f"{size[1]}x{size[0]} pixels") as caught:
            run(x)
        assert "31x31" in caught.value.hint


# --- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("num_classes", 0, "num_classes is 0"),
        ("hidden", -1, "hidden is -1"),
        ("large_kernel", 4, "large_kernel is 4"),
        ("last_pool", 5, "last_pool is 5"),
        ("dropout", 1.0, "dropout is 1.0"),
        ("auxiliary_dropout", -0.1, "auxiliary_dropout is -0.1"),
        ("heads", ["4a", "4f"], "'4f', which is not a module"),
    ],
)
def test_impossible_settings_are_refused_by_name(field: str, value: object, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        create_model("googlenet", **{field: value})


@each_variant
def test_config_through_json_builds_the_same_network(config: Config) -> None:
    plain = json.loads(json.dumps(dataclasses.asdict(config)))
    with torch.device("meta"):
        net = create_model("googlenet", **plain)
    assert net.config == config
    assert isinstance(net.config.stem, Stem)


# --- weights -------------------------------------------------------------------------------------


def test_imagenet_is_for_the_torchvision_variant() -> None:
    for config in (PAPER, SEPARABLE):
        with torch.device("meta"), pytest.raises(BadInput, match="no published") as caught:
            load(GoogLeNet(config), "imagenet")
        assert "torchvision" in caught.value.hint


def test_file_of_another_network_changes_nothing(tmp_path: Path) -> None:
    net = small(TORCHVISION)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    torch.save(nn.Conv2d(1, 1, 1).state_dict(), tmp_path / "other.pth")
    with pytest.raises(BadInput, match="has no place for bias, weight"):
        load(net, tmp_path / "other.pth")
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert net.preprocessing is None


def test_plain_state_dict_of_the_paper_variant(tmp_path: Path) -> None:
    net, other = small(PAPER), small(PAPER)
    for parameter in net.parameters():
        nn.init.normal_(parameter)
    torch.save(net.state_dict(), tmp_path / "ours.pth")
    assert load(other, tmp_path / "ours.pth") is None
    assert all(map(torch.equal, net.parameters(), other.parameters()))

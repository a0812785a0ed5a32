"""Deconvnet and guided backpropagation: by hand, and against a deconvnet that is written out."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.testing import assert_close

from deepcanon.classify.inside.projection import (
    Rule,
    pool_with_switches,
    project,
    relu_down,
    run_to,
    strongest,
    unpool,
)
from deepcanon.core.catalog import create_model
from deepcanon.nn.layer_table import receptive_fields

pytestmark = pytest.mark.row("C6")

EVERY_RULE = pytest.mark.parametrize("rule", Rule)


def linear(*rows: list[float]) -> nn.Conv2d:
    """A 1x1 convolution without bias: its rows are the weights of its outputs."""
    weight = torch.tensor(rows)[..., None, None]
    layer = nn.Conv2d(weight.shape[1], weight.shape[0], 1, bias=False)
    layer.weight = nn.Parameter(weight)
    return layer


def two_layers(relu: Callable[[], nn.Module] = nn.ReLU) -> nn.Sequential:
    """For the picture (1, 2, 3) the hidden layer is (-2, 4, 1, 3), and the result 4 - 2 + 15."""
    return nn.Sequential(
        linear([1.0, 0.0, -1.0], [2.0, 1.0, 0.0], [0.0, -1.0, 1.0], [1.0, 1.0, 0.0]),
        relu(),
        linear([3.0, 1.0, -2.0, 5.0]),
        relu(),
    )


PICTURE = torch.tensor([1.0, 2.0, 3.0])[:, None, None]

BY_HAND = {
    # All but the first hidden unit, which is negative: (2, 1, 0) - 2 (0, -1, 1) + 5 (1, 1, 0).
    Rule.BACKPROPAGATION: [7.0, 8.0, -2.0],
    # Neither the first nor the third, to which -2 comes down: (2, 1, 0) + 5 (1, 1, 0).
    Rule.GUIDED: [7.0, 6.0, 0.0],
    # All but the third, times the value: 17 (3 (1, 0, -1) + (2, 1, 0) + 5 (1, 1, 0)).
    Rule.DECONVNET: [170.0, 102.0, -51.0],
}


@EVERY_RULE
def test_a_two_layer_net_by_hand(rule: Rule) -> None:
    (found,) = project(two_layers(), PICTURE, layer="3", rule=rule)
    assert (found.channel, found.value, found.row, found.column) == (0, 17.0, 0, 0)
    assert found.pixels.flatten().tolist() == BY_HAND[rule]


def test_what_a_relu_lets_down() -> None:
    coming, x = torch.tensor([-1.0, 2.0, -3.0, 4.0]), torch.tensor([1.0, 1.0, -1.0, -1.0])
    by_rule = {rule: relu_down(coming, x=x, rule=rule).abs().tolist() for rule in Rule}
    assert by_rule == {
        Rule.BACKPROPAGATION: [1.0, 2.0, 0.0, 0.0],
        Rule.DECONVNET: [0.0, 2.0, 0.0, 4.0],
        Rule.GUIDED: [0.0, 2.0, 0.0, 0.0],
    }
    assert relu_down(coming, x=x, rule=Rule.BACKPROPAGATION)[0] == -1


class Does(nn.Module):
    def __init__(self, what: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.what = what

    def forward(self, x: Tensor) -> Tensor:
        return self.what(x)


@EVERY_RULE
@pytest.mark.parametrize(
    "relu",
    [
        lambda: nn.ReLU(inplace=True),
        lambda: Does(functional.relu),
        lambda: Does(torch.relu),
        lambda: Does(torch.relu_),
        lambda: Does(Tensor.relu),
        lambda: Does(lambda x: x.relu_()),
        lambda: Does(lambda x: functional.relu(input=x, inplace=True)),
    ],
)
def test_every_way_to_write_a_relu(relu: Callable[[], nn.Module], rule: Rule) -> None:
    (found,) = project(two_layers(relu), PICTURE, layer="3", rule=rule)
    assert found.pixels.flatten().tolist() == BY_HAND[rule]


def test_unpooling_by_hand() -> None:
    x = torch.tensor(
        [[1.0, 5.0, 2.0, 0.0], [3.0, 4.0, 8.0, 1.0], [0.0, 0.0, 1.0, 2.0], [7.0, 6.0, 4.0, 3.0]]
    )[None, None]
    pooled, switches = pool_with_switches(x, kernel=2, stride=2)
    assert pooled[0, 0].tolist() == [[5.0, 8.0], [7.0, 4.0]]
    assert switches[0, 0].tolist() == [[1, 6], [12, 14]]
    coming = torch.tensor([[10.0, 20.0], [30.0, 40.0]])[None, None]
    assert unpool(coming, switches=switches, size=(4, 4))[0, 0].tolist() == [
        [0.0, 10.0, 0.0, 0.0],
        [0.0, 0.0, 20.0, 0.0],
        [0.0, 0.0, 0.0, 0.0],
        [30.0, 0.0, 40.0, 0.0],
    ]


def test_a_maximum_of_two_windows_gets_the_share_of_both() -> None:
    x = torch.tensor([[0.0, 1.0, 9.0, 2.0, 0.0]])[None, None].repeat(1, 1, 3, 1)
    x[..., 1, 2] = 10
    _, switches = pool_with_switches(x, kernel=3, stride=2)
    coming = torch.tensor([[[[3.0, 4.0]]]])
    back = unpool(coming, switches=switches, size=(3, 5))
    assert back[0, 0, 1].tolist() == [0.0, 0.0, 7.0, 0.0, 0.0]
    assert back.sum() == 7


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, 2, 0), (3, 2, 0), (3, 2, 1)])
def test_the_derivative_of_a_max_pool_unpools(kernel: int, stride: int, padding: int) -> None:
    x = torch.rand(2, 3, 9, 11, requires_grad=True)
    pooled, switches = pool_with_switches(x, kernel=kernel, stride=stride, padding=padding)
    coming = torch.randn_like(pooled)
    plain = functional.max_pool2d(x, kernel, stride, padding)
    (expected,) = torch.autograd.grad(plain, x, coming)
    assert_close(unpool(coming, switches=switches, size=(9, 11)), expected)


def test_a_deconvnet_written_out() -> None:
    """Unpool, rectify, filter with the transposed filters (Zeiler & Fergus, §2.1)."""
    torch.manual_seed(3)
    first, second = nn.Conv2d(3, 5, 3, padding=1), nn.Conv2d(5, 4, 3)
    net = nn.Sequential(
        first, nn.ReLU(inplace=True), nn.MaxPool2d(3, 2), second, nn.ReLU(inplace=True)
    )
    net.requires_grad_(False)
    picture = torch.rand(3, 15, 13)
    (found,) = project(net, picture, layer="4", rule=Rule.DECONVNET, channels=[2])
    rectified = first(picture[None]).relu()
    pooled, switches = pool_with_switches(rectified, kernel=3, stride=2)
    alone = torch.zeros_like(second(pooled))
    alone[0, 2, found.row, found.column] = found.value
    assert found.value == pytest.approx(float(second(pooled)[0, 2].max()))
    down = functional.conv_transpose2d(alone.relu(), second.weight)
    down = unpool(down, switches=switches, size=(15, 13)).relu()
    down = functional.conv_transpose2d(down, first.weight, padding=1)
    assert_close(found.pixels, down[0])
    assert found.pixels.abs().max() > 0


def test_it_goes_back_through_the_preparation() -> None:
    def bgr_in_bytes(x: Tensor) -> Tensor:
        return 255 * x.flip(-3)

    (found,) = project(
        two_layers(), PICTURE.flip(0) / 255, layer="3", rule=Rule.GUIDED, prepare=bgr_in_bytes
    )
    assert_close(found.pixels.flatten(), 255 * torch.tensor([0.0, 6.0, 7.0]))


@EVERY_RULE
def test_nothing_is_projected_beyond_what_a_value_sees(rule: Rule) -> None:
    torch.manual_seed(0)
    net = create_model("resnet20")
    fields = receptive_fields(net, input_size=(3, 32, 32))
    picture = torch.rand(3, 32, 32)
    sizes = []
    for layer in ("relu", "layer1.0.relu2", "layer3"):
        (found,) = project(net, picture, layer=layer, rule=rule, count=1)
        top, left, bottom, right = fields[layer].box(found.row, found.column)
        outside = found.pixels.clone()
        outside[:, max(0, top) : bottom, max(0, left) : right] = 0
        assert not outside.any()
        assert found.pixels.any()
        sizes.append(bottom - top)
    assert sizes[0] == 3 and sizes[1] == 7 and sizes[2] > 64


def test_a_network_is_left_as_it_was() -> None:
    net = create_model("resnet20").train()
    net.layer1.eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    picture = torch.rand(3, 32, 32)
    first = project(net, picture, layer="layer2", rule=Rule.GUIDED, count=2)
    second = project(net, picture, layer="layer2", rule=Rule.GUIDED, count=2)
    assert [each.channel for each in first] == [each.channel for each in second]
    assert_close([each.pixels for each in first], [each.pixels for each in second])
    assert net.training and net.layer2.training and not net.layer1.training
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(each.grad is None for each in net.parameters())
    assert not any(module._forward_hooks for module in net.modules())


def test_what_a_relu_in_place_reads_is_seen_before_it() -> None:
    net = create_model("resnet20").eval()
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        found = run_to(net, x, ["bn1", "relu", "layer1.0.bn1"])
    assert_close(found["bn1"], net.bn1(net.conv1(x)))
    assert (found["bn1"] < 0).any() and not (found["relu"] < 0).any()
    assert (found["layer1.0.bn1"] < 0).any()


def test_nothing_deeper_is_computed_and_vectors_are_maps_of_one_value() -> None:
    def explode(_: Tensor) -> Tensor:
        raise AssertionError("computed deeper than needed")

    net = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), Does(explode))
    found = run_to(net, torch.rand(1, 3, 5, 5), ["1", "0"])
    assert list(found) == ["1", "0"]
    assert found["1"].shape == (1, 18, 1, 1)
    with pytest.raises(AssertionError):
        run_to(net, torch.rand(1, 3, 5, 5), ["2"])


def test_the_strongest_channels_come_first() -> None:
    maps = torch.tensor([[1.0, 0.0], [3.0, -9.0], [2.0, 2.0], [3.0, 0.0]])[:, None]
    assert strongest(maps, count=3) == [1, 3, 2]
    assert len(strongest(maps, count=9)) == 4


def test_a_channel_that_nothing_excites_projects_to_nothing() -> None:
    blue = torch.tensor([0.0, 0.0, 1.0])[:, None, None]  # hidden: (-1, 0, 1, 0), result: -2
    (found,) = project(two_layers(), blue, layer="3", rule=Rule.DECONVNET)
    assert found.value == 0 and not found.pixels.any()

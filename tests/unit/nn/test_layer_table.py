"""Model arithmetic on networks small enough to count by hand, and the chapter's examples (C5)."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from deepcanon.nn.layer_table import Layer, LayerTable, example_inputs, layer_table

pytestmark = pytest.mark.row("C5")


def conv(inputs: int, outputs: int, kernel: int, *, bias: bool = True, **rest: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=bias, **rest)


def last(*layers: nn.Module, size: tuple[int, int, int] = (1, 64, 64)) -> Layer:
    return layer_table(nn.Sequential(*layers), input_size=size).layers[-1]


def weights(table: LayerTable) -> int:
    return sum(layer.parameters for layer in table.layers)


def test_two_3x3_see_5x5_and_three_see_7x7() -> None:
    assert last(conv(1, 1, 3), conv(1, 1, 3)).receptive_field == (5, 5)
    assert last(conv(1, 1, 5)).receptive_field == (5, 5)
    assert last(conv(1, 1, 3), conv(1, 1, 3), conv(1, 1, 3)).receptive_field == (7, 7)
    assert last(conv(1, 1, 7)).receptive_field == (7, 7)


def test_three_3x3_have_27_weights_for_a_pair_of_channels_and_one_7x7_has_49() -> None:
    three = nn.Sequential(*(conv(1, 1, 3, bias=False) for _ in range(3)))
    assert weights(layer_table(three, input_size=(1, 16, 16))) == 27
    one = conv(1, 1, 7, bias=False)
    assert weights(layer_table(one, input_size=(1, 16, 16))) == 49


def test_bottleneck_arithmetic() -> None:
    wide = layer_table(conv(256, 96, 5, bias=False), input_size=(256, 28, 28))
    assert (wide.multiply_adds, weights(wide)) == (481_689_600, 614_400)  # 4.8e8, 6.1e5
    narrow = layer_table(
        nn.Sequential(conv(256, 32, 1, bias=False), conv(32, 96, 5, bias=False)),
        input_size=(256, 28, 28),
    )
    assert (narrow.multiply_adds, weights(narrow)) == (66_633_728, 84_992)  # 6.7e7, 8.5e4


def test_one_line_of_the_table_by_hand() -> None:
    table = layer_table(
        nn.Sequential(nn.Conv2d(3, 8, (3, 5), stride=2), nn.ReLU()), input_size=(3, 11, 13)
    )
    assert table.input == (3, 11, 13)
    assert table.layers[0] == Layer(
        name="0",
        kind="Conv2d",
        output=(8, 5, 5),
        parameters=8 * 3 * 3 * 5 + 8,
        multiply_adds=8 * 5 * 5 * 3 * 3 * 5,
        receptive_field=(3, 5),
    )
    assert table.layers[1].multiply_adds == table.layers[1].parameters == 0
    assert table.to_dict()["layers"][0]["output"] == (8, 5, 5)


def test_strides_dilation_and_pools_widen_the_field() -> None:
    assert last(conv(1, 1, 3, stride=2), conv(1, 1, 3)).receptive_field == (7, 7)
    assert last(nn.MaxPool2d(2), conv(1, 1, 3)).receptive_field == (6, 6)
    assert last(nn.AvgPool2d(3, stride=2), conv(1, 1, 3)).receptive_field == (7, 7)
    assert last(conv(1, 1, 3, dilation=2)).receptive_field == (5, 5)


def test_whole_maps_are_seen_by_what_reads_them_whole() -> None:
    flat = nn.Flatten(), nn.Linear(16, 2)
    assert last(nn.MaxPool2d(2), *flat, size=(1, 8, 8)).receptive_field == (8, 8)
    pooled = last(conv(1, 1, 3), nn.AdaptiveAvgPool2d(1), size=(1, 8, 8))
    assert pooled.receptive_field == (10, 10)  # the padding counts
    untouched = last(conv(1, 1, 3), nn.AdaptiveAvgPool2d(8), size=(1, 8, 8))
    assert untouched.receptive_field == (3, 3)


def test_upsampling_and_transposed_convolution_narrow_the_jump() -> None:
    up = nn.Upsample(scale_factor=2, mode="nearest")
    assert last(nn.MaxPool2d(2), up, conv(1, 1, 3)).receptive_field == (4, 4)
    line = last(nn.ConvTranspose2d(2, 5, 4, stride=2, padding=1), size=(2, 6, 6))
    assert line.output == (5, 12, 12)
    assert line.multiply_adds == 6 * 6 * 2 * 5 * 4 * 4
    assert line.receptive_field == (2, 2)  # every other of the four taps falls between pixels


def test_groups_divide_the_multiply_adds() -> None:
    assert last(conv(4, 8, 3, groups=2), size=(4, 5, 5)).multiply_adds == 8 * 25 * 2 * 9


class Branches(nn.Module):
    """Two ways through, joined and added to by a product that no layer holds."""

    def __init__(self) -> None:
        super().__init__()
        self.narrow, self.wide = conv(3, 2, 1), conv(3, 2, 5)
        self.mix = nn.Parameter(torch.rand(4, 6))
        self.unused = nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        both = torch.cat([self.wide(x), self.narrow(x)], dim=1)
        return functional.linear(both.mean(dim=(2, 3)), self.mix.t())


def test_branches_take_the_wider_field_and_loose_products_count() -> None:
    table = layer_table(Branches(), input_size=(3, 7, 7))
    assert [layer.name for layer in table.layers] == ["wide", "narrow", "(itself)"]
    assert [layer.receptive_field for layer in table.layers] == [(5, 5), (1, 1), (11, 11)]
    assert table.layers[-1].multiply_adds == 4 * 6
    assert table.layers[-1].parameters == 24
    assert table.parameters == sum(each.numel() for each in Branches().parameters())
    assert table.parameters == weights(table) + 12  # the layer nobody called


class Styled(nn.Module):
    """Takes a weight a picture beside the pictures, and answers with a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = conv(3, 2, 3)

    def example_inputs(self, pictures: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return pictures, pictures.new_ones(len(pictures))

    def forward(self, x: torch.Tensor, weights: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"out": self.conv(x) * weights[:, None, None, None]}


def test_a_module_may_say_what_else_it_takes() -> None:
    pictures = torch.rand(2, 3, 4, 4)
    assert [each.shape for each in example_inputs(Styled(), pictures)] == [(2, 3, 4, 4), (2,)]
    assert example_inputs(conv(3, 2, 3), pictures) == (pictures,)
    (line,) = layer_table(Styled(), input_size=(3, 4, 4)).layers
    assert (line.name, line.output, line.multiply_adds) == ("conv", (2, 4, 4), 2 * 16 * 27)


def test_a_layer_called_twice_is_two_lines_with_its_weights_in_the_first() -> None:
    shared = conv(2, 2, 3)
    table = layer_table(nn.Sequential(shared, nn.ReLU(), shared), input_size=(2, 4, 4))
    assert [layer.parameters for layer in table.layers] == [38, 0, 0]
    assert table.layers[0].multiply_adds == table.layers[2].multiply_adds == 2 * 16 * 18
    assert table.parameters == 38


def test_leaves_the_module_as_it_was() -> None:
    net = nn.Sequential(conv(1, 2, 3), nn.BatchNorm2d(2), nn.Sequential(nn.Dropout(0.5)))
    net[2].eval()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    layer_table(net, input_size=(1, 8, 8))
    assert [each.training for each in net.modules()] == [True, True, True, False, False]
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert not any(each._forward_hooks or each._forward_pre_hooks for each in net.modules())


def test_leaves_the_module_as_it_was_even_when_it_fails() -> None:
    net = nn.Sequential(conv(1, 2, 3), nn.Linear(3, 3))
    with pytest.raises(RuntimeError):
        layer_table(net, input_size=(1, 8, 8))
    assert net.training
    assert not any(each._forward_hooks or each._forward_pre_hooks for each in net.modules())

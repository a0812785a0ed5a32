"""What the paper and the chapter say about GoogLeNet, held against the network as built."""

from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import nn

from deepcanon.classify.googlenet import MODULES, PAPER, SEPARABLE, TORCHVISION, GoogLeNet
from deepcanon.classify.parts.googlenet_modules import (
    Inception,
    NaiveInception,
    Normalisation,
    Widths,
)
from deepcanon.core.catalog import get_card
from deepcanon.nn.layer_table import LayerTable, layer_table
from deepcanon.nn.lrn import LocalResponseNorm

pytestmark = pytest.mark.row("C11")

VARIANTS = {"paper": PAPER, "separable": SEPARABLE, "torchvision": TORCHVISION}
# Table 1: where a row ends, its output, params in K and ops in M.
TABLE_1 = {
    "stem.conv1": ((64, 112, 112), 2.7, 34),
    "stem.pool1": ((64, 56, 56), 0, 0),
    "stem.conv2": ((192, 56, 56), 112, 360),  # with conv2_reduce
    "stem.pool2": ((192, 28, 28), 0, 0),
    "inception.3a": ((256, 28, 28), 159, 128),
    "inception.3b": ((480, 28, 28), 380, 304),
    "inception.pool3": ((480, 14, 14), 0, 0),
    "inception.4a": ((512, 14, 14), 364, 73),
    "inception.4b": ((512, 14, 14), 437, 88),
    "inception.4c": ((512, 14, 14), 463, 100),
    "inception.4d": ((528, 14, 14), 580, 119),
    "inception.4e": ((832, 14, 14), 840, 170),
    "inception.pool4": ((832, 7, 7), 0, 0),
    "inception.5a": ((832, 7, 7), 1072, 54),
    "inception.5b": ((1024, 7, 7), 1388, 71),
    "top.pool": ((1024, 1, 1), 0, 0),
    "top.dropout": ((1024,), 0, 0),
    "top.fc": ((1000,), 1000, 1),
}
# The paper's figures against those of its own widths; the module docstring has the arithmetic.
OFF = {"inception.4c": (463 / 497.5, 1), "inception.5a": (1072 / 1018, 54 / 51.08)}


@cache
def net_of(variant: str) -> GoogLeNet:
    with torch.device("meta"):
        return GoogLeNet(VARIANTS[variant])


@cache
def table_of(variant: str) -> LayerTable:
    return layer_table(net_of(variant), input_size=(3, 224, 224))


def of_row(name: str) -> list[str]:
    return ["stem.conv2", "stem.conv2_reduce"] if name == "stem.conv2" else [name]


def weights(net: nn.Module, name: str) -> int:
    layers = [each for row in of_row(name) for each in net.get_submodule(row).modules()]
    return sum(each.weight.numel() for each in layers if isinstance(each, nn.Conv2d | nn.Linear))


def operations(table: LayerTable, name: str) -> int:
    rows = of_row(name)
    return sum(
        each.multiply_adds
        for each in table.layers
        if any(f"{each.name}.".startswith(f"{row}.") for row in rows)
    )


# --- sums ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variant", "whole", "without_heads"),
    [
        ("paper", 13_378_280, 6_998_552),
        ("separable", 13_371_584, 6_991_856),  # less 9,408, and 2,712 more
        ("torchvision", 13_004_888, 6_624_904),  # torchvision publishes the second
    ],
)
def test_parameters(variant: str, whole: int, without_heads: int) -> None:
    net = net_of(variant)
    assert sum(each.numel() for each in net.parameters()) == whole
    assert whole - sum(each.numel() for each in net.heads.parameters()) == without_heads
    with torch.device("meta"):
        bare = GoogLeNet(replace(net.config, heads=()))
    assert sum(each.numel() for each in bare.parameters()) == without_heads


def test_a_ninth_of_alexnets_weights() -> None:
    bare = sum(p.numel() for n, p in net_of("paper").named_parameters() if "heads" not in n)
    assert round(60_965_224 / bare, 1) == 8.7  # the paper says 12


def test_a_thousand_five_hundred_million_multiply_adds() -> None:
    ops = sum(row[2] for row in TABLE_1.values())
    assert ops == 1502  # §1: "a computational budget of 1.5 billion multiply-adds"
    assert round(table_of("separable").multiply_adds / 1e6) == 1499
    assert round(table_of("paper").multiply_adds / 1e6) == 1583
    assert round(table_of("torchvision").multiply_adds / 1e9, 3) == 1.498  # as it publishes


def test_22_layers_with_weights_one_behind_the_other() -> None:
    net = net_of("paper")
    stem = sum(isinstance(each, nn.Conv2d) for each in net.stem.modules())
    modules = [each for each in net.inception if isinstance(each, Inception)]
    deepest = [sum(isinstance(c, nn.Conv2d) for c in each.five.modules()) for each in modules]
    assert stem + sum(deepest) + 1 == 22  # §5


# --- Table 1 -------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["paper", "separable", "torchvision"])
def test_output_sizes(variant: str) -> None:
    net, seen = net_of(variant), {}
    hooks = [
        net.get_submodule(name).register_forward_hook(
            lambda _layer, _input, output, name=name: seen.update({name: tuple(output.shape[1:])})
        )
        for name in TABLE_1
    ]
    net.eval()(torch.empty(1, 3, 224, 224, device="meta"))
    for hook in hooks:
        hook.remove()
    assert seen == {name: row[0] for name, row in TABLE_1.items()}
    assert {f"inception.{name}": widths.out for name, widths in MODULES.items()} == {
        name: row[0][0] for name, row in TABLE_1.items() if name[-1] in "abcde" and "in" in name
    }


@pytest.mark.parametrize("name", TABLE_1)
def test_params_and_ops(name: str) -> None:
    net, table = net_of("separable"), table_of("separable")
    _, thousands, millions = TABLE_1[name]
    off_params, off_ops = OFF.get(name, (1, 1))
    params = weights(net, name) / (1000 if name == "stem.conv1" else 1024)
    assert params * off_params == pytest.approx(thousands, rel=0.02)
    assert operations(table, name) / 1e6 * off_ops == pytest.approx(millions, rel=0.01, abs=0.6)


def test_first_row_is_a_separable_convolution() -> None:
    assert weights(net_of("separable"), "stem.conv1") == 7 * 7 * 3 * 8 + 24 * 64 == 2712
    assert operations(table_of("separable"), "stem.conv1") == 2712 * 112 * 112  # 34.0 M
    assert weights(net_of("paper"), "stem.conv1") == 7 * 7 * 3 * 64 == 9408
    assert operations(table_of("paper"), "stem.conv1") == 9408 * 112 * 112  # 118.0 M


def test_rows_where_the_table_disagrees_with_its_widths() -> None:
    net, table = net_of("paper"), table_of("paper")
    assert weights(net, "inception.4c") == 509_440
    assert operations(table, "inception.4c") == 509_440 * 14 * 14  # 99.9 M: the ops are right
    assert weights(net, "inception.5a") == 1_042_432
    assert operations(table, "inception.5a") == 1_042_432 * 7 * 7  # 51.1 M, and the paper has 54
    with torch.device("meta"):
        other = Inception(832, MODULES["5a"]._replace(five_reduce=48), how=Normalisation.RESPONSE)
    changed = sum(p.numel() for n, p in other.named_parameters() if n.endswith("weight"))
    assert round(changed * 49 / 1e6) == 54


def test_layers_that_table_1_leaves_to_figure_3() -> None:
    assert [name for name, _ in net_of("paper").stem.named_children()] == [
        "conv1",
        "pool1",
        "lrn1",
        "conv2_reduce",
        "conv2",
        "lrn2",
        "pool2",
    ]
    layer = net_of("paper").stem.lrn1
    assert isinstance(layer, LocalResponseNorm)
    assert (layer.size, layer.alpha, layer.beta, layer.k) == (5, 1e-4, 0.75, 2.0)
    kinds = {type(each) for each in net_of("torchvision").modules()}
    assert LocalResponseNorm not in kinds and nn.BatchNorm2d in kinds
    assert nn.BatchNorm2d not in {type(each) for each in net_of("paper").modules()}


def test_every_convolution_is_followed_by_a_relu() -> None:
    net = net_of("paper")
    blocks = [each for each in net.modules() if isinstance(getattr(each, "conv", None), nn.Module)]
    found = sum(isinstance(each, nn.Conv2d) for each in net.modules())
    assert len(blocks) == found  # those of the heads too
    assert all(isinstance(each[-1], nn.ReLU) for each in blocks)


# --- auxiliary classifiers -----------------------------------------------------------------------


def test_auxiliary_classifiers_are_those_of_section_5() -> None:
    config = net_of("paper").config
    assert (config.heads, config.auxiliary_weight, config.auxiliary_dropout) == (
        ("4a", "4d"),
        0.3,
        0.7,
    )
    assert config.dropout == 0.4
    for name, channels in (("4a", 512), ("4d", 528)):
        head = net_of("paper").heads[name]
        assert MODULES[name].out == channels  # "4x4x512 output for the (4a), 4x4x528 for the (4d)"
        assert head.reduce.conv.weight.shape == (128, channels, 1, 1)
        assert head.fc1.weight.shape == (1024, 4 * 4 * 128)
        assert head.fc2.weight.shape == (1000, 1024)


# --- the two modules of figure 2 -----------------------------------------------------------------


def test_naive_module_grows_and_costs_more() -> None:
    widths = MODULES["3a"]
    with torch.device("meta"):
        naive = NaiveInception(192, one=widths.one, three=widths.three, five=widths.five)
        reduced = Inception(192, widths, how=Normalisation.RESPONSE)
        x = torch.empty(1, 192, 28, 28)
    assert naive(x).shape[1] == 64 + 128 + 32 + 192 == 416  # from 192: the pool passes through
    assert reduced(x).shape[1] == 256
    cost = [layer_table(each, input_size=(192, 28, 28)) for each in (naive, reduced)]
    by_hand = (192 * 64 + 192 * 128 * 9 + 192 * 32 * 25) * 28 * 28
    assert cost[0].multiply_adds == by_hand == 303_464_448
    assert cost[1].multiply_adds == 128_049_152


def test_widths_add_up() -> None:
    assert Widths(1, 20, 300, 4000, 50000, 600000).out == 650301


# --- the catalogue -------------------------------------------------------------------------------


def test_card() -> None:
    card = get_card("googlenet")
    assert (card.default, card.year, card.input_size) == ("paper", 2015, (3, 224, 224))
    assert card.variants.keys() == VARIANTS.keys()
    assert all(variant.differs for variant in card.variants.values())

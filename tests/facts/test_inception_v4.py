"""What the paper and the chapter say about Inception-v4, held against the network as built."""

from functools import cache

import pytest
import torch
from torch import nn

from deepcanon.classify.inception_v4 import PAPER, TF_SLIM, InceptionV4
from deepcanon.core.catalog import get_card
from deepcanon.nn.layer_table import LayerTable, layer_table

pytestmark = pytest.mark.row("C14")

VARIANTS = {"paper": PAPER, "tf_slim": TF_SLIM}
# Figures 9 and 3: what each block gives.
OUTPUTS = {
    "stem.0": (32, 149, 149),
    "stem.1": (32, 147, 147),
    "stem.2": (64, 147, 147),
    "stem.3": (160, 73, 73),
    "stem.4": (192, 71, 71),
    "stem.5": (384, 35, 35),
    "a.3": (384, 35, 35),
    "reduction_a": (1024, 17, 17),
    "b.6": (1024, 17, 17),
    "reduction_b": (1536, 8, 8),
    "c.2": (1536, 8, 8),
    "top.pool": (1536, 1, 1),
    "top.fc": (1000,),
}
# The figures, branch by branch: kernel and width of each convolution, V for stride 2.
FIGURES = {
    "stem.3": (64, "3x3 96 V"),  # beside a pool
    "stem.4": (160, "1x1 64, 3x3 96", "1x1 64, 7x1 64, 1x7 64, 3x3 96"),
    "stem.5": (192, "3x3 192 V"),
    "a.0": (384, "1x1 96", "1x1 64, 3x3 96", "1x1 64, 3x3 96, 3x3 96", "1x1 96"),
    "reduction_a": (384, "3x3 384 V", "1x1 192, 3x3 224, 3x3 256 V"),  # Table 1: n; k, l, m
    "b.0": (
        1024,
        "1x1 384",
        "1x1 192, 1x7 224, 7x1 256",
        "1x1 192, 1x7 192, 7x1 224, 1x7 224, 7x1 256",
        "1x1 128",
    ),
    "reduction_b": (1024, "1x1 192, 3x3 192 V", "1x1 256, 1x7 256, 7x1 320, 3x3 320 V"),
}


@cache
def net_of(variant: str) -> InceptionV4:
    with torch.device("meta"):
        return InceptionV4(VARIANTS[variant])


@cache
def table_of(variant: str) -> LayerTable:
    return layer_table(net_of(variant), input_size=(3, 299, 299))


def described(net: nn.Module) -> str:
    """The convolutions of a branch as `FIGURES` writes them."""
    found = []
    for each in net.modules():
        if isinstance(each, nn.Conv2d):
            height, width = each.kernel_size
            stride = " V" if each.stride == (2, 2) else ""
            found.append(f"{height}x{width} {each.out_channels}{stride}")
    return ", ".join(found)


@pytest.mark.parametrize("variant", VARIANTS)
def test_output_sizes(variant: str) -> None:
    net, seen = net_of(variant), {}
    hooks = [
        net.get_submodule(name).register_forward_hook(
            lambda _layer, _input, output, name=name: seen.update({name: tuple(output.shape[1:])})
        )
        for name in OUTPUTS
    ]
    net.eval()(torch.empty(1, 3, 299, 299, device="meta"))
    for hook in hooks:
        hook.remove()
    assert seen == OUTPUTS
    assert [len(each) for each in (net.a, net.b, net.c)] == [4, 7, 3]
    assert net.top.dropout.p == pytest.approx(0.2)  # "keep 0.8"


@pytest.mark.parametrize("name", FIGURES)
def test_convolutions_of_the_figures(name: str) -> None:
    into, *branches = FIGURES[name]
    found = [each for each in net_of("paper").get_submodule(name).branches if described(each)]
    assert sorted(map(described, found)) == sorted(branches)
    assert {next(c for c in each.modules() if isinstance(c, nn.Conv2d)).in_channels
            for each in found} == {into}  # fmt: skip


def test_figure_6_splits_at_its_ends() -> None:
    _, pair, long, _ = net_of("paper").c[0].branches
    assert described(pair) == "1x1 384, 1x3 256, 3x1 256"
    assert described(long) == "1x1 384, 1x3 448, 3x1 512, 1x3 256, 3x1 256"
    assert len(pair[1].branches) == len(long[3].branches) == 2  # side by side


def test_pools_stand_beside_the_strides() -> None:
    net = net_of("paper")
    for block in (net.stem[3], net.stem[5], net.reduction_a, net.reduction_b):
        (pool,) = [each for each in block.branches if isinstance(each, nn.MaxPool2d)]
        assert (pool.kernel_size, pool.stride, pool.padding) == (3, 2, 0)


def test_where_the_authors_code_turns_the_figures() -> None:
    net = net_of("tf_slim")
    assert described(net.stem[4].branches[1]) == "1x1 64, 1x7 64, 7x1 64, 3x3 96"
    assert described(net.b[0].branches[1]) == "1x1 192, 1x7 224, 7x1 256"
    assert described(net.b[0].branches[2]) == "1x1 192, 7x1 192, 1x7 224, 7x1 224, 1x7 256"
    assert described(net.c[0].branches[2]) == "1x1 384, 3x1 448, 1x3 512, 1x3 256, 3x1 256"


@pytest.mark.parametrize("variant", VARIANTS)
def test_sums(variant: str) -> None:
    table = table_of(variant)  # to turn a kernel costs nothing
    assert (table.parameters, table.multiply_adds) == (42_679_816, 12_253_974_624)


def test_there_is_one_fc_layer_and_no_auxiliary_classifier() -> None:
    net = net_of("paper")
    assert sum(isinstance(each, nn.Linear) for each in net.modules()) == 1
    assert not hasattr(net, "all_logits")


def test_card() -> None:
    card = get_card("inception_v4")
    assert (card.default, card.year, card.input_size) == ("paper", 2017, (3, 299, 299))
    assert card.variants.keys() == VARIANTS.keys()
    assert all(variant.differs for variant in card.variants.values())

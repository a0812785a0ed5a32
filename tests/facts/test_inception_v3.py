"""What the paper and the chapter say about Inception-v3, held against the network as built."""

from functools import cache

import pytest
import torch
from torch import nn

from deepcanon.classify.googlenet import PAPER as GOOGLENET
from deepcanon.classify.googlenet import GoogLeNet
from deepcanon.classify.inception_v3 import PAPER, TORCHVISION, InceptionV3
from deepcanon.classify.parts.inception_parts import Branches, chain, same
from deepcanon.core.catalog import get_card
from deepcanon.nn.layer_table import LayerTable, layer_table

pytestmark = pytest.mark.row("C13")

VARIANTS = {"paper": PAPER, "torchvision": TORCHVISION}
# Table 1: what each row gives, which is the next row's input.
TABLE_1 = {
    "stem.0": (32, 149, 149),
    "stem.1": (32, 147, 147),
    "stem.2": (64, 147, 147),
    "stem.3": (64, 73, 73),
    "stem.4": (80, 71, 71),
    "stem.5": (192, 35, 35),
    "stem.6": (288, 35, 35),
    "fine.2": (288, 35, 35),
    "to_17": (768, 17, 17),
    "sevens.4": (768, 17, 17),
    "to_8": (1280, 8, 8),
    "coarse.1": (2048, 8, 8),
    "top.pool": (2048, 1, 1),
    "top.fc": (1000,),
}
# The comments of the authors' code, inception_model.py, on the sizes of its layers.
AUTHORS_CODE = {
    "stem.0": (32, 149, 149),
    "stem.1": (32, 147, 147),
    "stem.2": (64, 147, 147),
    "stem.3": (64, 73, 73),
    "stem.4": (80, 73, 73),
    "stem.5": (192, 71, 71),
    "stem.6": (192, 35, 35),
    "fine.0": (256, 35, 35),
    "fine.1": (288, 35, 35),
    "fine.2": (288, 35, 35),
    "to_17": (768, 17, 17),
    "sevens.3": (768, 17, 17),
    "to_8": (1280, 8, 8),
    "coarse.0": (2048, 8, 8),
    "coarse.1": (2048, 8, 8),
}


@cache
def net_of(variant: str) -> InceptionV3:
    with torch.device("meta"):
        return InceptionV3(VARIANTS[variant])


@cache
def table_of(variant: str) -> LayerTable:
    return layer_table(net_of(variant), input_size=(3, 299, 299))


def convolutions(net: nn.Module) -> list[nn.Conv2d]:
    return [each for each in net.modules() if isinstance(each, nn.Conv2d)]


def weights(net: nn.Module) -> int:
    return sum(each.weight.numel() for each in convolutions(net))


def depth(net: nn.Module) -> int:
    """Convolutions one behind the other on the longest way through."""
    if isinstance(net, nn.Conv2d):
        return 1
    if isinstance(net, Branches):
        return max(depth(each) for each in net.branches)
    return sum(depth(each) for each in net.children())


# --- table 1 -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("variant", "sizes"), [("paper", TABLE_1), ("torchvision", AUTHORS_CODE)])
def test_output_sizes(variant: str, sizes: dict[str, tuple[int, ...]]) -> None:
    net, seen = net_of(variant), {}
    hooks = [
        net.get_submodule(name).register_forward_hook(
            lambda _layer, _input, output, name=name: seen.update({name: tuple(output.shape[1:])})
        )
        for name in sizes
    ]
    net.eval()(torch.empty(1, 3, 299, 299, device="meta"))
    for hook in hooks:
        hook.remove()
    assert seen == sizes


def test_numbers_of_modules() -> None:
    paper, code = net_of("paper"), net_of("torchvision")
    assert [len(each) for each in (paper.fine, paper.sevens, paper.coarse)] == [3, 5, 2]
    assert [len(each) for each in (code.fine, code.sevens, code.coarse)] == [3, 4, 2]


def test_padded_rows_are_those_that_keep_the_size() -> None:
    convs = convolutions(net_of("paper").stem)
    assert [each.kernel_size for each in convs] == [(3, 3)] * 6
    assert [each.stride[0] for each in convs] == [2, 1, 1, 1, 2, 1]
    assert [each.padding[0] for each in convs] == [0, 0, 1, 0, 0, 1]


# --- sums ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variant", "parameters", "without_head", "multiply_adds"),
    [
        ("paper", 29_280_944, 25_954_248, 6_352_562_784),
        ("torchvision", 27_161_264, 23_834_568, 5_713_216_096),
    ],
)
def test_sums(variant: str, parameters: int, without_head: int, multiply_adds: int) -> None:
    net, table = net_of(variant), table_of(variant)
    assert (table.parameters, table.multiply_adds) == (parameters, multiply_adds)
    head = sum(each.numel() for each in net.auxiliary.parameters())
    assert parameters - head == without_head
    # Figure 8: 768 -> 128 -> 768 (5x5), two norms, 768 -> 1000.
    assert head == 768 * 128 + 128 * 768 * 25 + 2 * (128 + 768) + 768 * 1000 + 1000


def test_against_torchvisions_own_figures() -> None:
    weights = pytest.importorskip("torchvision.models").Inception_V3_Weights.IMAGENET1K_V1.meta
    table = table_of("torchvision")
    assert table.parameters == weights["num_params"]
    assert round(table.multiply_adds / 1e9, 3) == weights["_ops"]
    assert (PAPER.smallest, PAPER.smallest) == weights["min_size"]


def test_what_the_abstract_says_holds_for_the_authors_code_only() -> None:
    head = sum(each.numel() for each in net_of("paper").auxiliary.parameters())
    assert table_of("torchvision").parameters - head < 25e6 < table_of("paper").parameters - head


def test_what_section_6_says_of_depth_and_cost() -> None:
    found = []
    for variant in VARIANTS:
        net = net_of(variant)
        parts = (net.stem, net.fine, net.to_17, net.sevens, net.to_8, net.coarse)
        found.append(sum(depth(each) for each in parts) + 1)
    assert found == [54, 48]  # the paper: 42
    with torch.device("meta"):
        before = layer_table(GoogLeNet(GOOGLENET), input_size=(3, 224, 224)).multiply_adds
    ratios = [round(table_of(variant).multiply_adds / before, 1) for variant in VARIANTS]
    assert ratios == [4.0, 3.6]  # the paper: 2.5


# --- factorised convolutions ---------------------------------------------------------------------


def test_two_3x3_cost_28_percent_less_than_a_5x5() -> None:
    with torch.device("meta"):
        pair, whole = chain(64, same(3, 64), same(3, 64)), chain(64, same(5, 64))
    assert weights(pair) / weights(whole) == (9 + 9) / 25 == 1 - 0.28  # §3.1
    code, paper = net_of("torchvision"), net_of("paper")
    kernels = [c.kernel_size for c in convolutions(code.fine[0]) if c.kernel_size == (5, 5)]
    assert len(kernels) == 1  # the authors kept this one
    assert all(c.kernel_size in ((1, 1), (3, 3)) for c in convolutions(paper.fine))  # figure 5


@pytest.mark.parametrize(("n", "saved"), [(3, 33), (7, 71)])
def test_n_in_two_steps_saves(n: int, saved: int) -> None:
    with torch.device("meta"):
        pair, whole = chain(8, same((1, n), 8), same((n, 1), 8)), chain(8, same(n, 8))
    assert round(100 * (1 - weights(pair) / weights(whole))) == saved  # §3.2: 33 % for 3x3


def test_figure_6_sees_7x7_and_13x13_in_its_branches() -> None:
    branches = net_of("paper").sevens[0].branches
    kernels = [[c.kernel_size for c in convolutions(each)] for each in branches]
    assert kernels == [
        [(1, 1)],
        [(1, 1), (1, 7), (7, 1)],
        [(1, 1), (7, 1), (1, 7), (7, 1), (1, 7)],
        [(1, 1)],
    ]


def test_figure_7_widens_at_its_ends() -> None:
    branches = net_of("paper").coarse[1].branches
    kernels = [[c.kernel_size for c in convolutions(each)] for each in branches]
    assert kernels == [
        [(1, 1)],
        [(1, 1), (1, 3), (3, 1)],
        [(1, 1), (3, 3), (1, 3), (3, 1)],
        [(1, 1)],
    ]
    outs = [[c.out_channels for c in convolutions(each)] for each in branches]
    assert outs[0][-1] + sum(outs[1][-2:]) + sum(outs[2][-2:]) + outs[3][-1] == 2048


def test_figure_10_lets_no_layer_be_a_bottleneck() -> None:
    for into, block in ((288, net_of("paper").to_17), (768, net_of("paper").to_8)):
        strided = [c for c in convolutions(block) if c.stride == (2, 2)]
        assert isinstance(block.branches[-1], nn.MaxPool2d) and block.branches[-1].stride == 2
        assert len(strided) == 2
        assert sum(c.out_channels for c in strided) + into in (768, 1280)


# --- batch normalisation, and the auxiliary classifier -------------------------------------------


def test_each_convolution_is_normalised_also_in_the_auxiliary_classifier() -> None:
    net = net_of("paper")
    blocks = [each for each in net.modules() if isinstance(getattr(each, "norm", None), nn.Module)]
    assert len(blocks) == len(convolutions(net))
    for block in blocks:
        assert [name for name, _ in block.named_children()] == ["conv", "norm", "relu"]
        assert block.norm.eps == 1e-3 and block.conv.bias is None
    assert sum("auxiliary" in name for name, each in net.named_modules() if each in blocks) == 2


def test_auxiliary_classifier_reads_5x5_of_17x17() -> None:
    head = net_of("paper").auxiliary
    x = torch.empty(2, 768, 17, 17, device="meta")
    assert head.pool(x).shape[-2:] == (5, 5)  # figure 8
    assert head.wide(head.reduce(head.pool(x))).shape == (2, 768, 1, 1)
    assert PAPER.auxiliary_weight == 0.4


# --- the catalogue -------------------------------------------------------------------------------


def test_card() -> None:
    card = get_card("inception_v3")
    assert (card.default, card.year, card.input_size) == ("paper", 2016, (3, 299, 299))
    assert card.variants.keys() == VARIANTS.keys()
    assert all(variant.differs for variant in card.variants.values())

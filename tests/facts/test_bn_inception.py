"""What the paper and the chapter say about BN-Inception, held against the network as built."""

from functools import cache

import pytest
import torch
from torch import nn

from deepcanon.classify.bn_inception import MODULES, PAPER, WIDE, BNInception, Inception
from deepcanon.classify.googlenet import SEPARABLE, GoogLeNet
from deepcanon.core.catalog import get_card
from deepcanon.nn.layer_table import LayerTable, layer_table
from deepcanon.nn.lrn import LocalResponseNorm

pytestmark = pytest.mark.row("C12")

VARIANTS = {"paper": PAPER, "wide": WIDE}
# Figure 5: the outputs of its rows, for 3c and 4e after their stride.
OUTPUTS = {
    "stem.conv1": (64, 112, 112),
    "stem.pool1": (64, 56, 56),
    "stem.conv2": (192, 56, 56),
    "stem.pool2": (192, 28, 28),
    "inception.3a": (256, 28, 28),
    "inception.3b": (320, 28, 28),
    "inception.3c": (576, 14, 14),
    "inception.4a": (576, 14, 14),
    "inception.4b": (576, 14, 14),
    "inception.4c": (576, 14, 14),
    "inception.4d": (576, 14, 14),
    "inception.4e": (1024, 7, 7),
    "inception.5a": (1024, 7, 7),
    "inception.5b": (1024, 7, 7),
    "top.pool": (1024, 1, 1),
    "top.fc": (1000,),
}
# Figure 5's columns: #1x1, #3x3 reduce, #3x3, double reduce, double, pool, projection; then the
# side and the channels that the row is given. A projection of 0 passes through, with stride 2.
FIGURE_5 = {
    "3a": (64, 64, 64, 64, 96, "avg", 32, 28, 192),
    "3b": (64, 64, 96, 64, 96, "avg", 64, 28, 256),
    "3c": (0, 128, 160, 64, 96, "max", 0, 28, 320),
    "4a": (224, 64, 96, 96, 128, "avg", 128, 14, 576),
    "4b": (192, 96, 128, 96, 128, "avg", 128, 14, 576),
    "4c": (160, 128, 160, 128, 160, "avg", 128, 14, 576),
    "4d": (96, 128, 192, 160, 192, "avg", 128, 14, 608),
    "4e": (0, 128, 192, 192, 256, "max", 0, 14, 608),
    "5a": (352, 192, 320, 160, 224, "avg", 128, 7, 1056),
    "5b": (352, 192, 320, 192, 224, "max", 128, 7, 1024),
}


@cache
def net_of(variant: str) -> BNInception:
    with torch.device("meta"):
        return BNInception(VARIANTS[variant])


@cache
def table_of(variant: str) -> LayerTable:
    return layer_table(net_of(variant), input_size=(3, 224, 224))


def outputs(variant: str) -> dict[str, tuple[int, ...]]:
    net, seen = net_of(variant), {}
    hooks = [
        net.get_submodule(name).register_forward_hook(
            lambda _layer, _input, output, name=name: seen.update({name: tuple(output.shape[1:])})
        )
        for name in OUTPUTS
    ]
    net.eval()(torch.empty(1, 3, 224, 224, device="meta"))
    for hook in hooks:
        hook.remove()
    return seen


# --- figure 5 ------------------------------------------------------------------------------------


def test_output_sizes() -> None:
    assert outputs("paper") == OUTPUTS


def test_column_of_projections_disagrees_with_the_outputs() -> None:
    assert 160 + 160 + 160 + 128 == 96 + 192 + 192 + 128 == 608
    changed = {
        "inception.4c": (608, 14, 14),
        "inception.4d": (608, 14, 14),
        "inception.4e": (1056, 7, 7),
    }
    assert outputs("wide") == OUTPUTS | changed


@pytest.mark.parametrize("name", FIGURE_5)
def test_weights_and_multiply_adds_of_the_rows(name: str) -> None:
    one, three_reduce, three, double_reduce, double, _, project, side, into = FIGURE_5[name]
    first = into * (one + three_reduce + double_reduce + project) + double_reduce * double * 9
    last = three_reduce * three * 9 + double * double * 9  # these have the stride
    net, table = net_of("wide"), table_of("wide")
    convolutions = [
        each for each in net.inception.get_submodule(name).modules() if isinstance(each, nn.Conv2d)
    ]
    assert sum(each.weight.numel() for each in convolutions) == first + last
    after = side if project else side // 2
    prefix = f"inception.{name}."
    assert (
        sum(each.multiply_adds for each in table.layers if each.name.startswith(prefix))
        == first * side**2 + last * after**2
    )


@pytest.mark.parametrize("name", FIGURE_5)
def test_pools_of_the_rows(name: str) -> None:
    kind, project = FIGURE_5[name][5:7]
    branch = net_of("paper").inception.get_submodule(name).branches["pool"]
    assert type(branch.pool) is {"avg": nn.AvgPool2d, "max": nn.MaxPool2d}[kind]
    assert (branch.pool.kernel_size, branch.pool.stride) == (3, 1 if project else 2)
    assert hasattr(branch, "project") == bool(project)


def test_first_convolution_is_separable() -> None:
    conv = net_of("paper").stem.conv1.conv
    assert conv.depthwise.weight.shape == (3 * 8, 1, 7, 7)  # depth multiplier 8, appendix
    assert conv.pointwise.weight.shape == (64, 24, 1, 1)
    ops = [each.multiply_adds for each in table_of("paper").layers if "conv1" in each.name]
    assert sum(ops) == 2712 * 112 * 112


# --- sums ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variant", "parameters", "multiply_adds"),
    [("paper", 11_188_288, 1_934_857_216), ("wide", 11_278_528, 1_948_605_440)],
)
def test_sums(variant: str, parameters: int, multiply_adds: int) -> None:
    table = table_of(variant)
    assert (table.parameters, table.multiply_adds) == (parameters, multiply_adds)


def test_wide_projections_cost_what_they_add() -> None:
    more = 2 * (32 + 32)  # scales and shifts
    more += 576 * 32 + 608 * 128 - 576 * 96  # the two projections; the second reads 608
    more += 32 * (96 + 128 + 160)  # the rest of 4d that reads 608
    more += 32 * (128 + 192)  # 4e
    more += 32 * (352 + 192 + 160 + 128)  # 5a reads 1056
    wide, paper = table_of("wide").parameters, table_of("paper").parameters
    assert wide - paper == more


def test_against_googlenet() -> None:
    with torch.device("meta"):
        other = GoogLeNet(SEPARABLE)
    before = layer_table(other, input_size=(3, 224, 224))
    ours = table_of("paper")
    assert round(ours.multiply_adds / before.multiply_adds, 2) == 1.29  # appendix: about 30 % more
    heads = sum(each.numel() for each in other.heads.parameters())
    ratio = ours.parameters / (before.parameters - heads)
    assert round(ratio, 2) == 1.6  # appendix: 25 % more; §4.2: 13.6 M


def test_34_layers_with_weights_one_behind_the_other() -> None:
    net = net_of("paper")
    modules = [each for each in net.inception if isinstance(each, Inception)]
    deepest = [
        max(sum(isinstance(c, nn.Conv2d) for c in b.modules()) for b in each.branches.values())
        for each in modules
    ]
    assert deepest == [3] * 10  # figure 5's column "depth"
    assert 3 + sum(deepest) + 1 == 22 + 9 + 3  # appendix: 9 more; and module 3c is new


def test_modules_by_size() -> None:
    given = [row[-2] for row in FIGURE_5.values()]
    assert [given.count(side) for side in (28, 14, 7)] == [3, 5, 2]  # appendix: 3 of 28x28, not 2
    assert MODULES.keys() == FIGURE_5.keys()


# --- batch normalisation -------------------------------------------------------------------------


def test_each_convolution_is_normalised_before_its_relu() -> None:
    net = net_of("paper")
    blocks = [each for each in net.modules() if isinstance(getattr(each, "norm", None), nn.Module)]
    assert len(blocks) == 3 + 8 * 7 + 2 * 5
    for block in blocks:
        assert [name for name, _ in block.named_children()] == ["conv", "norm", "relu"]
        assert isinstance(block.norm, nn.BatchNorm2d) and isinstance(block.relu, nn.ReLU)
    convolutions = [each for each in net.modules() if isinstance(each, nn.Conv2d)]
    assert len(convolutions) == len(blocks) + 1  # the first is two
    plain = [each for each in convolutions if each.bias is not None]
    assert not plain  # §3.2: the norm's shift does what a bias would


def test_what_batch_normalisation_makes_superfluous_is_gone() -> None:
    net = net_of("paper")
    assert net.top.dropout.p == 0  # §4.2.1
    assert LocalResponseNorm not in {type(each) for each in net.modules()}  # §4.2.1
    assert sum(isinstance(each, nn.Linear) for each in net.modules()) == 1  # §4.2: no other FC


# --- the catalogue -------------------------------------------------------------------------------


def test_card() -> None:
    card = get_card("bn_inception")
    assert (card.default, card.year, card.input_size) == ("paper", 2015, (3, 224, 224))
    assert card.variants.keys() == VARIANTS.keys()
    assert all(variant.differs for variant in card.variants.values())

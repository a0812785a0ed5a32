"""What the paper and the chapter say about Inception-ResNet, held against the networks as built."""

from functools import cache

import pytest
import torch
from torch import nn

from deepcanon.classify.inception_resnet import PAPER_V1, PAPER_V2, TF_SLIM, InceptionResNet
from deepcanon.classify.inception_v3 import PAPER as V3
from deepcanon.classify.inception_v3 import InceptionV3
from deepcanon.classify.inception_v4 import PAPER as V4
from deepcanon.classify.inception_v4 import InceptionV4
from deepcanon.core.catalog import get_card
from deepcanon.nn.layer_table import LayerTable, layer_table

pytestmark = pytest.mark.row("C14")

CONFIGS = {"v1": PAPER_V1, "v2": PAPER_V2, "tf_slim": TF_SLIM}
# Figure 15 for v1; for v2 what its figures leave; for TF-Slim the comments of its code.
OUTPUTS = {
    "v1": {
        "stem.0": (32, 149, 149),  # figure 14
        "stem.1": (32, 147, 147),
        "stem.2": (64, 147, 147),
        "stem.3": (64, 73, 73),
        "stem.4": (80, 73, 73),
        "stem.5": (192, 71, 71),
        "stem.6": (256, 35, 35),
        "a.4": (256, 35, 35),
        "reduction_a": (896, 17, 17),
        "b.9": (896, 17, 17),
        "reduction_b": (1792, 8, 8),
        "c.4": (1792, 8, 8),
        "top.pool": (1792, 1, 1),
        "top.fc": (1000,),
    },
    "v2": {
        "stem.5": (384, 35, 35),  # figure 3
        "a.4": (384, 35, 35),
        "reduction_a": (1152, 17, 17),
        "b.9": (1152, 17, 17),
        "reduction_b": (2144, 8, 8),
        "c.4": (2144, 8, 8),
        "top.pool": (2144, 1, 1),
    },
    "tf_slim": {
        "stem.7": (320, 35, 35),
        "a.9": (320, 35, 35),
        "reduction_a": (1088, 17, 17),
        "b.19": (1088, 17, 17),
        "reduction_b": (2080, 8, 8),
        "c.9": (2080, 8, 8),
        "c.widen": (1536, 8, 8),
        "top.pool": (1536, 1, 1),
    },
}
# Figures 10 to 13 and 16 to 19: kernel and width of each convolution, V for stride 2; then what
# brings a sum back to its channels.
FIGURES = {
    "v1": {
        "a.0": ("1x1 32", "1x1 32, 3x3 32", "1x1 32, 3x3 32, 3x3 32", 256),
        "reduction_a": ("3x3 384 V", "1x1 192, 3x3 192, 3x3 256 V", None),
        "b.0": ("1x1 128", "1x1 128, 1x7 128, 7x1 128", 896),
        "reduction_b": (
            "1x1 256, 3x3 384 V",
            "1x1 256, 3x3 256 V",
            "1x1 256, 3x3 256, 3x3 256 V",
            None,
        ),
        "c.0": ("1x1 192", "1x1 192, 1x3 192, 3x1 192", 1792),
    },
    "v2": {
        "a.0": ("1x1 32", "1x1 32, 3x3 32", "1x1 32, 3x3 48, 3x3 64", 384),
        "reduction_a": ("3x3 384 V", "1x1 256, 3x3 256, 3x3 384 V", None),
        "b.0": ("1x1 192", "1x1 128, 1x7 160, 7x1 192", 1152),  # printed: 1154
        "reduction_b": (
            "1x1 256, 3x3 384 V",
            "1x1 256, 3x3 288 V",
            "1x1 256, 3x3 288, 3x3 320 V",
            None,
        ),
        "c.0": ("1x1 192", "1x1 192, 1x3 224, 3x1 256", 2144),  # printed: 2048
    },
}


@cache
def net_of(name: str) -> InceptionResNet:
    with torch.device("meta"):
        return InceptionResNet(CONFIGS[name])


@cache
def table_of(name: str) -> LayerTable:
    return layer_table(net_of(name), input_size=(3, 299, 299))


def described(net: nn.Module) -> str:
    """The convolutions of a branch as `FIGURES` writes them."""
    found = []
    for each in net.modules():
        if isinstance(each, nn.Conv2d):
            height, width = each.kernel_size
            stride = " V" if each.stride == (2, 2) else ""
            found.append(f"{height}x{width} {each.out_channels}{stride}")
    return ", ".join(found)


@pytest.mark.parametrize("name", CONFIGS)
def test_output_sizes(name: str) -> None:
    net, seen = net_of(name), {}
    hooks = [
        net.get_submodule(place).register_forward_hook(
            lambda _layer, _input, output, place=place: seen.update(
                {place: tuple(output.shape[1:])}
            )
        )
        for place in OUTPUTS[name]
    ]
    net.eval()(torch.empty(1, 3, 299, 299, device="meta"))
    for hook in hooks:
        hook.remove()
    assert seen == OUTPUTS[name]
    modules = [sum(key.isdecimal() for key, _ in s.named_children()) for s in (net.a, net.b, net.c)]
    assert modules == ([10, 20, 10] if name == "tf_slim" else [5, 10, 5])
    assert net.top.dropout.p == pytest.approx(0.2)  # "keep 0.8"


@pytest.mark.parametrize(("name", "place"), [(v, place) for v in FIGURES for place in FIGURES[v]])
def test_convolutions_of_the_figures(name: str, place: str) -> None:
    *branches, channels = FIGURES[name][place]
    block = net_of(name).get_submodule(place)
    if channels is None:
        assert isinstance(block.branches[-1], nn.MaxPool2d)
        assert [described(each) for each in block.branches[:-1]] == branches
    else:
        assert [described(each) for each in block.body.branches] == branches
        assert block.expand.weight.shape[0] == channels
        last = [each.split(", ")[-1].split()[1] for each in branches]
        assert block.expand.weight.shape[1] == sum(map(int, last))


@pytest.mark.parametrize(
    ("name", "parameters", "multiply_adds"),
    [
        ("v1", 22_756_328, 6_206_361_696),
        ("v2", 32_433_928, 9_257_953_632),
        ("tf_slim", 55_843_464, 13_155_794_016),
    ],
)
def test_sums(name: str, parameters: int, multiply_adds: int) -> None:
    table = table_of(name)
    assert (table.parameters, table.multiply_adds) == (parameters, multiply_adds)


def test_what_section_3_2_says_of_the_costs() -> None:
    with torch.device("meta"):
        v3, v4 = InceptionV3(V3), InceptionV4(V4)
    costs = {
        "v3": layer_table(v3, input_size=(3, 299, 299)).multiply_adds,
        "v4": layer_table(v4, input_size=(3, 299, 299)).multiply_adds,
    }
    assert round(table_of("v1").multiply_adds / costs["v3"], 2) == 0.98  # "roughly the cost"
    assert round(table_of("v2").multiply_adds / costs["v4"], 2) == 0.76  # "matches the raw cost"
    assert round(table_of("tf_slim").multiply_adds / costs["v4"], 2) == 1.07  # so do these


@pytest.mark.parametrize("name", CONFIGS)
def test_sums_are_not_normalised(name: str) -> None:
    net = net_of(name)
    blocks = [each for each in net.modules() if hasattr(each, "expand")]
    assert blocks
    for block in blocks:
        assert block.expand.bias is not None and block.expand.kernel_size == (1, 1)
        names = [key for key, _ in block.named_children()]
        assert names == ["body", "expand", "activation"]  # §3.2: no norm on top of the summations
    normalised = sum(isinstance(each, nn.BatchNorm2d) for each in net.modules())
    convolutions = sum(isinstance(each, nn.Conv2d) for each in net.modules())
    assert normalised == convolutions - len(blocks)


@pytest.mark.parametrize("name", CONFIGS)
def test_scales_are_those_of_section_3_3(name: str) -> None:
    net = net_of(name)
    scaled = [each for each in net.modules() if hasattr(each, "scale")]
    if name == "tf_slim":
        *scaled, last = scaled
        assert last.scale == 1.0 and isinstance(last.activation, nn.Identity)
    assert all(0.1 <= each.scale <= 0.3 for each in scaled)
    assert all(isinstance(each.activation, nn.ReLU) for each in scaled)


@pytest.mark.parametrize(
    ("name", "variants"),
    [("inception_resnet_v1", ["paper"]), ("inception_resnet_v2", ["paper", "tf_slim"])],
)
def test_cards(name: str, variants: list[str]) -> None:
    card = get_card(name)
    assert (card.default, card.year, card.input_size) == ("paper", 2017, (3, 299, 299))
    assert list(card.variants) == variants
    assert all(variant.differs for variant in card.variants.values())

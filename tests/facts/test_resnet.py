"""What the ResNet paper says of its networks, held against them as built."""

import pytest
import torch
from torch import nn

from deepcanon.classify import resnet, resnet_cifar
from deepcanon.classify.parts.resnet_blocks import Basic, Bottleneck, Padded
from deepcanon.core.catalog import create_model, get_card, list_models
from deepcanon.nn.layer_table import LayerTable, layer_table

pytestmark = pytest.mark.row("C16")

# torchvision publishes 11,689,512 ... 60,192,808 for option B. Without the projections of conv3_1,
# 4_1 and 5_1 and their norms, (64 + 2) 128 + (128 + 2) 256 + (256 + 2) 512 = 173,824 are missing.
PARAMETERS = {
    ("plain18", "paper"): 11_515_688,
    ("plain34", "paper"): 21_623_848,
    ("resnet18", "paper"): 11_515_688,
    ("resnet18", "shortcut_b"): 11_689_512,
    ("resnet18", "shortcut_c"): 12_043_816,
    ("resnet18", "torchvision"): 11_689_512,
    ("resnet34", "paper"): 21_623_848,
    ("resnet34", "shortcut_b"): 21_797_672,
    ("resnet34", "shortcut_c"): 22_716_840,
    ("resnet34", "torchvision"): 21_797_672,
    ("resnet50", "paper"): 25_557_032,
    ("resnet50", "v1_5"): 25_557_032,
    ("resnet50", "torchvision"): 25_557_032,
    ("resnet101", "paper"): 44_549_160,
    ("resnet101", "v1_5"): 44_549_160,
    ("resnet101", "torchvision"): 44_549_160,
    ("resnet152", "paper"): 60_192_808,
    ("resnet152", "v1_5"): 60_192_808,
    ("resnet152", "torchvision"): 60_192_808,
}
BLOCKS = {  # Table 1
    "plain18": (Basic, (2, 2, 2, 2)),
    "plain34": (Basic, (3, 4, 6, 3)),
    "resnet18": (Basic, (2, 2, 2, 2)),
    "resnet34": (Basic, (3, 4, 6, 3)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
    "resnet101": (Bottleneck, (3, 4, 23, 3)),
    "resnet152": (Bottleneck, (3, 8, 36, 3)),
}
# Table 6; the exact numbers by hand: conv1 432, 3x3 convolutions, norms, FC 650.
CIFAR = {
    20: (0.27, 269_722),
    32: (0.46, 464_154),
    44: (0.66, 658_586),
    56: (0.85, 853_018),
    110: (1.7, 1_727_962),
}


def on_meta(name: str, **config: object) -> nn.Module:
    with torch.device("meta"):
        return create_model(name, **config)


def table_of(name: str, **config: object) -> LayerTable:
    return layer_table(on_meta(name, **config), input_size=get_card(name).input_size)


def count(net: nn.Module) -> int:
    return sum(each.numel() for each in net.parameters())


def weight_layers(net: nn.Module) -> int:
    """As the paper counts: projections of shortcuts are none."""
    return sum(
        isinstance(layer, nn.Conv2d | nn.Linear) and "downsample" not in name
        for name, layer in net.named_modules()
    )


# --- ImageNet ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "variant"), PARAMETERS)
def test_parameters_and_weight_layers(name: str, variant: str) -> None:
    net = on_meta(name, variant=variant)
    assert count(net) == PARAMETERS[name, variant]
    assert weight_layers(net) == int(name.removeprefix("plain").removeprefix("resnet"))


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_of_table_1(name: str) -> None:
    net = on_meta(name)
    kind, repeats = BLOCKS[name]
    stages = (net.layer1, net.layer2, net.layer3, net.layer4)
    assert tuple(map(len, stages)) == repeats
    assert {type(block) for stage in stages for block in stage} == {kind}
    for width, stage in zip((64, 128, 256, 512), stages, strict=True):
        out = width if kind is Basic else 4 * width
        for block in stage:
            convs = [layer for key, layer in block.named_children() if key.startswith("conv")]
            shapes = [(conv.kernel_size[0], conv.out_channels) for conv in convs]
            if kind is Basic:
                assert shapes == [(3, width), (3, width)]
            else:
                assert shapes == [(1, width), (3, width), (1, out)]
    assert net.fc.in_features == out


@pytest.mark.parametrize("name", ["plain34", "resnet34", "resnet50"])
def test_output_sizes_of_table_1(name: str) -> None:
    sizes = {layer.name: layer.output for layer in table_of(name).layers}
    deep = 4 if name == "resnet50" else 1
    last = 3 if name == "resnet50" else 2
    assert sizes["conv1"] == (64, 112, 112)
    assert sizes["maxpool"] == (64, 56, 56)
    assert sizes[f"layer1.2.relu{last}"] == (64 * deep, 56, 56)
    assert sizes[f"layer2.3.relu{last}"] == (128 * deep, 28, 28)
    assert sizes[f"layer3.5.relu{last}"] == (256 * deep, 14, 14)
    assert sizes[f"layer4.2.relu{last}"] == (512 * deep, 7, 7)
    assert sizes["fc"] == (1000,)


@pytest.mark.row("C5")
def test_multiply_adds_of_table_1() -> None:
    millions = {name: round(table_of(name).multiply_adds / 1e6) for name in BLOCKS}
    assert millions == {
        "plain18": 1795,
        "plain34": 3644,
        "resnet18": 1795,
        "resnet34": 3644,
        "resnet50": 3858,
        "resnet101": 7570,
        "resnet152": 11282,
    }
    printed = {"resnet18": 1.8, "resnet34": 3.6, "resnet101": 7.6, "resnet152": 11.3}
    assert {name: round(millions[name] / 1e3, 1) for name in printed} == printed
    assert millions["resnet50"] // 100 == 38  # printed: 3.8, cut off and not rounded
    # §3.3: "18% of VGG-19 (19.6 billion FLOPs)"; §4.1: 152 layers need less than VGG-16.
    vgg19, vgg16 = (table_of(name).multiply_adds / 1e6 for name in ("vgg19", "vgg16"))
    assert round(3.6 / 19.6, 2) == 0.18 and round(vgg19 / 1e3, 1) == 19.6
    assert millions["resnet34"] / vgg19 == pytest.approx(0.18, abs=0.01)
    assert millions["resnet152"] < vgg16


def test_a_plain_network_costs_what_its_residual_twin_does() -> None:
    # §3.3: "the same number of parameters, depth, width, and computational cost"
    for plain in ("plain18", "plain34", "plain20"):
        ours, theirs = table_of(plain), table_of(plain.replace("plain", "resnet"))
        assert ours.parameters == theirs.parameters
        assert ours.multiply_adds == theirs.multiply_adds


def test_options_of_resnet34() -> None:
    kinds = {}
    for variant in ("paper", "shortcut_b", "shortcut_c"):
        net = on_meta("resnet34", variant=variant)
        blocks = [block for block in net.modules() if isinstance(block, Basic)]
        kinds[variant] = [type(block.downsample).__name__ for block in blocks]
    changes = [0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0]
    assert kinds["paper"] == [["Identity", "Padded"][each] for each in changes]
    assert kinds["shortcut_b"] == [["Identity", "Sequential"][each] for each in changes]
    assert kinds["shortcut_c"] == ["Sequential"] * 16
    plain = [block for block in on_meta("plain34").modules() if isinstance(block, Basic)]
    assert [block.downsample for block in plain] == [None] * 16


@pytest.mark.parametrize(("variant", "strides"), [("paper", (2, 1, 1)), ("v1_5", (1, 2, 1))])
def test_where_a_bottleneck_strides(variant: str, strides: tuple[int, int, int]) -> None:
    net = on_meta("resnet50", variant=variant)
    for number, stage in enumerate((net.layer1, net.layer2, net.layer3, net.layer4)):
        for place, block in enumerate(stage):
            found = tuple(conv.stride[0] for conv in (block.conv1, block.conv2, block.conv3))
            assert found == (strides if number > 0 and place == 0 else (1, 1, 1))


def test_cost_of_the_later_stride() -> None:
    # torchvision publishes 4.09, 7.80 and 11.51 thousand million.
    names = ("resnet50", "resnet101", "resnet152")
    later = [table_of(name, variant="v1_5").multiply_adds for name in names]
    assert [round(each / 1e9, 2) for each in later] == [4.09, 7.8, 11.51]
    assert later[0] / table_of("resnet50").multiply_adds == pytest.approx(1.06, abs=0.005)


@pytest.mark.row("C5")
def test_receptive_fields_of_resnet18() -> None:
    fields = {layer.name: layer.receptive_field for layer in table_of("resnet18").layers}
    by_hand = {
        "conv1": 7,
        "maxpool": 7 + 2 * 2,
        "layer1.1.conv2": 11 + 4 * 2 * 4,
        "layer2.1.conv2": 43 + 2 * 4 + 3 * 2 * 8,
        "layer3.1.conv2": 99 + 2 * 8 + 3 * 2 * 16,
        "layer4.1.conv2": 211 + 2 * 16 + 3 * 2 * 32,
    }
    assert {name: fields[name] for name in by_hand} == {
        name: (side, side) for name, side in by_hand.items()
    }


# --- CIFAR ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", CIFAR)
@pytest.mark.parametrize("kind", ["resnet", "plain"])
def test_table_6(kind: str, depth: int) -> None:
    millions, exactly = CIFAR[depth]
    net = on_meta(f"{kind}{depth}")
    n = (depth - 2) // 6
    assert count(net) == exactly
    assert round(exactly / 1e6, 1 if depth == 110 else 2) == millions
    assert weight_layers(net) == depth
    blocks = [block for block in net.modules() if isinstance(block, Basic)]
    assert len(blocks) == 3 * n  # §4.2: "totally 3n shortcuts"
    carried = [type(block.downsample).__name__ for block in blocks]
    if kind == "plain":
        assert carried == ["NoneType"] * 3 * n
    else:
        assert [place for place, each in enumerate(carried) if each == "Padded"] == [n, 2 * n]
        assert carried.count("Identity") == 3 * n - 2


def test_1202_layers() -> None:
    net = on_meta("resnet20", depth=1202)
    assert count(net) == 19_421_274
    assert round(count(net) / 1e6, 1) == 19.4
    assert weight_layers(net) == 1202


def test_shapes_and_cost_of_resnet20() -> None:
    table = table_of("resnet20")
    sizes = {layer.name: layer.output for layer in table.layers}
    assert sizes["conv1"] == sizes["layer1.2.relu2"] == (16, 32, 32)
    assert sizes["layer2.2.relu2"] == (32, 16, 16)
    assert sizes["layer3.2.relu2"] == (64, 8, 8)
    assert sizes["fc"] == (10,)
    # every stage: 16 x 16 x 9 x 32 x 32 = 2,359,296 a layer, half of it where the channels double
    assert table.multiply_adds == 442_368 + 2_359_296 * (6 + 5.5 + 5.5) + 640


@pytest.mark.parametrize("depth", [8, 14, 26, 50])
def test_any_depth_of_6n_plus_2(depth: int) -> None:
    for kind in ("resnet", "plain"):
        assert weight_layers(on_meta(f"{kind}20", depth=depth)) == depth


# --- catalogue -----------------------------------------------------------------------------------


def test_every_network_is_in_the_catalogue_with_the_papers_default() -> None:
    imagenet = {name for name, _ in PARAMETERS}
    cifar = {f"{kind}{depth}" for kind in ("resnet", "plain") for depth in CIFAR}
    assert {card.name for card in list_models() if "C16" in card.rows} == imagenet | cifar
    for name in imagenet | cifar:
        card = get_card(name)
        assert (card.default, card.year) == ("paper", 2016)
        assert card.input_size == ((3, 32, 32) if name in cifar else (3, 224, 224))
        assert all(variant.differs for variant in card.variants.values())
        variants = {variant for each, variant in PARAMETERS if each == name} or {"paper"}
        assert set(card.variants) == variants


def test_default_classes_and_options() -> None:
    assert resnet.RESNET50.num_classes == 1000
    assert resnet_cifar.Config(depth=20).num_classes == 10
    net = on_meta("resnet50")
    assert not any(isinstance(layer, Padded) for layer in net.modules())  # §4.1: option B

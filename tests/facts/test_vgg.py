"""What the paper and the chapter say about VGG, held against the networks as built."""

import pytest
import torch
from torch import nn

from deepcanon.core.catalog import create_model, get_card, list_models
from deepcanon.nn.layer_table import LayerTable, layer_table
from deepcanon.nn.lrn import LocalResponseNorm

pytestmark = pytest.mark.row("C10")

# Table 1's weight layers, and the chapter's parameters in millions (Table 2 rounds them).
COLUMNS = {
    "vgg11": (11, 132.86, 132_863_336),
    "vgg11_lrn": (11, 132.86, 132_863_336),
    "vgg13": (13, 133.05, 133_047_848),
    "vgg16_c": (16, 133.64, 133_638_952),
    "vgg16": (16, 138.36, 138_357_544),
    "vgg19": (19, 143.67, 143_667_240),
}
TABLE_1 = {
    "vgg11": "64 P 128 P 256 256 P 512 512 P 512 512 P",
    "vgg11_lrn": "64 LRN P 128 P 256 256 P 512 512 P 512 512 P",
    "vgg13": "64 64 P 128 128 P 256 256 P 512 512 P 512 512 P",
    "vgg16_c": "64 64 P 128 128 P 256 256 1x256 P 512 512 1x512 P 512 512 1x512 P",
    "vgg16": "64 64 P 128 128 P 256 256 256 P 512 512 512 P 512 512 512 P",
    "vgg19": "64 64 P 128 128 P 256 256 256 256 P 512 512 512 512 P 512 512 512 512 P",
}


def on_meta(name: str, **config: object) -> nn.Module:
    with torch.device("meta"):
        return create_model(name, **config)


def table_of(name: str) -> LayerTable:
    return layer_table(on_meta(name), input_size=(3, 224, 224))


def word(layer: nn.Module) -> str:
    if isinstance(layer, nn.Conv2d):
        kernel, padding = layer.kernel_size[0], layer.padding[0]
        assert layer.stride == (1, 1) and padding == kernel // 2  # §2.1: size is kept
        return f"{layer.out_channels}" if kernel == 3 else f"{kernel}x{layer.out_channels}"
    if isinstance(layer, nn.MaxPool2d):
        assert (layer.kernel_size, layer.stride, layer.padding) == (2, 2, 0)  # §2.1
        return "P"
    return "LRN" if isinstance(layer, LocalResponseNorm) else ""


@pytest.mark.parametrize("name", COLUMNS)
def test_parameters_and_weight_layers(name: str) -> None:
    layers, millions, exactly = COLUMNS[name]
    net = on_meta(name)
    count = sum(each.numel() for each in net.parameters())
    assert count == exactly
    assert round(count / 1e6, 2) == millions
    assert sum(isinstance(each, nn.Conv2d | nn.Linear) for each in net.modules()) == layers


@pytest.mark.parametrize("name", TABLE_1)
def test_table_1(name: str) -> None:
    net = on_meta(name)
    assert " ".join(filter(None, map(word, net.features))) == TABLE_1[name]
    layers = list(net.features)
    after = {type(layers[n + 1]) for n, each in enumerate(layers) if isinstance(each, nn.Conv2d)}
    assert after == {nn.ReLU}  # §2.1: every hidden layer is followed by one
    fc = [each for each in net.classifier if isinstance(each, nn.Linear)]
    assert [(each.in_features, each.out_features) for each in fc] == [
        (512 * 7 * 7, 4096),
        (4096, 4096),
        (4096, 1000),
    ]


def test_every_column_is_in_the_catalogue_with_the_papers_default() -> None:
    names = {card.name for card in list_models(domain="classify") if "C10" in card.rows}
    assert names == set(COLUMNS)
    for name in names:
        card = get_card(name)
        assert (card.default, card.year, card.input_size) == ("paper", 2015, (3, 224, 224))
        with_torchvision = name in ("vgg11", "vgg13", "vgg16", "vgg19")
        assert ("torchvision" in card.variants) == with_torchvision
        assert all(variant.differs for variant in card.variants.values())


def test_output_shapes_halve_down_to_7() -> None:
    pools = [each for each in table_of("vgg16").layers if each.kind == "MaxPool2d"]
    assert [each.output for each in pools] == [
        (64, 112, 112),
        (128, 56, 56),
        (256, 28, 28),
        (512, 14, 14),
        (512, 7, 7),
    ]


@pytest.mark.row("C5")
def test_arithmetic_of_vgg16() -> None:
    table = table_of("vgg16")
    assert table.parameters == sum(layer.parameters for layer in table.layers) == 138_357_544
    assert table.multiply_adds == 15_470_264_320
    fields = [each.receptive_field for each in table.layers if each.kind == "Conv2d"]
    by_hand = (3, 5, 10, 14, 24, 32, 40, 60, 76, 92, 132, 164, 196)
    assert fields == [(field, field) for field in by_hand]
    assert table.layers[-1].receptive_field == (404, 404)  # 212 + 6 x 32: seven steps of pool5


@pytest.mark.row("C5")
def test_multiply_adds_of_every_column() -> None:
    # torchvision publishes 7.609, 11.308, 15.47 and 19.632 thousand million for A, B, D and E; to
    # B, C adds 256 x 256 x 56 x 56 + 512 x 512 x (28 x 28 + 14 x 14).
    millions = {name: round(table_of(name).multiply_adds / 1e6) for name in COLUMNS}
    assert millions == {
        "vgg11": 7609,
        "vgg11_lrn": 7609,
        "vgg13": 11308,
        "vgg16_c": 11771,
        "vgg16": 15470,
        "vgg19": 19632,
    }


@pytest.mark.row("C8")
def test_a_lrn_normalises_as_the_paper_writes_it() -> None:
    layer = on_meta("vgg11_lrn").features[2]
    assert isinstance(layer, LocalResponseNorm)
    assert (layer.size, layer.alpha, layer.beta, layer.k) == (5, 1e-4, 0.75, 2.0)


def test_a_smaller_training_size_shrinks_the_first_fc_layer_only() -> None:
    table = layer_table(on_meta("vgg16", image_side=32, num_classes=10), input_size=(3, 32, 32))
    fc = [each.parameters for each in table.layers if each.kind == "Linear"]
    assert fc == [512 * 4096 + 4096, 4096 * 4096 + 4096, 4096 * 10 + 10]

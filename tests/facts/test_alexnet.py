"""What the paper and the chapter say about AlexNet, held against the network as built."""

import pytest
import torch
from torch import nn

from deepcanon.classify import alexnet
from deepcanon.classify.alexnet import AlexNet
from deepcanon.core.catalog import create_model
from deepcanon.nn.layer_table import LayerTable, layer_table
from deepcanon.nn.lrn import LocalResponseNorm

pytestmark = pytest.mark.row("C7")

# variant: parameters, their millions as the chapter (or torchvision) has them, multiply-adds.
VARIANTS = {
    "paper": (60_965_224, 60.97, 724_406_816),
    "single": (62_378_344, 62.38, 1_135_256_096),
    "caffe": (60_965_224, 60.97, 724_406_816),
    "torchvision": (61_100_840, 61.10, 714_188_480),  # published: 0.714 thousand million
}


def on_meta(variant: str = "paper") -> AlexNet:
    with torch.device("meta"):
        net = create_model("alexnet", variant=variant)
    assert isinstance(net, AlexNet)
    return net


def table_of(variant: str = "paper") -> LayerTable:
    side = on_meta(variant).config.image_side
    return layer_table(on_meta(variant), input_size=(3, side, side))


@pytest.mark.parametrize("variant", VARIANTS)
def test_parameters_and_multiply_adds(variant: str) -> None:
    exactly, millions, multiply_adds = VARIANTS[variant]
    table = table_of(variant)
    assert table.parameters == sum(layer.parameters for layer in table.layers) == exactly
    assert round(table.parameters / 1e6, 2) == millions
    assert table.multiply_adds == multiply_adds


@pytest.mark.parametrize("variant", ["paper", "single", "caffe"])
def test_chapters_table(variant: str) -> None:
    shapes = {each.name.split(".")[-1]: each.output for each in table_of(variant).layers}
    expected = {
        "conv1": (96, 55, 55),
        "pool1": (96, 27, 27),
        "conv2": (256, 27, 27),
        "pool2": (256, 13, 13),
        "conv3": (384, 13, 13),
        "conv4": (384, 13, 13),
        "conv5": (256, 13, 13),
        "pool5": (256, 6, 6),
        "fc6": (4096,),
        "fc7": (4096,),
        "fc8": (1000,),
    }
    assert {name: shape for name, shape in shapes.items() if name in expected} == expected
    assert on_meta(variant).classifier.fc6.in_features == 9216


def test_order_of_the_layers() -> None:
    net = on_meta()
    assert " ".join(name for name, _ in net.features.named_children()) == (
        "conv1 relu1 norm1 pool1 conv2 relu2 norm2 pool2 conv3 relu3 conv4 relu4 conv5 relu5 pool5"
    )
    assert " ".join(name for name, _ in net.classifier.named_children()) == (
        "fc6 relu6 drop6 fc7 relu7 drop7 fc8"
    )
    other = on_meta("torchvision")
    assert not any(isinstance(each, LocalResponseNorm) for each in other.modules())
    assert " ".join(name for name, _ in other.classifier.named_children()) == (
        "drop5 fc6 relu6 drop6 fc7 relu7 fc8"
    )


@pytest.mark.parametrize("variant", VARIANTS)
def test_two_groups_stand_for_two_gpus(variant: str) -> None:
    groups = [each.groups for each in on_meta(variant).features if isinstance(each, nn.Conv2d)]
    assert groups == ([1, 2, 1, 2, 2] if variant in ("paper", "caffe") else [1] * 5)


def test_neurons_of_figure_2() -> None:
    layers = [each for each in table_of().layers if each.kind in ("Conv2d", "Linear")]
    neurons = [torch.Size(each.output).numel() for each in layers]
    # The caption has 253,440 for conv1, which leaves out seven of its 55 columns.
    assert neurons[0] == 96 * 55 * 55 == 290_400
    assert 96 * 55 * 48 == 253_440
    assert neurons[1:] == [186_624, 64_896, 64_896, 43_264, 4096, 4096, 1000]
    assert 3 * 224 * 224 == 150_528  # the input, of the same caption


def test_pools_overlap() -> None:
    pools = [each for each in on_meta().features if isinstance(each, nn.MaxPool2d)]
    assert [(each.kernel_size, each.stride) for each in pools] == [(3, 2)] * 3  # §3.4


@pytest.mark.row("C8")
def test_constants_of_the_norms() -> None:
    for variant, alpha, k in [("paper", 1e-4, 2.0), ("single", 1e-4, 2.0), ("caffe", 2e-5, 1.0)]:
        norms = [each for each in on_meta(variant).features if isinstance(each, LocalResponseNorm)]
        assert len(norms) == 2
        for norm in norms:
            assert (norm.size, norm.beta, norm.k) == (5, 0.75, k)
            assert norm.alpha == pytest.approx(alpha)


@pytest.mark.row("C5")
def test_receptive_fields() -> None:
    fields = {each.name.split(".")[-1]: each.receptive_field for each in table_of().layers}
    names = ("conv1", "pool1", "conv2", "pool2", "conv3", "conv4", "conv5", "pool5", "fc6")
    sides = (11, 19, 51, 67, 99, 131, 163, 195, 355)
    assert [fields[name] for name in names] == [(side, side) for side in sides]


def test_smallest_pictures() -> None:
    smallest = {name: on_meta(name).config.smallest for name in VARIANTS}
    assert smallest == {"paper": 63, "single": 63, "caffe": 39, "torchvision": 63}


def test_dropout_rate() -> None:
    net = on_meta()
    assert [each.p for each in net.modules() if isinstance(each, nn.Dropout)] == [0.5, 0.5]
    assert alexnet.PAPER.image_side == 224 and alexnet.CAFFE.image_side == 227

"""What the paper says about ZF-net, held against the network as built."""

import pytest
import torch
from torch import nn

from deepcanon.classify.zf import ZFNet
from deepcanon.core.catalog import create_model
from deepcanon.nn.layer_table import LayerTable, layer_table
from deepcanon.nn.lrn import LocalResponseNorm

pytestmark = pytest.mark.row("C17")


def on_meta(variant: str = "paper") -> ZFNet:
    with torch.device("meta"):
        net = create_model("zfnet", variant=variant)
    assert isinstance(net, ZFNet)
    return net


def table_of(variant: str = "paper") -> LayerTable:
    return layer_table(on_meta(variant), input_size=(3, 224, 224))


def test_parameters_and_multiply_adds() -> None:
    table = table_of()
    assert table.parameters == sum(layer.parameters for layer in table.layers) == 62_357_608
    assert table.multiply_adds == 1_168_032_896
    assert table_of("wide").parameters == 107_627_624


def test_figure_3() -> None:
    shapes = {each.name.split(".")[-1]: each.output for each in table_of().layers}
    expected = {
        "conv1": (96, 110, 110),
        "pool1": (96, 55, 55),
        "conv2": (256, 26, 26),
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


def test_windows_of_figure_3() -> None:
    convolutions = [each for each in on_meta().features if isinstance(each, nn.Conv2d)]
    windows = [(each.kernel_size[0], each.stride[0]) for each in convolutions]
    assert windows == [(7, 2), (5, 2), (3, 1), (3, 1), (3, 1)]
    pools = [each for each in on_meta().features if isinstance(each, nn.MaxPool2d)]
    assert [(each.kernel_size, each.stride) for each in pools] == [(3, 2)] * 3


def test_table_2_widens_the_last_three_convolutions() -> None:
    convolutions = [each for each in on_meta("wide").features if isinstance(each, nn.Conv2d)]
    assert [each.out_channels for each in convolutions] == [96, 256, 512, 1024, 512]


def test_order_of_the_layers() -> None:
    net = on_meta()
    assert " ".join(name for name, _ in net.features.named_children()) == (
        "conv1 relu1 pool1 norm1 conv2 relu2 pool2 norm2 conv3 relu3 conv4 relu4 conv5 relu5 pool5"
    )
    assert " ".join(name for name, _ in net.classifier.named_children()) == (
        "fc6 relu6 drop6 fc7 relu7 drop7 fc8"
    )
    norms = [each for each in net.features if isinstance(each, LocalResponseNorm)]
    assert [(each.size, each.alpha, each.beta, each.k) for each in norms] == [
        (5, 1e-4, 0.75, 2)
    ] * 2
    assert [each.p for each in net.modules() if isinstance(each, nn.Dropout)] == [0.5, 0.5]


def test_conv5_is_what_detectors_stand_on() -> None:
    features = on_meta().features
    conv5 = features.get_submodule("conv5")
    assert conv5.out_channels == 256  # the width of the region proposal network on it
    strides = [each.stride for each in features[:-1] if hasattr(each, "stride")]
    total = 1
    for stride in strides:
        total *= stride if isinstance(stride, int) else stride[0]
    assert total == 16


@pytest.mark.row("C5")
def test_receptive_fields() -> None:
    fields = {each.name.split(".")[-1]: each.receptive_field for each in table_of().layers}
    names = ("conv1", "pool1", "conv2", "pool2", "conv3", "conv4", "conv5", "pool5", "fc6")
    sides = (7, 11, 27, 43, 75, 107, 139, 171, 331)
    assert [fields[name] for name in names] == [(side, side) for side in sides]


def test_smallest_picture() -> None:
    assert {on_meta(name).config.smallest for name in ("paper", "wide")} == {53}

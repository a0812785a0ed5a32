"""The layer pattern (C4) and what a fully connected layer costs (C3), by the chapter's examples."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from deepcanon.classify.convnet import Config, ConvNet, Pool
from deepcanon.nn.layer_table import layer_table

WORDS = {nn.Conv2d: "conv", nn.ReLU: "relu", nn.MaxPool2d: "pool", nn.Linear: "FC"}


def pattern(config: Config) -> str:
    with torch.device("meta"):
        net = ConvNet(config)
    layers = [*net.features, *net.classifier]
    return " ".join(WORDS[type(layer)] for layer in layers)


@pytest.mark.row("C4")
def test_chapters_example() -> None:
    example = "conv relu conv relu conv relu pool FC relu FC relu FC"
    assert pattern(Config(convolutions=3, blocks=1, hidden_layers=2)) == example
    assert pattern(Config()) == example  # it is the default


@pytest.mark.row("C4")
@pytest.mark.parametrize(
    ("n", "m", "k", "pool", "expected"),
    [
        (0, 0, 0, Pool.MAX, "FC"),
        (0, 0, 1, Pool.MAX, "FC relu FC"),
        (1, 1, 0, Pool.NONE, "conv relu FC"),
        (1, 2, 1, Pool.MAX, "conv relu pool conv relu pool FC relu FC"),
        (2, 1, 0, Pool.MAX, "conv relu conv relu pool FC"),
        (2, 2, 0, Pool.NONE, "conv relu conv relu conv relu conv relu FC"),
    ],
)
def test_pattern(n: int, m: int, k: int, pool: Pool, expected: str) -> None:
    assert pattern(Config(convolutions=n, blocks=m, hidden_layers=k, pool=pool)) == expected


@pytest.mark.row("C4", "C5")
def test_arithmetic_of_the_example() -> None:
    with torch.device("meta"):
        net = ConvNet(Config(num_classes=10))
    table = layer_table(net, input_size=(3, 32, 32))
    lines = {each.name.split(".")[-1]: each for each in table.layers}
    assert lines["pool1"].output == (32, 16, 16)
    convolutions = 3 * 32 * 9 + 2 * 32 * 32 * 9
    dense = 32 * 16 * 16 * 512 + 512 * 512 + 512 * 10
    assert table.parameters == convolutions + 3 * 32 + dense + 512 + 512 + 10
    assert table.multiply_adds == 32 * 32 * convolutions + dense
    assert lines["conv1_3"].receptive_field == (7, 7)  # three 3x3 see 7x7
    assert lines["pool1"].receptive_field == (8, 8)


@pytest.mark.row("C3")
def test_a_hidden_layer_of_100_on_32x32_pictures_has_307_200_weights() -> None:
    with torch.device("meta"):
        net = ConvNet(Config(blocks=0, hidden_layers=1, hidden=100, image_side=32))
    assert net.classifier.fc1.weight.numel() == 32 * 32 * 3 * 100 == 307_200


@pytest.mark.row("C3")
def test_a_hidden_layer_of_1000_on_1024x1024_pictures_has_thousands_of_millions() -> None:
    with torch.device("meta"):  # it would take 12 GB
        net = ConvNet(Config(blocks=0, hidden_layers=1, hidden=1000, image_side=1024))
    weights = net.classifier.fc1.weight.numel()
    assert weights == 3_145_728_000  # three channels; one channel alone: 1,048,576,000
    assert weights // 3 == 1024 * 1024 * 1000


@pytest.mark.row("C3")
def test_fully_connected_layer_and_softmax_by_hand() -> None:
    torch.manual_seed(0)
    net = ConvNet(Config(blocks=0, hidden_layers=0, image_side=1, num_classes=3))
    with torch.no_grad():  # a picture of one pixel, (1, 2, 3)
        net.classifier.fc1.weight.copy_(torch.tensor([[1.0, 0, 0], [0, 1, 0], [1, 1, 1]]))
        net.classifier.fc1.bias.copy_(torch.tensor([0.0, 0, -3]))
        scores = net(torch.tensor([1.0, 2, 3]).view(1, 3, 1, 1))
    assert scores.tolist() == [[1, 2, 3]]  # logits: no softmax in the network
    shares = scores.exp() / scores.exp().sum()
    expected = [0.09003, 0.24473, 0.66524]
    assert shares[0].tolist() == pytest.approx(expected, abs=1e-5)
    loss = functional.cross_entropy(scores, torch.tensor([2]))  # softmax belongs to the loss
    assert loss.item() == pytest.approx(-torch.tensor(expected[2]).log().item(), abs=1e-4)

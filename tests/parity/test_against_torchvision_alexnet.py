"""torchvision's random weights in our AlexNet give torchvision's scores and gradients."""

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from deepcanon.classify.alexnet import IMAGENET, TORCHVISION, AlexNet, load
from deepcanon.nn import preprocessing

torchvision_models = pytest.importorskip("torchvision.models")

pytestmark = pytest.mark.row("C7")


def reference() -> nn.Module:
    """torchvision's network with small FC layers: the full ones take 230 MB."""
    with torch.device("meta"):
        net = torchvision_models.alexnet(num_classes=10)
    net.classifier[1] = nn.Linear(256 * 6 * 6, 32, device="meta")
    net.classifier[4] = nn.Linear(32, 32, device="meta")
    net.classifier[6] = nn.Linear(32, 10, device="meta")
    net.to_empty(device="cpu")
    torch.manual_seed(0)
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight)
            nn.init.normal_(layer.bias, std=0.1)
    return net.eval()


@pytest.fixture
def pair(tmp_path: Path) -> tuple[AlexNet, nn.Module]:
    """Ours, loaded from a file of theirs, and theirs."""
    theirs = reference()
    torch.save(theirs.state_dict(), tmp_path / "theirs.pth")
    net = AlexNet(dataclasses.replace(TORCHVISION, hidden=32, num_classes=10))
    assert load(net, tmp_path / "theirs.pth") == preprocessing.TORCHVISION == net.preprocessing
    return net.eval(), theirs


def test_scores(pair: tuple[AlexNet, nn.Module]) -> None:
    net, theirs = pair
    with torch.no_grad():
        for batch, size in [(1, (64, 64)), (3, (64, 80)), (1, (224, 224))]:
            x = torch.rand(batch, 3, *size)
            expected = theirs(x)
            assert expected.std() > 0.01  # a tolerance of 1e-5 means something
            assert_close(net(x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("batch", [1, 3])
def test_training_with_the_same_dropout(pair: tuple[AlexNet, nn.Module], batch: int) -> None:
    net, theirs = pair
    for each in pair:
        each.eval().zero_grad()
    x = torch.rand(batch, 3, 64, 64)
    evaluated = net(x)
    scores = []
    for each in (theirs, net):
        torch.manual_seed(4)
        scores.append(each.train()(x))
        scores[-1].square().sum().backward()
    assert_close(scores[1], scores[0], rtol=1e-5, atol=1e-5)
    assert not torch.allclose(scores[1], evaluated, rtol=0.01)
    for got, expected in zip(net.parameters(), theirs.parameters(), strict=True):
        scale = expected.grad.abs().max().item()
        assert scale > 1e-3
        assert_close(got.grad, expected.grad, rtol=1e-4, atol=1e-5 * scale)


def test_full_networks_have_the_same_shapes() -> None:
    with torch.device("meta"):
        theirs, net = torchvision_models.alexnet(), AlexNet(TORCHVISION)
    expected = [value.shape for value in theirs.state_dict().values()]
    assert [value.shape for value in net.state_dict().values()] == expected


def test_published_file_is_torchvisions() -> None:
    assert torchvision_models.AlexNet_Weights.IMAGENET1K_V1.url == IMAGENET.url
    assert IMAGENET.sha256[:8] in IMAGENET.url

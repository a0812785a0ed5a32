"""torchvision's random weights in our ResNets give torchvision's scores, gradients, statistics."""

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from deepcanon.classify.resnet import TORCHVISION, ResNet, load
from deepcanon.nn import preprocessing

torchvision_models = pytest.importorskip("torchvision.models")

pytestmark = pytest.mark.row("C16")

CLASSES = 7


def reference(name: str) -> nn.Module:
    """torchvision's network; norms get statistics and affine weights that are not 1 and 0."""
    torch.manual_seed(0)
    net: nn.Module = torchvision_models.get_model(name, weights=None, num_classes=CLASSES)
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 1)
            nn.init.normal_(layer.bias, std=0.1)
            nn.init.normal_(layer.running_mean, std=0.1)  # type: ignore[arg-type]
            nn.init.uniform_(layer.running_var, 0.5, 2)  # type: ignore[arg-type]
    return net


def pair(name: str, folder: Path) -> tuple[ResNet, nn.Module]:
    """Ours, loaded from a file of theirs, and theirs."""
    theirs = reference(name)
    torch.save(theirs.state_dict(), folder / "theirs.pth")
    net = ResNet(dataclasses.replace(TORCHVISION[name], num_classes=CLASSES))
    assert load(net, folder / "theirs.pth") == preprocessing.TORCHVISION == net.preprocessing
    return net, theirs


def close(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    assert_close(ours, theirs, rtol=0, atol=1e-4 * theirs.abs().max().item())


@pytest.mark.parametrize("name", list(TORCHVISION))
def test_scores(name: str, tmp_path: Path) -> None:
    net, theirs = (each.eval() for each in pair(name, tmp_path))
    with torch.no_grad():
        for batch, size in [(1, (64, 64)), (3, (72, 95))]:
            x = torch.rand(batch, 3, *size)
            expected = theirs(x)
            assert (expected[0] - expected[-1]).abs().max() > 0 or batch == 1
            assert expected.std() > 0.01
            close(net(x), expected)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_training(name: str, batch: int, tmp_path: Path) -> None:
    net, theirs = (each.train() for each in pair(name, tmp_path))
    x = torch.rand(batch, 3, 96, 96)
    scores = []
    for each in (net, theirs):
        scores.append(each(x))
        scores[-1].square().mean().backward()
    close(*scores)
    gradients = {key: each.grad for key, each in theirs.named_parameters()}
    for key, parameter in net.named_parameters():
        wanted = gradients[key]
        assert parameter.grad is not None and wanted is not None and wanted.any()
        assert_close(parameter.grad, wanted, rtol=0, atol=1e-3 * wanted.abs().max().item())
    statistics = theirs.state_dict()
    for key, value in net.state_dict().items():
        if "running" in key:
            close(value, statistics[key])

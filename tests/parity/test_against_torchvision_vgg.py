"""torchvision's random weights in our VGG give torchvision's scores and gradients."""

import dataclasses

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from deepcanon.classify import vgg
from deepcanon.classify.vgg import A, B, Config, D, E
from deepcanon.core.catalog import create_model

torchvision_models = pytest.importorskip("torchvision.models")

pytestmark = pytest.mark.row("C10")

COLUMNS = {"vgg11": A, "vgg13": B, "vgg16": D, "vgg19": E}


def reference(name: str) -> nn.Module:
    """torchvision's network with small FC layers: 25,088 inputs make the full ones 400 MB."""
    with torch.device("meta"):
        net = getattr(torchvision_models, name)(num_classes=10)
    net.classifier[0] = nn.Linear(512 * 7 * 7, 32, device="meta")
    net.classifier[3] = nn.Linear(32, 32, device="meta")
    net.classifier[6] = nn.Linear(32, 10, device="meta")
    net.to_empty(device="cpu")
    torch.manual_seed(0)
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight)
            nn.init.normal_(layer.bias, std=0.1)
    return net.eval()


def ours(config: Config, theirs: nn.Module) -> vgg.VGG:
    net = vgg.VGG(dataclasses.replace(config, hidden=32, num_classes=10))
    net.load_state_dict(theirs.state_dict(), strict=True)
    return net.eval()


@pytest.mark.parametrize("name", COLUMNS)
def test_scores(name: str) -> None:
    theirs = reference(name)
    net = ours(vgg.torchvision(COLUMNS[name]), theirs)
    with torch.no_grad():
        for batch, size in [(1, (64, 64)), (3, (64, 64)), (1, (256, 40))]:
            x = torch.rand(batch, 3, *size)
            expected = theirs(x)
            assert expected.std() > 0.01  # a tolerance of 1e-5 means something
            assert_close(net(x), expected, rtol=1e-5, atol=1e-5)


def test_scores_of_the_paper_variant_at_its_own_size() -> None:
    theirs = reference("vgg11")
    net = ours(A, theirs)
    x = torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        assert_close(net(x), theirs(x), rtol=1e-5, atol=1e-5)
        wider = torch.rand(1, 3, 288, 224)  # dense evaluation is not adaptive pooling
        assert not torch.allclose(net(wider), theirs(wider), rtol=1e-3, atol=1e-3)


def test_gradients() -> None:
    theirs = reference("vgg11")
    net = ours(vgg.torchvision(A), theirs)
    x = torch.rand(2, 3, 64, 64)
    for each in (theirs, net):
        each(x).square().sum().backward()
    for got, expected in zip(net.parameters(), theirs.parameters(), strict=True):
        scale = expected.grad.abs().max().item()
        assert scale > 1e-3
        assert_close(got.grad, expected.grad, rtol=1e-4, atol=1e-5 * scale)


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("variant", ["paper", "torchvision"])
def test_full_networks_have_the_same_keys_and_shapes(name: str, variant: str) -> None:
    with torch.device("meta"):
        theirs = getattr(torchvision_models, name)()
        net = create_model(name, variant=variant)
    expected = [(key, value.shape) for key, value in theirs.state_dict().items()]
    assert [(key, value.shape) for key, value in net.state_dict().items()] == expected

"""torchvision's random weights in our ResNets give torchvision's scores, statistics, gradients.

torchvision has no option A or C, no plain networks and none for CIFAR: those are put together here
from its blocks, with shortcuts of our own writing that share nothing with the package's.
"""

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.testing import assert_close

from deepcanon.classify import resnet, resnet_cifar
from deepcanon.core.catalog import create_model
from deepcanon.nn.preprocessing import TORCHVISION
from tests.likeness import close, randomise

torchvision_models = pytest.importorskip("torchvision.models")
reference_blocks = pytest.importorskip("torchvision.models.resnet")

pytestmark = pytest.mark.row("C16")

NAMES = ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]


class ZeroPadding(nn.Module):
    """Option A: a pool of one pixel takes every second one."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.avg_pool2d(x, kernel_size=1, stride=2)
        return torch.cat([x, torch.zeros_like(x)], dim=1)


class Nothing(nn.Module):
    """Plain networks: nothing is added."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.new_zeros(())


def projection(into: int, out: int, *, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(into, out, 1, stride=stride, bias=False), nn.BatchNorm2d(out))


class CifarReference(nn.Module):
    """§4.2 in torchvision's basic blocks."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        block = reference_blocks.BasicBlock
        rows = []
        for into, out in ((16, 16), (16, 32), (32, 64)):
            first = block(into, out) if into == out else block(into, out, 2, ZeroPadding())
            rows.append(nn.Sequential(first, *(block(out, out) for _ in range(n - 1))))
        self.layer1, self.layer2, self.layer3 = rows
        self.fc = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.bn1(self.conv1(x)).relu()
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(functional.adaptive_avg_pool2d(x, 1).flatten(1))


def reference(name: str) -> nn.Module:
    with torch.device("meta"):
        net = getattr(torchvision_models, name)(num_classes=10)
    return randomise(net.to_empty(device="cpu")).eval()


def basic_blocks(net: nn.Module) -> list[nn.Module]:
    return [each for each in net.modules() if isinstance(each, reference_blocks.BasicBlock)]


def ours(name: str, variant: str, theirs: nn.Module, folder: Path) -> nn.Module:
    """Our network with their weights, by way of a file and of the package's own loader."""
    torch.save(theirs.state_dict(), folder / "theirs.pth")
    torch.manual_seed(1)
    net = create_model(name, variant=variant, num_classes=10, weights=folder / "theirs.pth")
    return net.eval()


def compare(net: nn.Module, theirs: nn.Module, x: torch.Tensor) -> None:
    with torch.no_grad():
        close(net(x), theirs(x))


def compare_in_both_modes(net: nn.Module, theirs: nn.Module, *, side: int = 64) -> None:
    torch.manual_seed(2)
    for batch in (1, 3):
        compare(net, theirs, torch.randn(batch, 3, side, side))
    for each in (net, theirs):
        each.train()
    for batch in (3, 1):
        compare(net, theirs, torch.randn(batch, 3, side, side + 16))
    found, expected = net.state_dict(), theirs.state_dict()
    assert found.keys() == expected.keys()
    for key, value in expected.items():  # running statistics moved alike
        size = value.abs().max().item() or 1.0
        assert_close(found[key] / size, value / size, rtol=0, atol=1e-4, msg=key)


@pytest.mark.parametrize("name", NAMES)
def test_scores_and_statistics(name: str, tmp_path: Path) -> None:
    theirs = reference(name)
    net = ours(name, "torchvision", theirs, tmp_path)
    assert net.preprocessing == TORCHVISION
    compare_in_both_modes(net, theirs)


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_gradients_of_a_training_step(name: str, tmp_path: Path) -> None:
    theirs = reference(name)
    net = ours(name, "torchvision", theirs, tmp_path)
    x, labels = torch.randn(3, 3, 64, 64), torch.tensor([1, 4, 9])
    for each in (theirs, net):
        functional.cross_entropy(each.train()(x), labels).backward()
    names = [key for key, _ in net.named_parameters()]
    assert names == [key for key, _ in theirs.named_parameters()]
    for key, got, expected in zip(names, net.parameters(), theirs.parameters(), strict=True):
        scale = expected.grad.abs().max().item()
        assert scale > 0
        assert_close(got.grad / scale, expected.grad / scale, rtol=0, atol=1e-3, msg=key)


def test_stride_on_the_first_1x1(tmp_path: Path) -> None:
    theirs = reference("resnet50")
    for stage in (theirs.layer2, theirs.layer3, theirs.layer4):
        stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)
    net = ours("resnet50", "paper", theirs, tmp_path)
    assert net.preprocessing is None  # no file of torchvision's has such strides
    compare_in_both_modes(net, theirs)
    later = ours("resnet50", "v1_5", theirs, tmp_path)
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():  # the same weights, but another network
        assert not torch.allclose(later(x), theirs.eval()(x), rtol=1e-2, atol=1e-2)


def test_option_a(tmp_path: Path) -> None:
    theirs = reference("resnet18")
    for stage in (theirs.layer2, theirs.layer3, theirs.layer4):
        stage[0].downsample = ZeroPadding()
    compare_in_both_modes(ours("resnet18", "paper", theirs, tmp_path), theirs)


def test_option_c(tmp_path: Path) -> None:
    theirs = reference("resnet18")
    for block in basic_blocks(theirs):
        if block.downsample is None:
            width = block.conv1.in_channels
            block.downsample = projection(width, width, stride=1)
    randomise(theirs).eval()
    compare_in_both_modes(ours("resnet18", "shortcut_c", theirs, tmp_path), theirs)


def test_plain(tmp_path: Path) -> None:
    theirs = reference("resnet18")
    for block in basic_blocks(theirs):
        block.downsample = Nothing()
    compare_in_both_modes(ours("plain18", "paper", theirs, tmp_path), theirs)


@pytest.mark.parametrize("kind", ["resnet", "plain"])
def test_cifar(kind: str, tmp_path: Path) -> None:
    theirs = CifarReference(n=3)
    if kind == "plain":
        for block in basic_blocks(theirs):
            block.downsample = Nothing()
    randomise(theirs).eval()
    net = ours(f"{kind}20", "paper", theirs, tmp_path)
    assert isinstance(net, resnet_cifar.CifarResNet)
    compare_in_both_modes(net, theirs, side=32)


@pytest.mark.parametrize("name", NAMES)
def test_full_networks_have_the_same_keys_and_shapes(name: str) -> None:
    with torch.device("meta"):
        theirs = getattr(torchvision_models, name)()
        net = resnet.ResNet(resnet.TORCHVISION[name])
    expected = [(key, value.shape) for key, value in theirs.state_dict().items()]
    assert [(key, value.shape) for key, value in net.state_dict().items()] == expected

"""BN-Inception put together from torchvision's parts gives what ours gives.

Neither torchvision nor timm has the network. Its convolutions with norms, and the way in which a
module of GoogLeNet concatenates its branches, are torchvision's here; the widths are written out.
"""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from deepcanon.classify.bn_inception import PAPER, WIDE, BNInception, Config, load
from deepcanon.nn.weights import Weights, rename
from tests.likeness import close, close_gradients, close_statistics, randomise

theirs = pytest.importorskip("torchvision.models.googlenet")

pytestmark = pytest.mark.row("C12")

CLASSES = 6
BRANCHES = ("one", "three", "three_twice", "pool")
VARIANTS = {"paper": (PAPER, 96), "wide": (WIDE, 128)}
each_variant = pytest.mark.parametrize("variant", VARIANTS)


def average() -> nn.Module:
    return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)


def same(*widths: int, pool: nn.Module | None = None) -> nn.Module:
    """Into, #1x1, #3x3 reduce, #3x3, double reduce, double, projection."""
    module = theirs.Inception(*widths)
    module.branch3.append(theirs.BasicConv2d(widths[5], widths[5], kernel_size=3, padding=1))
    module.branch4[0] = average() if pool is None else pool
    return module


class Halving(nn.Module):
    """A module of stride 2, under the names of torchvision's."""

    def __init__(self, into: int, reduce: int, out: int, reduce2: int, out2: int) -> None:
        super().__init__()
        conv = theirs.BasicConv2d
        self.branch2 = nn.Sequential(
            conv(into, reduce, kernel_size=1),
            conv(reduce, out, kernel_size=3, stride=2, padding=1),
        )
        self.branch3 = nn.Sequential(
            conv(into, reduce2, kernel_size=1),
            conv(reduce2, out2, kernel_size=3, padding=1),
            conv(out2, out2, kernel_size=3, stride=2, padding=1),
        )
        self.branch4 = nn.MaxPool2d(3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch2(x), self.branch3(x), self.branch4(x)], dim=1)


def first() -> nn.Module:
    """The separable convolution: 7x7 for each channel 8 times, then 1x1; one norm."""
    conv = theirs.BasicConv2d(24, 64, kernel_size=1)
    depthwise = nn.Conv2d(3, 24, 7, stride=2, padding=3, groups=3, bias=False)
    conv.conv = nn.Sequential(depthwise, conv.conv)
    return conv


def reference(project: int) -> nn.Module:
    narrow = 480 + project  # 4c's output: 576, or 608
    net = nn.Sequential(
        first(),
        nn.MaxPool2d(3, stride=2, padding=1),
        theirs.BasicConv2d(64, 64, kernel_size=1),
        theirs.BasicConv2d(64, 192, kernel_size=3, padding=1),
        nn.MaxPool2d(3, stride=2, padding=1),
        same(192, 64, 64, 64, 64, 96, 32),
        same(256, 64, 64, 96, 64, 96, 64),
        Halving(320, 128, 160, 64, 96),
        same(576, 224, 64, 96, 96, 128, 128),
        same(576, 192, 96, 128, 96, 128, 128),
        same(576, 160, 128, 160, 128, 160, project),
        same(narrow, 96, 128, 192, 160, 192, project),
        Halving(narrow, 128, 192, 192, 256),
        same(narrow + 448, 352, 192, 320, 160, 224, 128),
        same(1024, 352, 192, 320, 192, 224, 128, pool=nn.MaxPool2d(3, stride=1, padding=1)),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(1024, CLASSES),
    )
    return randomise(net)


def our_name(key: str) -> str:
    """Their key's place in our network."""
    number, rest = key.split(".", 1)
    rest = rest.replace("bn.", "norm.")
    outside = {"0": "stem.conv1", "2": "stem.conv2_reduce", "3": "stem.conv2", "17": "top.fc"}
    if number in outside:
        rest = rest.replace("conv.0.", "conv.depthwise.").replace("conv.1.", "conv.pointwise.")
        return f"{outside[number]}.{rest}"
    module = ["3a", "3b", "3c", "4a", "4b", "4c", "4d", "4e", "5a", "5b"][int(number) - 5]
    branch, rest = rest.split(".", 1)
    parts = {
        "branch1": [""],
        "branch2": ["reduce.", "wide."],
        "branch3": ["reduce.", "first.", "second."],
        "branch4": ["pool.", "project."],
    }[branch]
    if branch != "branch1":
        place, rest = rest.split(".", 1)
        rest = parts[int(place)] + rest
    return f"inception.{module}.branches.{BRANCHES[int(branch[-1]) - 1]}.{rest}"


def both(variant: str, folder: Path) -> tuple[BNInception, nn.Sequential]:
    """Ours and theirs with the same weights, which ours reads from a file."""
    config, project = VARIANTS[variant]
    other = reference(project)
    weights = Weights(tensors=other.state_dict(), source="theirs")
    named = rename(weights, {key: our_name(key) for key in weights.tensors})
    torch.save(named.tensors, folder / "weights.pth")
    net = build(config)
    assert load(net, folder / "weights.pth") is None
    return net, other


def build(config: Config) -> BNInception:
    return BNInception(replace(config, num_classes=CLASSES))


@each_variant
def test_scores(variant: str, tmp_path: Path) -> None:
    net, other = both(variant, tmp_path)
    net.eval(), other.eval()
    with torch.no_grad():
        for batch, size in [(1, (64, 64)), (3, (64, 96)), (2, (47, 33))]:
            x = torch.rand(batch, 3, *size)
            close(net(x), other(x))


@pytest.mark.parametrize("batch", [1, 3])
def test_training(batch: int, tmp_path: Path) -> None:
    net, other = both("paper", tmp_path)
    net.train(), other.train()
    x = torch.rand(batch, 3, 96, 96)  # of 64x64 the last max pool leaves one value, four times
    got, expected = net(x), other(x)
    close(got, expected)
    got.square().mean().backward()
    expected.square().mean().backward()
    close_gradients(net, other, our_name)
    close_statistics(net, other, our_name)


def test_a_norm_that_is_left_out_shows(tmp_path: Path) -> None:
    net, other = both("paper", tmp_path)
    net.eval(), other.eval()
    net.inception[0].branches["three_twice"].first.norm.weight.data.mul_(1.01)
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad(), pytest.raises(AssertionError):
        close(net(x), other(x))

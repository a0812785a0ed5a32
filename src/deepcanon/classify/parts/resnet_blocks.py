"""What the networks of the ResNet paper have in common: blocks, shortcuts, starting weights.

See `deepcanon.classify.resnet`, whose citation, sections and figures these are.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, Protocol

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


class Shortcut(StrEnum):
    """What is added to a block's result (§3.3, §4.1)."""

    NONE = "none"  # nothing: the plain networks
    A = "a"  # the input; where the shape changes, strided and filled up with zero channels
    B = "b"  # the input; where the shape changes, projected
    C = "c"  # the projected input, in every block


class Stride(StrEnum):
    """Which convolution of a bottleneck takes the stride."""

    PAPER = "paper"  # authors' Caffe models: the first, 1x1
    V1_5 = "v1_5"  # fb.resnet.torch, torchvision: the 3x3


class Initialisation(StrEnum):
    """Where the weights start; batch norm starts as the identity in both."""

    HE = "he"  # §3.4, its reference [13]: normal(0, sqrt(2 / inputs)), zero bias
    TORCHVISION = "torchvision"  # normal(0, sqrt(2 / outputs)); FC uniform, +-1 / sqrt(inputs)


def _conv(into: int, out: int, kernel: int, *, stride: int = 1) -> nn.Conv2d:
    # No bias: the batch norm behind it takes the mean away.
    return nn.Conv2d(into, out, kernel, stride=stride, padding=kernel // 2, bias=False)


class Padded(nn.Module):
    """Option A: every ``stride``-th pixel, then ``more`` channels of zeros. No parameters."""

    def __init__(self, *, stride: int, more: int) -> None:
        super().__init__()
        self.stride, self.more = stride, more

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        """[b, c, h, w] -> [b, c + more, ceil(h / stride), ceil(w / stride)]."""
        sampled = x[:, :, :: self.stride, :: self.stride]
        return functional.pad(sampled, (0, 0, 0, 0, 0, self.more))


def shortcut_layer(option: Shortcut, into: int, out: int, *, stride: int) -> nn.Module | None:
    """What carries a block's input of ``into`` channels to its end; None in plain networks."""
    if option is Shortcut.NONE:
        return None
    same = stride == 1 and into == out
    if option is Shortcut.C or (option is Shortcut.B and not same):
        return nn.Sequential(_conv(into, out, 1, stride=stride), nn.BatchNorm2d(out))
    return nn.Identity() if same else Padded(stride=stride, more=out - into)


class Basic(nn.Module):
    """Figure 2 (and 5, left): two 3x3 convolutions, the first with the stride."""

    def __init__(self, into: int, width: int, *, stride: int, shortcut: Shortcut) -> None:
        super().__init__()
        self.conv1 = _conv(into, width, 3, stride=stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = _conv(width, width, 3)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = shortcut_layer(shortcut, into, width, stride=stride)
        self.relu2 = nn.ReLU(inplace=True)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b width h2 w2"]:
        """F(x) + shortcut(x), then ReLU."""
        y = self.relu1(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return _add_and_relu(self.relu2, y, x, self.downsample)


class Bottleneck(nn.Module):
    """Figure 5, right: 1x1 to ``width`` channels, 3x3, 1x1 to ``4 * width``."""

    def __init__(
        self, into: int, width: int, *, stride: int, shortcut: Shortcut, placement: Stride
    ) -> None:
        super().__init__()
        first, second = (stride, 1) if placement is Stride.PAPER else (1, stride)
        self.conv1 = _conv(into, width, 1, stride=first)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = _conv(width, width, 3, stride=second)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv3 = _conv(width, 4 * width, 1)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample = shortcut_layer(shortcut, into, 4 * width, stride=stride)
        self.relu3 = nn.ReLU(inplace=True)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        """F(x) + shortcut(x), then ReLU."""
        y = self.relu1(self.bn1(self.conv1(x)))
        y = self.relu2(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return _add_and_relu(self.relu3, y, x, self.downsample)


def _add_and_relu(relu: nn.Module, y: Tensor, x: Tensor, shortcut: nn.Module | None) -> Tensor:
    result: Tensor = relu(y if shortcut is None else y + shortcut(x))
    return result


class MakeBlock(Protocol):
    """Builds a block that turns ``into`` channels into as many as its kind has for ``width``."""

    def __call__(self, into: int, width: int, *, stride: int) -> nn.Module: ...


def stage(
    make: MakeBlock, *, into: int, width: int, out: int, blocks: int, stride: int
) -> nn.Sequential:
    """Blocks in a row, each ending in ``out`` channels; the first takes the stride."""
    first = make(into, width, stride=stride)
    return nn.Sequential(first, *(make(out, width, stride=1) for _ in range(blocks - 1)))


def initialise(net: nn.Module, *, how: Initialisation) -> None:
    """Draw every weight of ``net`` anew from torch's generator; batch norm becomes the identity."""
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_parameters()
        elif isinstance(layer, nn.Conv2d):
            he = how is Initialisation.HE
            mode: Literal["fan_in", "fan_out"] = "fan_in" if he else "fan_out"
            nn.init.kaiming_normal_(layer.weight, mode=mode, nonlinearity="relu")
        elif isinstance(layer, nn.Linear) and how is Initialisation.HE:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.Linear):
            layer.reset_parameters()

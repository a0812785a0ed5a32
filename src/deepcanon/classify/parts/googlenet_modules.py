"""What GoogLeNet is put together from: its module in two forms (figure 2), its convolutions.

See `deepcanon.classify.googlenet` for the paper and the network.
"""

from __future__ import annotations

from collections import OrderedDict
from enum import StrEnum
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from deepcanon.nn.conv_norm import conv_norm


class Widths(NamedTuple):
    """A module's row of Table 1."""

    one: int  # #1x1
    three_reduce: int
    three: int
    five_reduce: int
    five: int
    pool: int  # pool proj

    @property
    def out(self) -> int:
        """Channels of the concatenation."""
        return self.one + self.three + self.five + self.pool


class Normalisation(StrEnum):
    """What keeps the activations in range."""

    RESPONSE = "response"  # figure 3: LRN twice, convolutions with biases
    BATCH = "batch"  # torchvision: BN after each convolution, no biases, no LRN


def convolution(
    into: int, out: int, *, kernel: int, how: Normalisation, stride: int = 1
) -> nn.Sequential:
    """A convolution padded to keep the size (divided by the stride), then a ReLU."""
    if how is Normalisation.BATCH:
        return conv_norm(into, out, kernel=kernel, stride=stride, padding=kernel // 2)
    conv = nn.Conv2d(into, out, kernel, stride=stride, padding=kernel // 2)
    return nn.Sequential(OrderedDict(conv=conv, relu=nn.ReLU(inplace=True)))


def separable(conv: nn.Conv2d, *, multiplier: int = 8) -> nn.Sequential:
    """``conv`` in two steps: each channel alone, ``multiplier`` times over, then 1x1."""
    into, between = conv.in_channels, conv.in_channels * multiplier
    depthwise = nn.Conv2d(
        into,
        between,
        conv.kernel_size[0],
        stride=conv.stride[0],
        padding=conv.kernel_size[0] // 2,
        groups=into,
        bias=False,
    )
    pointwise = nn.Conv2d(between, conv.out_channels, 1, bias=conv.bias is not None)
    return nn.Sequential(OrderedDict(depthwise=depthwise, pointwise=pointwise))


class Inception(nn.Module):
    """The module with dimension reductions, figure 2(b)."""

    def __init__(
        self, into: int, widths: Widths, *, large_kernel: int = 5, how: Normalisation
    ) -> None:
        super().__init__()
        self.one = convolution(into, widths.one, kernel=1, how=how)
        self.three = nn.Sequential(
            OrderedDict(
                reduce=convolution(into, widths.three_reduce, kernel=1, how=how),
                wide=convolution(widths.three_reduce, widths.three, kernel=3, how=how),
            )
        )
        self.five = nn.Sequential(
            OrderedDict(
                reduce=convolution(into, widths.five_reduce, kernel=1, how=how),
                wide=convolution(widths.five_reduce, widths.five, kernel=large_kernel, how=how),
            )
        )
        self.pool = nn.Sequential(
            OrderedDict(
                max=nn.MaxPool2d(3, stride=1, padding=1),
                project=convolution(into, widths.pool, kernel=1, how=how),
            )
        )

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h w"]:
        """Four views of the same map, side by side."""
        return torch.cat([self.one(x), self.three(x), self.five(x), self.pool(x)], dim=1)


class NaiveInception(nn.Module):
    """The module as first thought of, figure 2(a): no reductions, and the pool passes through.

    Channels only grow from one to the next, which is why it is not used (§4).
    """

    def __init__(self, into: int, *, one: int, three: int, five: int) -> None:
        super().__init__()
        how = Normalisation.RESPONSE
        self.one = convolution(into, one, kernel=1, how=how)
        self.three = convolution(into, three, kernel=3, how=how)
        self.five = convolution(into, five, kernel=5, how=how)
        self.pool = nn.MaxPool2d(3, stride=1, padding=1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h w"]:
        """[b, c, h, w] -> [b, one + three + five + c, h, w]."""
        return torch.cat([self.one(x), self.three(x), self.five(x), self.pool(x)], dim=1)

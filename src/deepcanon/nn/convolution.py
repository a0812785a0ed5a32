"""Convolution written out: what a convolution layer computes, for reading and for checking.

Y. LeCun et al., "Gradient-Based Learning Applied to Document Recognition", Proc. IEEE 1998. Every
output value is a dot product of one filter, [c, kh, kw], with one window of the input, plus a bias.

Networks *cross-correlate* and call it convolution: the filter lies on the window as it is. The
convolution of mathematics, ``y[i] = sum_m w[m] x[i - m]``, turns the filter round first; a network
that learns its filters cannot tell the two apart. Both are here by name: `cross_correlate`, which
is `torch.nn.functional.conv2d`, and `convolve`.

The networks of this package use torch's layers, which are the same function and fast.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from deepcanon.core.errors import BadInput


class Padding(StrEnum):
    """How the border is treated where no number of zeros is given."""

    SAME = "same"  # zeros until a side w becomes ceil(w / stride); an odd one goes to the end
    VALID = "valid"  # no zeros: windows that lie wholly inside


class Rounding(StrEnum):
    """What becomes of values at the end of a side that do not fill a window."""

    DOWN = "down"  # they are left out, as in any convolution
    UP = "up"  # they make a window of their own, as in Caffe's pools


class Window(NamedTuple):
    """What a convolution or a pool slides over its input: a square of ``kernel`` x ``kernel``."""

    kernel: int
    stride: int = 1
    padding: int = 0
    rounding: Rounding = Rounding.DOWN


# --- arithmetic ----------------------------------------------------------------------------------


def border(side: int, *, kernel: int, stride: int, padding: int | Padding) -> tuple[int, int]:
    """How many zeros stand before and after a side of ``side`` values.

    Raises BadInput for a kernel or stride under 1 and for a padding under 0.
    """
    if kernel < 1 or stride < 1 or (isinstance(padding, int) and padding < 0):
        raise BadInput(
            f"a window of kernel {kernel}, stride {stride}, padding {padding} cannot slide",
            hint="kernel and stride must be 1 or more, padding 0 or more, 'same' or 'valid'",
        )
    if isinstance(padding, int):
        return padding, padding
    if padding is Padding.VALID:
        return 0, 0
    steps = -(-side // stride)  # rounded up
    zeros = max((steps - 1) * stride + kernel - side, 0)
    return zeros // 2, zeros - zeros // 2


def output_side(side: int, *, kernel: int, stride: int = 1, padding: int | Padding = 0) -> int:
    """How many windows fit on a side: floor((side + zeros - kernel) / stride) + 1, or 0."""
    zeros = sum(border(side, kernel=kernel, stride=stride, padding=padding))
    return max((side + zeros - kernel) // stride + 1, 0)


def side_after(side: int, windows: Iterable[Window]) -> int:
    """What is left of a side when ``windows`` slide over it one after the other."""
    for kernel, stride, padding, rounding in windows:
        steps = output_side(side, kernel=kernel, stride=stride, padding=padding)
        fills = (side + 2 * padding - kernel) % stride == 0
        starts_inside = steps * stride < side + padding
        side = steps + 1 if rounding == Rounding.UP and not fills and starts_inside else steps
    return side


def smallest_side(windows: Sequence[Window]) -> int:
    """The smallest side of which ``windows``, one after the other, leave at least one value."""
    side = 1
    for kernel, stride, padding, rounding in reversed(windows):
        last = (side - 1) * stride - padding  # where the last window starts
        ends = last + kernel - padding
        side = max(ends if rounding == Rounding.DOWN else max(ends - stride, last) + 1, 1)
    return side


# --- windows -------------------------------------------------------------------------------------


def windows_of(
    x: Float[Tensor, "b c h w"],
    *,
    kernel: tuple[int, int],
    stride: int = 1,
    padding: int | Padding = 0,
    fill: float = 0.0,
) -> Float[Tensor, "b c h2 w2 kh kw"]:
    """Every window of ``x``, whose border is widened by ``padding`` values of ``fill``.

    Raises BadInput where not even one fits, and for a window that cannot slide.
    """
    check_fits(x, kernel=kernel, stride=stride, padding=padding)
    height, width = kernel
    top, bottom = border(x.shape[2], kernel=height, stride=stride, padding=padding)
    left, right = border(x.shape[3], kernel=width, stride=stride, padding=padding)
    x = functional.pad(x, (left, right, top, bottom), value=fill)
    return x.unfold(2, height, stride).unfold(3, width, stride)


def check_fits(
    x: Float[Tensor, "b c h w"],
    *,
    kernel: tuple[int, int],
    stride: int,
    padding: int | Padding,
) -> None:
    """Refuse, by BadInput, an input that has no room for one window, and one that cannot slide."""
    for side, width in zip(x.shape[2:], kernel, strict=True):
        if output_side(side, kernel=width, stride=stride, padding=padding) < 1:
            raise BadInput(
                f"a window of {kernel[1]}x{kernel[0]} does not fit into "
                f"{x.shape[3]}x{x.shape[2]} values with the padding {padding}",
                hint="take a larger input, a smaller kernel or more padding",
            )


# --- the two operations --------------------------------------------------------------------------


def cross_correlate(
    x: Float[Tensor, "b c h w"],
    *,
    weight: Float[Tensor, "f c kh kw"],
    bias: Float[Tensor, " f"] | None = None,
    stride: int = 1,
    padding: int | Padding = 0,
) -> Float[Tensor, "b f h2 w2"]:
    """``y[b, f, i, j] = bias[f] + sum over c, m, n of weight[f, c, m, n] x[b, c, i + m, j + n]``.

    With a stride, i and j advance by it. Raises BadInput for shapes that do not go together.
    """
    if weight.shape[1] != x.shape[1]:
        raise BadInput(
            f"the filters read {weight.shape[1]} channels, the input has {x.shape[1]}",
            hint="the second axis of the weight and of the input must agree",
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise BadInput(
            f"there are {weight.shape[0]} filters and a bias of shape {list(bias.shape)}",
            hint="give one bias to each filter",
        )
    kernel = (weight.shape[2], weight.shape[3])
    windows = windows_of(x, kernel=kernel, stride=stride, padding=padding)
    y = torch.einsum("bcijmn,fcmn->bfij", windows, weight)
    return y if bias is None else y + bias[:, None, None]


def convolve(
    x: Float[Tensor, "b c h w"],
    *,
    weight: Float[Tensor, "f c kh kw"],
    bias: Float[Tensor, " f"] | None = None,
    stride: int = 1,
    padding: int | Padding = 0,
) -> Float[Tensor, "b f h2 w2"]:
    """The convolution of mathematics: `cross_correlate` with every filter turned by 180 degrees.

    ``padding`` keeps its meaning: 0 gives the windows that lie inside, kernel - 1 the "full" form.
    """
    return cross_correlate(x, weight=weight.flip(2, 3), bias=bias, stride=stride, padding=padding)

"""Pooling: max, average and L2 written out, and an adaptive average that can be exported.

`max_pool` and `average_pool` are for reading and checking; networks use torch's layers for them.
Torch has no L2 pool whose gradient survives a window of zeros (which ReLU makes), so `L2Pool` is
ours. Windows that are larger than their stride overlap (Krizhevsky et al. 2012, §3.4).

*Adaptive average.* ONNX has no such operation, and torch can only export its own for sizes that are
known. Written as two products with small matrices it is exact and works for any size.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from deepcanon.core.errors import BadInput
from deepcanon.nn.convolution import Padding, check_fits, windows_of

# --- windows -------------------------------------------------------------------------------------


def max_pool(
    x: Float[Tensor, "b c h w"],
    *,
    kernel: int,
    stride: int | None = None,
    padding: int | Padding = 0,
) -> Float[Tensor, "b c h2 w2"]:
    """The largest value of every window; the border never wins. ``stride`` defaults to the kernel.

    Raises BadInput where no window fits or where one could lie wholly on the border.
    """
    _check_border(kernel=kernel, padding=padding)
    windows = windows_of(
        x,
        kernel=(kernel, kernel),
        stride=kernel if stride is None else stride,
        padding=padding,
        fill=-torch.inf,
    )
    return windows.amax(dim=(-2, -1))


def average_pool(
    x: Float[Tensor, "b c h w"],
    *,
    kernel: int,
    stride: int | None = None,
    padding: int | Padding = 0,
) -> Float[Tensor, "b c h2 w2"]:
    """The mean of every window; the zeros of the border count, as in torch and Caffe.

    Raises as `max_pool` does.
    """
    _check_border(kernel=kernel, padding=padding)
    windows = windows_of(
        x,
        kernel=(kernel, kernel),
        stride=kernel if stride is None else stride,
        padding=padding,
    )
    return windows.mean(dim=(-2, -1))


def l2_pool(
    x: Float[Tensor, "b c h w"], *, kernel: int, stride: int | None = None, padding: int = 0
) -> Float[Tensor, "b c h2 w2"]:
    """The length of every window taken as a vector: the root of the sum of its squares.

    At a window of zeros, where the length has no derivative, the gradient is zero, not NaN.
    Raises as `max_pool` does.
    """
    _check_border(kernel=kernel, padding=padding)
    stride = kernel if stride is None else stride
    if not torch.compiler.is_compiling():  # sizes are symbols while a network is exported
        check_fits(x, kernel=(kernel, kernel), stride=stride, padding=padding)
    # A sum is a mean times the count; unlike windows that are written out, this can be exported.
    total = functional.avg_pool2d(x.square(), kernel, stride, padding) * kernel**2
    empty = total == 0
    return total.masked_fill(empty, 1.0).sqrt().masked_fill(empty, 0.0)


class L2Pool(nn.Module):
    """`l2_pool` as a layer; it has no parameters."""

    def __init__(self, kernel: int, *, stride: int | None = None, padding: int = 0) -> None:
        super().__init__()
        _check_border(kernel=kernel, padding=padding)
        self.kernel, self.padding = kernel, padding
        self.stride = kernel if stride is None else stride

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
        """[b, c, h, w] -> one length for every window."""
        return l2_pool(x, kernel=self.kernel, stride=self.stride, padding=self.padding)

    def extra_repr(self) -> str:
        """The window, for ``print(net)``."""
        return f"kernel={self.kernel}, stride={self.stride}, padding={self.padding}"


def _check_border(*, kernel: int, padding: int | Padding) -> None:
    if isinstance(padding, int) and 2 * padding > kernel:
        raise BadInput(
            f"a padding of {padding} leaves windows of {kernel}x{kernel} with no value in them",
            hint=f"pad by {kernel // 2} at the most",
        )


# --- adaptive average ----------------------------------------------------------------------------


class AdaptiveAverage(nn.Module):
    """Any map averaged to ``side`` x ``side``: torch's own operation, in a form to export."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c side side"]:
        """[b, c, h, w] -> [b, c, side, side]; where that is larger, values are repeated."""
        if torch.compiler.is_compiling():  # sizes are symbols while a network is exported
            return adaptive_average(x, rows=self.side, columns=self.side)
        return functional.adaptive_avg_pool2d(x, self.side)

    def extra_repr(self) -> str:
        """The side, for ``print(net)``."""
        return f"side={self.side}"


def adaptive_average(
    x: Float[Tensor, "b c h w"], *, rows: int, columns: int
) -> Float[Tensor, "b c rows columns"]:
    """What `torch.nn.functional.adaptive_avg_pool2d` computes for (rows, columns).

    Where the result is larger than the input, values are repeated.
    """
    down = _averages(x, size=x.shape[-2], cells=rows)
    across = _averages(x, size=x.shape[-1], cells=columns)
    return down @ x @ across.t()


def _averages(like: Tensor, *, size: int, cells: int) -> Float[Tensor, "cells size"]:
    """Row i averages the values from floor(i size / cells) up to ceil((i + 1) size / cells)."""
    cell = torch.arange(cells, device=like.device)[:, None]
    place = torch.arange(size, device=like.device)[None, :]
    inside = (place >= cell * size // cells) & (place < ((cell + 1) * size + cells - 1) // cells)
    inside = inside.to(like.dtype)
    return inside / inside.sum(dim=1, keepdim=True)

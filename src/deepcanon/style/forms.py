"""Ways to compute what a transform network computes that inference engines may be faster at.

Training wants few, ordinary operations; an engine on a CPU wants few passes over large maps and
full vector registers. Every form here is a function of the weights as they are trained: kernels
are constant linear maps of the trained ones, which engines compute once, when they load the file.
All forms of one operation give equal results, up to rounding (tests/unit/style/test_forms.py);
which one is the fastest depends on the engine and the machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from deepcanon.style.norms import EPS

Map = Float[Tensor, "b c h w"]
Vector = Float[Tensor, "b c 1 1"]


@dataclass(frozen=True, kw_only=True)
class Forms:
    """One form of each operation of which there are several."""

    enlarge: Callable[[Map, nn.Conv2d], Map]
    leave: Callable[[Map, nn.Conv2d], Map]


def cut(x: Map, first: int = 0, *, height: int, width: int) -> Map:
    """``height`` x ``width`` from row and column ``first`` on: a padding of less than nothing.

    As two slices, which exporters make of indices, it would be two passes over the map.
    """
    right, below = width + first - x.shape[3], height + first - x.shape[2]
    return functional.pad(x, (-first, right, -first, below))


# --- nearest neighbours twice as large, one reflected pixel around, 3x3 convolution --------------
#
# One pixel reflected around the enlarged map is one pixel repeated around the small map. Seen from
# there, along one axis with the kernel (a, b, c), output 2r is a·x[r-1] + (b+c)·x[r], and output
# 2r+1 is (a+b)·x[r] + c·x[r+1]: four kernels of 2x2 on two axes.

_PHASES = ((1, 1, 0), (0, 0, 1)), ((1, 0, 0), (0, 1, 1))  # of 2r - 1 and of 2r, the two around r


def enlarged(x: Map, conv: nn.Conv2d) -> Map:
    """As in training: enlarge, pad, convolve."""
    x = functional.interpolate(x, scale_factor=2.0, mode="nearest")
    x = functional.pad(x, (1, 1, 1, 1), mode="reflect")
    return functional.conv2d(x, conv.weight, conv.bias)


def between(x: Map, conv: nn.Conv2d) -> Map:
    """2x2 small pixels give the four large ones in their midst: 4 products a pixel instead of 9.

    A transposed 4x4 convolution has as many and is 7 % faster, but ONNX Runtime takes half as much
    memory again for it, and longer for a first pass.
    """
    x = functional.pad(x, (1, 1, 1, 1), mode="replicate")
    x = functional.conv2d(x, _four_kernels(conv.weight), _four_times(conv.bias))
    x = functional.pixel_shuffle(x, 2)
    return cut(x, 1, height=x.shape[2] - 2, width=x.shape[3] - 2)


def _four_kernels(kernel: Float[Tensor, "d c 3 3"]) -> Float[Tensor, "d4 c 2 2"]:
    """Four kernels for every one, in the order of `pixel_shuffle`."""
    out, into = kernel.shape[:2]
    maps = [
        torch.kron(torch.tensor(below), torch.tensor(right))
        for below in _PHASES
        for right in _PHASES
    ]
    matrix = torch.cat(maps).float()  # [16, 9]
    kernels = (kernel.reshape(out, into, 9) @ matrix.T).reshape(out, into, 4, 4)
    return kernels.transpose(1, 2).reshape(4 * out, into, 2, 2)


def _four_times(bias: Tensor | None) -> Tensor:
    assert bias is not None
    return (bias[:, None] * torch.ones(4)).flatten()


# --- the last convolution: four reflected pixels around, 9x9, three channels ---------------------


def one_by_one(x: Map, conv: nn.Conv2d) -> Map:
    """As in training. Three channels leave most of a vector register empty."""
    x = functional.pad(x, (4, 4, 4, 4), mode="reflect")
    return functional.conv2d(x, conv.weight, conv.bias)


def four_at_once(x: Map, conv: nn.Conv2d) -> Map:
    """2x2 pixels at once, by 10x10 kernels with a stride of 2: twelve channels."""
    height, width = x.shape[-2:]
    x = functional.pad(x, (4, 5, 4, 5), mode="reflect")  # what the fifth adds is cut off again
    weight = conv.weight
    shifted = [
        functional.pad(weight, (right, 1 - right, below, 1 - below))
        for below in (0, 1)
        for right in (0, 1)
    ]
    kernel = torch.stack(shifted, dim=1).flatten(0, 1)  # [12, c, 10, 10]
    x = functional.conv2d(x, kernel, _four_times(conv.bias), stride=2)
    return cut(functional.pixel_shuffle(x, 2), height=height, width=width)


# --- instance norm with a scale and a shift of each picture --------------------------------------


def instance_norm(x: Map, scale: Vector, shift: Vector) -> Map:
    """As in training: one node of each engine's own, then a product and a sum."""
    return functional.instance_norm(x, eps=EPS) * scale + shift


PLAIN = Forms(enlarge=enlarged, leave=one_by_one)
# OpenVINO computes these in one layout, without a copy between (channels last, bf16 or f32).
SHIPPED = Forms(enlarge=between, leave=four_at_once)

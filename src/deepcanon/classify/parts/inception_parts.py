"""What Inception networks from v3 on are put together from: chains, branches, pools, the top.

The papers draw them so: a convolution marked ``V`` is `valid` (no padding), any other is `same`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from deepcanon.core.errors import BadInput
from deepcanon.nn.conv_norm import Size, conv_norm


class Step(NamedTuple):
    """A convolution with its norm and ReLU, before it is known what comes in."""

    kernel: Size
    out: int
    stride: int
    padding: Size


def same(kernel: Size, out: int) -> Step:
    """A convolution that keeps the map's size."""
    if isinstance(kernel, int):
        return Step(kernel, out, 1, kernel // 2)
    return Step(kernel, out, 1, (kernel[0] // 2, kernel[1] // 2))


def valid(kernel: Size, out: int, *, stride: int = 1) -> Step:
    """A convolution without padding: ``V`` in the figures."""
    return Step(kernel, out, stride, 0)


def chain(into: int, *steps: Step | nn.Module) -> nn.Sequential:
    """One after the other: convolutions, and what else is given, which must keep the channels."""
    layers: list[nn.Module] = []
    for step in steps:
        if isinstance(step, nn.Module):
            layers.append(step)
            continue
        layers.append(
            conv_norm(into, step.out, kernel=step.kernel, stride=step.stride, padding=step.padding)
        )
        into = step.out
    return nn.Sequential(*layers)


class Branches(nn.Module):
    """Several ways through one map, their results side by side: "filter concat"."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        """Each branch sees all of ``x``."""
        return torch.cat([branch(x) for branch in self.branches], dim=1)


def shrink() -> nn.MaxPool2d:
    """The max pool 3x3, stride 2, ``V``, that stands beside convolutions of stride 2."""
    return nn.MaxPool2d(3, stride=2)


def smooth() -> nn.AvgPool2d:
    """The average pool 3x3 that keeps the size. As in TensorFlow, the border is left out of it."""
    return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)


def top(into: int, classes: int, *, dropout: float) -> nn.Sequential:
    """The end: [b, into, h, w] -> mean over the map, dropout, class scores [b, classes]."""
    return nn.Sequential(
        OrderedDict(
            pool=nn.AdaptiveAvgPool2d(1),  # 8x8 for pictures of 299x299
            flatten=nn.Flatten(),
            dropout=nn.Dropout(dropout),
            fc=nn.Linear(into, classes),
        )
    )


def check_settings(*, blocks: tuple[int, ...], papers: str, classes: int, dropout: float) -> None:
    """What Inception-v4 and its residual kin ask of a config. ``papers``: the paper's blocks.

    Raises BadInput that names the setting.
    """
    if len(blocks) != 3 or min(blocks) < 1:
        raise BadInput(
            f"blocks is {list(blocks)}",
            hint=f"it needs three numbers from 1 up, for 35x35, 17x17 and 8x8; the paper's are "
            f"{papers}",
        )
    if classes < 1:
        raise BadInput(
            f"num_classes is {classes}", hint="it must be 1 or more; the paper's is 1000"
        )
    if not 0 <= dropout < 1:
        raise BadInput(
            f"dropout is {dropout}", hint="it must be at least 0 and under 1; the paper's is 0.2"
        )


# --- starting weights ----------------------------------------------------------------------------


def reset_norms(net: nn.Module) -> None:
    """Every batch normalisation as it starts: scale 1, shift 0, no statistics yet."""
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_parameters()


# --- weights from elsewhere ----------------------------------------------------------------------

NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def conv_norm_keys(places: Mapping[str, str]) -> dict[str, str | None]:
    """From where convolutions with their norm stand (theirs -> ours) to the keys of their tensors.

    torchvision and timm call the norm ``bn``.
    """
    keys: dict[str, str | None] = {}
    for theirs, ours in places.items():
        keys[f"{theirs}.conv.weight"] = f"{ours}.conv.weight"
        keys |= {f"{theirs}.bn.{part}": f"{ours}.norm.{part}" for part in NORM}
    return keys


def plain_keys(places: Mapping[str, str]) -> dict[str, str | None]:
    """The same for layers with a weight and a bias: FC layers, convolutions without a norm."""
    return {
        f"{theirs}.{part}": f"{ours}.{part}"
        for theirs, ours in places.items()
        for part in ("weight", "bias")
    }

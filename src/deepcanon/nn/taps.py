"""Named activations of a plain stack of convolutions: VGG's conv1_1, relu3_2, pool5, ..."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from deepcanon.core.errors import BadInput
from deepcanon.nn.lrn import LocalResponseNorm


class Pooling(StrEnum):
    """What stands between the stages. Gatys et al. 2016 (§2) prefer the average."""

    MAX = "max"
    AVERAGE = "average"


def tap_names(features: nn.Sequential) -> list[str]:
    """The name of each layer's output, in order: conv1_1, relu1_1, ..., pool1, conv2_1, ..."""
    names = []
    stage, number = 1, 0
    for layer in features:
        if isinstance(layer, nn.Conv2d):
            number += 1
            names.append(f"conv{stage}_{number}")
        elif isinstance(layer, nn.ReLU):
            names.append(f"relu{stage}_{number}")
        elif isinstance(layer, LocalResponseNorm):
            names.append(f"lrn{stage}_{number}")
        else:
            names.append(f"pool{stage}")
            stage, number = stage + 1, 0
    return names


def taps(
    features: nn.Sequential,
    x: Float[Tensor, "b 3 h w"],
    names: Iterable[str],
    *,
    pooling: Pooling = Pooling.MAX,
) -> dict[str, Float[Tensor, "b c h2 w2"]]:
    """Named activations of a convolution stack; nothing deeper than the deepest is computed.

    ``conv3_1`` is the convolution's output before its ReLU, ``relu3_1`` after, ``pool3`` the end
    of stage 3. ``Pooling.AVERAGE`` replaces the max pools, as Gatys et al. 2016 (§2) do.
    Raises BadInput for a name that is not there and for a picture that the pools use up.
    """
    wanted = set(names)
    known = tap_names(features)
    if unknown := sorted(wanted.difference(known)):
        raise BadInput(
            f"no activation is called {', '.join(map(repr, unknown))}",
            hint=f"the names are {', '.join(known)}",
        )
    if not wanted:
        return {}
    depth = max(known.index(name) for name in wanted) + 1
    pools = sum(name.startswith("pool") for name in known[:depth])
    check_size(x, smallest=2**pools)
    found: dict[str, Tensor] = {}
    for name, layer in zip(known[:depth], features, strict=False):
        if pooling == Pooling.AVERAGE and isinstance(layer, nn.MaxPool2d):
            x = functional.avg_pool2d(x, 2)
        else:
            x = layer(x)
        if name in wanted:
            found[name] = x
    return found


def check_size(x: Tensor, *, smallest: int) -> None:
    """Refuse pictures, [b, c, h, w], with a side under ``smallest``: BadInput that names it."""
    if torch.compiler.is_compiling():  # sizes are symbols while a network is exported
        return
    height, width = x.shape[-2:]
    if height < smallest or width < smallest:
        raise BadInput(
            f"a picture of {width}x{height} pixels is too small for this network",
            hint=f"the smallest it can take is {smallest}x{smallest}: enlarge the picture",
        )

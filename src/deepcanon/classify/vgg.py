"""VGG: very deep convolutional networks for large-scale image recognition.

K. Simonyan, A. Zisserman, ICLR 2015, https://arxiv.org/abs/1409.1556 (sections below are v6's).

*What was new*: depth from nothing but 3x3 convolutions. Two of them see 5x5 and three see 7x7,
with fewer weights and a ReLU between; with 16 to 19 weight layers the error falls steadily.

Table 1 of the paper (every convolution is followed by a ReLU, every stage by a 2x2/2 max pool;
``k`` x ``k`` convolution with ``n`` channels is written ``k-n``)::

    stage  A (11)     A-LRN (11)  B (13)    C (16)          D (16)          E (19)
    1      3-64       3-64 LRN    3-64 x2   3-64 x2         3-64 x2         3-64 x2
    2      3-128      3-128       3-128 x2  3-128 x2        3-128 x2        3-128 x2
    3      3-256 x2   3-256 x2    3-256 x2  3-256 x2 1-256  3-256 x3        3-256 x4
    4      3-512 x2   3-512 x2    3-512 x2  3-512 x2 1-512  3-512 x3        3-512 x4
    5      3-512 x2   3-512 x2    3-512 x2  3-512 x2 1-512  3-512 x3        3-512 x4
    FC     4096, dropout, 4096, dropout, 1000 (then softmax, which here belongs to the loss)

*Training* (§3.1, §3.2): crops of 224x224 from pictures whose shorter side is S, fixed at 256 or
384, or drawn anew for each picture from [256, 512] ("scale jittering", multi-scale training).
*Evaluation* (§3.2): the whole picture at shorter side Q, the FC layers turned into convolutions
and the map of class scores averaged; see `dense`. Multi-crop evaluation averages many crops.

*What differs from the paper.* ``paper``: pictures smaller than 224 are accepted down to 32 (the
last map is stretched to 7x7), which the paper does not have; `INIT_STD` below. ``torchvision``:
any size is averaged to 7x7 before the first FC layer, and He initialisation is used.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from math import isqrt
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from deepcanon.core.errors import BadInput
from deepcanon.nn.lrn import LocalResponseNorm

Pooling = Literal["max", "average"]
SMALLEST = 32  # five halvings leave one pixel

# §3.1 prints "zero mean and 10^-2 variance". Read as a variance (std 0.1) the logits of D start
# near 1e8; He et al. 2015 (arXiv:1502.01852, §2.2) read it as a standard deviation, and so do we.
INIT_STD = 0.01


class Conv(NamedTuple):
    """One convolution of Table 1: stride 1, padded to keep the size, then ReLU."""

    kernel: int
    channels: int


class Head(StrEnum):
    """How a last map that is not as large as in training reaches the FC layers."""

    DENSE = "dense"  # §3.2: FC layers slide over it, class scores are averaged
    ADAPTIVE = "adaptive"  # torchvision: the map is average-pooled to the training size


class Initialisation(StrEnum):
    """Where the weights start."""

    NORMAL = "normal"  # §3.1: normal(0, INIT_STD), zero bias
    HE = "he"  # torchvision: He normal, fan out, for convolutions; normal(0, 0.01) for FC


@dataclass(frozen=True, kw_only=True)
class Config:
    """A column of Table 1 and what surrounds it."""

    stages: tuple[tuple[Conv, ...], ...]  # Table 1
    normalised: bool = False  # Table 1: A-LRN alone has LRN, after its first convolution
    image_side: int = 224  # §2.1: side of the training crop, a multiple of 32
    hidden: int = 4096  # §2.1: width of the first two FC layers
    num_classes: int = 1000  # §2.1: ILSVRC
    dropout: float = 0.5  # §3.1
    head: Head = Head.DENSE  # §3.2
    initialisation: Initialisation = Initialisation.NORMAL  # §3.1


def _column(*repeats: tuple[int, ...]) -> tuple[tuple[Conv, ...], ...]:
    """The stages of Table 1 from their kernel sizes; the widths are the same in every column."""
    widths = (64, 128, 256, 512, 512)
    return tuple(
        tuple(Conv(kernel, width) for kernel in kernels)
        for kernels, width in zip(repeats, widths, strict=True)
    )


A = Config(stages=_column((3,), (3,), (3, 3), (3, 3), (3, 3)))
A_LRN = replace(A, normalised=True)
B = Config(stages=_column((3, 3), (3, 3), (3, 3), (3, 3), (3, 3)))
C = Config(stages=_column((3, 3), (3, 3), (3, 3, 1), (3, 3, 1), (3, 3, 1)))
D = Config(stages=_column((3, 3), (3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3)))
E = Config(stages=_column((3, 3), (3, 3), (3,) * 4, (3,) * 4, (3,) * 4))


def torchvision(config: Config) -> Config:
    """The same network as torchvision runs and initialises it."""
    return replace(config, head=Head.ADAPTIVE, initialisation=Initialisation.HE)


def _layers(config: Config) -> list[nn.Module]:
    layers: list[nn.Module] = []
    channels = 3
    for number, stage in enumerate(config.stages):
        for conv in stage:
            layers.append(nn.Conv2d(channels, conv.channels, conv.kernel, padding=conv.kernel // 2))
            layers.append(nn.ReLU())  # not in place: conv1_1 must stay what it was when tapped
            channels = conv.channels
        if config.normalised and number == 0:
            layers.append(LocalResponseNorm())
        layers.append(nn.MaxPool2d(2))
    return layers


def initialise(net: nn.Module, *, how: Initialisation) -> None:
    """Draw every weight of ``net`` anew from torch's global generator; biases become zero."""
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d) and how is Initialisation.HE:
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.normal_(layer.weight, std=INIT_STD)
        if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
            nn.init.zeros_(layer.bias)


def convolution_stack(config: Config) -> nn.Sequential:
    """The convolutions, ReLUs and pools alone, initialised: VGG without its 120 M FC weights.

    Layers stand as in torchvision, so ``state_dict`` keys are ``N.weight`` where the whole
    network's are ``features.N.weight``. `taps` names its activations.
    """
    device = torch.get_default_device()
    with torch.device("meta"):  # torch's own initialisation would only be overwritten
        stack = nn.Sequential(*_layers(config))
    stack.to_empty(device=device)
    initialise(stack, how=config.initialisation)
    return stack


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
    pooling: Pooling = "max",
) -> dict[str, Float[Tensor, "b c h2 w2"]]:
    """Named activations of a convolution stack; nothing deeper than the deepest is computed.

    ``conv3_1`` is the convolution's output before its ReLU, ``relu3_1`` after, ``pool3`` the end
    of stage 3. ``pooling="average"`` replaces the max pools, as Gatys et al. 2016 (§2) do.
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
    _check_size(x, smallest=2**pools)
    found: dict[str, Tensor] = {}
    for name, layer in zip(known[:depth], features, strict=False):
        if pooling == "average" and isinstance(layer, nn.MaxPool2d):
            x = functional.avg_pool2d(x, 2)
        else:
            x = layer(x)
        if name in wanted:
            found[name] = x
    return found


def _check_size(x: Tensor, *, smallest: int) -> None:
    height, width = x.shape[-2:]
    if min(height, width) < smallest:
        raise BadInput(
            f"a picture of {height}x{width} pixels (height x width) is too small for this network",
            hint=f"the smallest it can take is {smallest}x{smallest}: enlarge the picture",
        )


class VGG(nn.Module):
    """One column of Table 1. ``state_dict`` keys are torchvision's for A, B, D and E."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        if config.image_side < SMALLEST or config.image_side % SMALLEST:
            raise BadInput(
                f"image_side is {config.image_side}, which five poolings do not divide",
                hint="take a multiple of 32, at least 32; the paper's is 224",
            )
        self.config = config
        self.features = convolution_stack(config)
        self.map_side = config.image_side // 32  # 7
        features = config.stages[-1][-1].channels * self.map_side**2  # 512 * 7 * 7
        device = torch.get_default_device()
        with torch.device("meta"):
            self.classifier = nn.Sequential(
                nn.Linear(features, config.hidden),
                nn.ReLU(),
                nn.Dropout(config.dropout),
                nn.Linear(config.hidden, config.hidden),
                nn.ReLU(),
                nn.Dropout(config.dropout),
                nn.Linear(config.hidden, config.num_classes),
            )
        self.classifier.to_empty(device=device)
        initialise(self.classifier, how=config.initialisation)

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b classes"]:
        """Pictures, preprocessed as the weights want them -> class scores (before softmax).

        Raises BadInput under 32x32 pixels.
        """
        _check_size(x, smallest=SMALLEST)
        x = self.features(x)  # [b, 512, h/32, w/32]
        side = self.map_side
        smaller = x.shape[-2] < side or x.shape[-1] < side
        if self.config.head is Head.ADAPTIVE or smaller:
            x = functional.adaptive_avg_pool2d(x, (side, side))
        if x.shape[-2:] == (side, side):
            scores: Tensor = self.classifier(x.flatten(1))
            return scores
        return _slide(self.classifier, x).mean(dim=(2, 3))  # §3.2: sum-pooled scores

    def taps(
        self, x: Float[Tensor, "b 3 h w"], names: Iterable[str], *, pooling: Pooling = "max"
    ) -> dict[str, Float[Tensor, "b c h2 w2"]]:
        """Named activations of the convolutions; see the function `taps`."""
        return taps(self.features, x, names, pooling=pooling)


def _slide(
    classifier: nn.Sequential, x: Float[Tensor, "b c h w"]
) -> Float[Tensor, "b classes h2 w2"]:
    """The FC layers as convolutions: the first as large as its map, the others 1x1 (§3.2)."""
    for layer in classifier:
        if isinstance(layer, nn.Linear):
            kernel = isqrt(layer.in_features // x.shape[1])
            weight = layer.weight.view(layer.out_features, x.shape[1], kernel, kernel)
            x = functional.conv2d(x, weight, layer.bias)
        else:
            x = layer(x)
    return x

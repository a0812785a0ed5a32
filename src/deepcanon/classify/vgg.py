"""VGG: very deep convolutional networks for large-scale image recognition.

K. Simonyan, A. Zisserman, ICLR 2015, https://arxiv.org/abs/1409.1556 (sections below are v6's).

*What was new*: depth from nothing but 3x3 convolutions. Two see 5x5 and three see 7x7, with fewer
weights and a ReLU between; up to 19 weight layers the error falls.

Table 1 of the paper (every convolution is followed by a ReLU, every stage by a 2x2/2 max pool;
``k`` x ``k`` convolution with ``n`` channels is written ``k-n``)::

    stage  A (11)     A-LRN (11)  B (13)    C (16)          D (16)          E (19)
    1      3-64       3-64 LRN    3-64 x2   3-64 x2         3-64 x2         3-64 x2
    2      3-128      3-128       3-128 x2  3-128 x2        3-128 x2        3-128 x2
    3      3-256 x2   3-256 x2    3-256 x2  3-256 x2 1-256  3-256 x3        3-256 x4
    4      3-512 x2   3-512 x2    3-512 x2  3-512 x2 1-512  3-512 x3        3-512 x4
    5      3-512 x2   3-512 x2    3-512 x2  3-512 x2 1-512  3-512 x3        3-512 x4
    FC     4096, dropout, 4096, dropout, 1000 (then softmax, which here belongs to the loss)
    top-1  29.6       29.7        28.7      28.1            27.0            27.3
    top-5  10.4       10.5        9.9       9.4             8.8             9.0

The errors, in %, are those of table 3 for one scale of training and test, S = Q = 256.

*Training* (§3.1, §3.2): crops of 224x224 from pictures whose shorter side is S, fixed at 256 or
384, or drawn anew for each picture from [256, 512] ("scale jittering", multi-scale training).
*Evaluation* (§3.2): the whole picture at shorter side Q, FC layers turned into convolutions, the
map of class scores averaged: see `dense`. Multi-crop evaluation averages many: `Crops.FIFTY`.

*What differs from the paper.* ``paper``: the starting weights, see `INIT_STD`; pictures smaller
than 224, which the paper does not have, are accepted down to 32 (the last map is stretched to
7x7). ``torchvision``: He initialisation; every size is averaged to 7x7 before the FC layers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from math import isqrt
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from deepcanon.classify.weights.vgg import fill
from deepcanon.core.catalog import ModelCard, Variant, register
from deepcanon.core.errors import BadInput
from deepcanon.nn.any_size import AnySize
from deepcanon.nn.lrn import LocalResponseNorm
from deepcanon.nn.pooling import adaptive_average
from deepcanon.nn.preprocessing import Preprocessing
from deepcanon.nn.taps import Pooling, check_size
from deepcanon.nn.taps import tap_names as tap_names
from deepcanon.nn.taps import taps as taps
from deepcanon.nn.unfilled import unfilled

# §3.1 prints "zero mean and 10^-2 variance". Taken as a variance (std 0.1) the logits of D start
# near 1e8; He et al. 2015 (arXiv:1502.01852, §2.2) take it as the standard deviation, and so do we.
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
    lrn_stages: tuple[int, ...] = ()  # Table 1: stages that end in LRN; A-LRN: (1,)
    image_side: int = 224  # §2.1: side of the training crop, a multiple of 32
    hidden: int = 4096  # §2.1: width of the first two FC layers
    num_classes: int = 1000  # §2.1: ILSVRC
    dropout: float = 0.5  # §3.1
    head: Head = Head.DENSE  # §3.2
    initialisation: Initialisation = Initialisation.NORMAL  # §3.1

    def __post_init__(self) -> None:
        # A config that went through JSON holds plain pairs.
        stages = tuple(tuple(Conv(*conv) for conv in stage) for stage in self.stages)
        object.__setattr__(self, "stages", stages)
        if self.image_side < self.smallest or self.image_side % self.smallest:
            raise BadInput(
                f"image_side is {self.image_side}, which {len(stages)} poolings do not divide",
                hint=f"take a multiple of {self.smallest}; the paper's is 224",
            )
        if self.num_classes < 1 or self.hidden < 1:
            raise BadInput(
                f"num_classes is {self.num_classes} and hidden is {self.hidden}",
                hint="both must be 1 or more; the paper's are 1000 and 4096",
            )

    @property
    def smallest(self) -> int:
        """Side of the smallest picture of which the pools leave a pixel; 32 in the paper."""
        return int(2 ** len(self.stages))


def _column(*repeats: tuple[int, ...]) -> tuple[tuple[Conv, ...], ...]:
    """The stages of Table 1 from their kernel sizes; the widths are the same in every column."""
    widths = (64, 128, 256, 512, 512)
    return tuple(
        tuple(Conv(kernel, width) for kernel in kernels)
        for kernels, width in zip(repeats, widths, strict=True)
    )


A = Config(stages=_column((3,), (3,), (3, 3), (3, 3), (3, 3)))
A_LRN = replace(A, lrn_stages=(1,))
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
    for number, stage in enumerate(config.stages, start=1):
        for conv in stage:
            layers.append(nn.Conv2d(channels, conv.channels, conv.kernel, padding=conv.kernel // 2))
            layers.append(nn.ReLU())  # not in place: conv1_1 must stay what it was when tapped
            channels = conv.channels
        if number in config.lrn_stages:
            layers.append(LocalResponseNorm())
        layers.append(nn.MaxPool2d(2))
    return layers


def initialise(net: nn.Module, *, how: Initialisation) -> None:
    """Draw every weight of ``net`` anew from torch's generator; biases become zero."""
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
    stack = nn.Sequential()
    with unfilled(stack):
        stack.extend(_layers(config))
    initialise(stack, how=config.initialisation)
    return stack


class VGG(nn.Module):
    """One column of Table 1. ``state_dict`` keys are torchvision's for A, B, D and E."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.preprocessing: Preprocessing | None = None  # what the loaded weights expect
        self.features = convolution_stack(config)
        self.map_side = side = config.image_side // config.smallest  # 7
        self.classifier = nn.Sequential()
        with unfilled(self.classifier):
            self.classifier.extend(
                [
                    nn.Linear(config.stages[-1][-1].channels * side**2, config.hidden),  # 512 7 7
                    nn.ReLU(),
                    nn.Dropout(config.dropout),
                    nn.Linear(config.hidden, config.hidden),
                    nn.ReLU(),
                    nn.Dropout(config.dropout),
                    nn.Linear(config.hidden, config.num_classes),
                ]
            )
        initialise(self.classifier, how=config.initialisation)

    def forward(self, pictures: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b classes"]:
        """Pictures, preprocessed as the weights want them -> class scores (before softmax).

        Raises BadInput for pictures under 32x32 pixels.
        """
        if torch.compiler.is_compiling():  # sizes are symbols while a network is exported
            return self._of_any_size(pictures)
        check_size(pictures, smallest=self.config.smallest)
        x = self.features(pictures)  # [b, 512, h/32, w/32]
        side = self.map_side
        height, width = x.shape[-2:]
        if self.config.head is Head.ADAPTIVE:
            x = functional.adaptive_avg_pool2d(x, (side, side))
        elif height < side or width < side:
            x = functional.adaptive_avg_pool2d(x, (max(height, side), max(width, side)))
        if x.shape[-2:] == (side, side):
            scores: Tensor = self.classifier(x.flatten(1))
        else:
            scores = _slide(self.classifier, x).mean(dim=(2, 3))  # §3.2
        return scores

    def _of_any_size(self, pictures: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b classes"]:
        """What `forward` computes, without a branch on the picture's size."""
        x = self.features(pictures)
        rows = columns = self.map_side
        if self.config.head is Head.DENSE:
            rows, columns = torch.sym_max(x.shape[2], rows), torch.sym_max(x.shape[3], columns)
        x = adaptive_average(x, rows=rows, columns=columns)
        return _slide(self.classifier, x).mean(dim=(2, 3))

    def taps(
        self,
        x: Float[Tensor, "b 3 h w"],
        names: Iterable[str],
        *,
        pooling: Pooling = Pooling.MAX,
    ) -> dict[str, Float[Tensor, "b c h2 w2"]]:
        """Named activations of the convolutions; see the function `taps`."""
        return taps(self.features, x, names, pooling=pooling)

    def exportable(self) -> AnySize:
        """The same network in the form that `deepcanon.engine.export` leaves sizes free in."""
        return AnySize(self).train(self.training)


def _slide(
    classifier: nn.Sequential, x: Float[Tensor, "b c h w"]
) -> Float[Tensor, "b classes h2 w2"]:
    """The FC layers as convolutions: the first as large as its map, the others 1x1 (§3.2)."""
    for layer in classifier:
        if isinstance(layer, nn.Linear):
            side = isqrt(layer.in_features // x.shape[1])
            x = functional.conv2d(x, layer.weight.view(-1, x.shape[1], side, side), layer.bias)
        else:
            x = layer(x)
    return x


class Dense(nn.Module):
    """VGG with its FC layers turned into convolutions (§3.2), for pictures from 224 up."""

    def __init__(self, net: VGG) -> None:
        super().__init__()
        self.features, self.classifier = net.features, net.classifier
        self.smallest = net.config.image_side

    def score_map(self, pictures: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b classes h2 w2"]:
        """Class scores of every 224x224 window, 32 pixels apart."""
        check_size(pictures, smallest=self.smallest)
        return _slide(self.classifier, self.features(pictures))

    def forward(self, pictures: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b classes"]:
        """The mean of the score map. Raises BadInput for pictures under the training size."""
        return self.score_map(pictures).mean(dim=(2, 3))


def dense(net: VGG) -> Dense:
    """``net`` made fully convolutional; both have the same weights and share them."""
    return Dense(net).train(net.training)


def load(model: VGG | nn.Sequential, source: str | Path) -> Preprocessing | None:
    """Fill a VGG, or a convolution stack alone, from "imagenet" or from a weights file.

    Returns how pictures must be prepared (a VGG keeps it as ``preprocessing``), None when the file
    does not say. A ``.pth`` is taken for torchvision's, a ``.h5`` for Keras', which is Caffe's.
    Raises BadInput for a file that does not fit, Unavailable when "imagenet" cannot be fetched.
    """
    features = model.features if isinstance(model, VGG) else model
    how = fill(model, features=features, source=source)
    if isinstance(model, VGG):
        model.preprocessing = how
    return how


_PAPER = "starts from normal(0, 0.01), §3.1 prints a variance of 0.01; takes pictures under 224"
_TORCHVISION = "He initialisation; every size is averaged to 7x7 before the FC layers"

_NEW = {
    "A": "Depth from 3x3 convolutions alone; 11 layers, from which the deeper ones start (A).",
    "A-LRN": "VGG's 11 layers with local response normalisation, which did not help (A-LRN).",
    "B": "Depth from 3x3 convolutions alone, two in a row where one 5x5 was; 13 layers (B).",
    "C": "VGG's 13 layers and three 1x1 ones: more non-linearity over the same area (C).",
    "D": "Depth from 3x3 convolutions alone, three in a row where one 7x7 was; 16 layers (D).",
    "E": "Sixteen 3x3 convolutions and three layers more, where the error stopped falling (E).",
}


def _card(name: str, *, new: str, variants: dict[str, Variant]) -> ModelCard:
    return ModelCard(
        name=name,
        domain="classify",
        rows=("C10",),
        title="Very Deep Convolutional Networks for Large-Scale Image Recognition",
        authors="Karen Simonyan, Andrew Zisserman",
        venue="ICLR",
        year=2015,
        link="https://arxiv.org/abs/1409.1556",
        new=new,
        variants=variants,
        input_size=(3, 224, 224),
    )


def _paper(config: Config) -> dict[str, Variant]:
    return {"paper": Variant(config=config, differs=_PAPER)}


def _both(config: Config) -> dict[str, Variant]:
    configs = {"paper": (config, _PAPER), "torchvision": (torchvision(config), _TORCHVISION)}
    return {
        name: Variant(config=each, differs=differs, weights=("imagenet",))
        for name, (each, differs) in configs.items()
    }


@register(_card("vgg11", variants=_both(A), new=_NEW["A"]), load=load)
def vgg11(config: Config) -> VGG:
    """Configuration A."""
    return VGG(config)


@register(_card("vgg11_lrn", variants=_paper(A_LRN), new=_NEW["A-LRN"]), load=load)
def vgg11_lrn(config: Config) -> VGG:
    """Configuration A-LRN."""
    return VGG(config)


@register(_card("vgg13", variants=_both(B), new=_NEW["B"]), load=load)
def vgg13(config: Config) -> VGG:
    """Configuration B."""
    return VGG(config)


@register(_card("vgg16_c", variants=_paper(C), new=_NEW["C"]), load=load)
def vgg16_c(config: Config) -> VGG:
    """Configuration C."""
    return VGG(config)


@register(_card("vgg16", variants=_both(D), new=_NEW["D"]), load=load)
def vgg16(config: Config) -> VGG:
    """Configuration D, the one most people mean by VGG."""
    return VGG(config)


@register(_card("vgg19", variants=_both(E), new=_NEW["E"]), load=load)
def vgg19(config: Config) -> VGG:
    """Configuration E."""
    return VGG(config)

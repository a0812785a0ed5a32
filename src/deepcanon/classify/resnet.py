"""ResNet: deep residual learning for image recognition, the networks for ImageNet.

K. He, X. Zhang, S. Ren, J. Sun, CVPR 2016, https://arxiv.org/abs/1512.03385 (sections below are
v1's). The networks for CIFAR-10 (§4.2) are in `deepcanon.classify.resnet_cifar`.

*What was new*: layers learn what to add to their input, y = F(x) + x. Plain networks get worse in
*training* error when they get deeper (degradation); with shortcuts, 152 layers are better than 34.

Table 1 of the paper (a convolution is followed by batch norm and, but for the last of a block, by
ReLU; a block ends with the addition and a ReLU; the first block of conv3_x, 4_x and 5_x has stride
2; ``k-n`` is a k x k convolution with n channels)::

    layer    output  18              34              50            101            152
    conv1    112     7-64, stride 2
    conv2_x  56      3x3 max pool, stride 2
                     [3-64 3-64]x2   [..]x3          [1-64 3-64 1-256]x3   x3     x3
    conv3_x  28      [3-128 3-128]x2 [..]x4          [1-128 3-128 1-512]x4 x4     x8
    conv4_x  14      [3-256 3-256]x2 [..]x6          [1-256 3-256 1-1024]x6 x23   x36
    conv5_x  7       [3-512 3-512]x2 [..]x3          [1-512 3-512 1-2048]x3 x3    x3
             1       average pool, 1000-d FC (then softmax, which here belongs to the loss)
    multiply-adds    1.8e9           3.6e9           3.8e9         7.6e9          11.3e9

Ours are 1.80, 3.64, 3.86, 7.57 and 11.28 e9. All but ResNet-50's round to the table's; its 3.86 is
cut off to 3.8 there, as its neighbour's 7.57 is not.

*Shortcuts* where a block changes the shape (§3.3, §4.1): **A** takes every second pixel and fills
up with zero channels, no parameters; **B** projects by a 1x1 convolution; **C** projects in every
block. Top-1 error (Tables 2 to 4, 10 crops): plain-18 27.94, plain-34 28.54; ResNet-18 A 27.88;
ResNet-34 A 25.03, B 24.52, C 24.19; ResNet-50 22.85, 101 21.75, 152 21.43 (all three B). Six of
these networks together have 3.57 % top-5 on the test set (Table 5).

*Training* (§3.4): crops of 224 from a shorter side drawn from [256, 480], per-pixel mean taken
away, colour augmentation, SGD with momentum 0.9, batch 256, rate 0.1 divided by 10 on plateaus,
weight decay 1e-4, no dropout.

*What differs from the paper.* ``paper``: the paper does not say where a bottleneck strides nor how
the max pool is padded. The stride is on the first 1x1, as in the authors' Caffe models; the pool is
padded by 1 on every side, where Caffe's last window runs over the far edge. Batch norm keeps
running averages (the authors took means over a large batch after training). ResNet-18 and 34 have
option A, as in Table 2; Tables 3 and 4 add ``shortcut_b`` and ``shortcut_c``. ``v1_5``: the stride
is on the 3x3 (as in fb.resnet.torch), which costs ResNet-50 6 % more multiply-adds.
``torchvision``: option B, stride on the 3x3, He initialisation by fan out and torch's own for the
FC layer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import Path

from jaxtyping import Float
from torch import Tensor, nn

from deepcanon.classify.parts.resnet_blocks import (
    Basic,
    Bottleneck,
    Initialisation,
    MakeBlock,
    Shortcut,
    Stride,
    initialise,
    stage,
)
from deepcanon.classify.weights.official import Official, load_weights
from deepcanon.classify.weights.resnet import IMAGENET
from deepcanon.core.catalog import ModelCard, Variant, register
from deepcanon.core.errors import BadInput
from deepcanon.nn import preprocessing
from deepcanon.nn.any_size import AnySize
from deepcanon.nn.preprocessing import Preprocessing
from deepcanon.nn.taps import check_size
from deepcanon.nn.unfilled import unfilled


class Block(StrEnum):
    """Figure 5: what a block is made of."""

    BASIC = "basic"  # 3x3, 3x3
    BOTTLENECK = "bottleneck"  # 1x1, 3x3, 1x1 to four times the channels


@dataclass(frozen=True, kw_only=True)
class Config:
    """A column of Table 1 and what surrounds it."""

    block: Block = Block.BASIC  # Table 1
    blocks: tuple[int, int, int, int]  # Table 1: in conv2_x .. conv5_x
    shortcut: Shortcut = Shortcut.A  # §4.1, first comparison
    stride: Stride = Stride.PAPER  # authors' Caffe models
    width: int = 64  # Table 1: channels of conv1 and conv2_x, twice as many in each later stage
    num_classes: int = 1000  # §4.1: ILSVRC
    initialisation: Initialisation = Initialisation.HE  # §3.4

    def __post_init__(self) -> None:
        # A config that went through JSON holds a plain list.
        object.__setattr__(self, "blocks", tuple(self.blocks))
        if len(self.blocks) != 4 or min(self.blocks) < 1:
            raise BadInput(
                f"blocks is {list(self.blocks)}",
                hint="give four numbers, each 1 or more; ResNet-50's are 3, 4, 6, 3",
            )
        if self.num_classes < 1 or self.width < 1:
            raise BadInput(
                f"num_classes is {self.num_classes} and width is {self.width}",
                hint="both must be 1 or more; the paper's are 1000 and 64",
            )

    @property
    def smallest(self) -> int:
        """Side of the smallest picture: every stride rounds up, so that one pixel is enough."""
        return 1


PLAIN18 = Config(blocks=(2, 2, 2, 2), shortcut=Shortcut.NONE)
PLAIN34 = Config(blocks=(3, 4, 6, 3), shortcut=Shortcut.NONE)
RESNET18 = Config(blocks=(2, 2, 2, 2))
RESNET34 = Config(blocks=(3, 4, 6, 3))
RESNET50 = Config(block=Block.BOTTLENECK, blocks=(3, 4, 6, 3), shortcut=Shortcut.B)
RESNET101 = replace(RESNET50, blocks=(3, 4, 23, 3))
RESNET152 = replace(RESNET50, blocks=(3, 8, 36, 3))


def torchvision(config: Config) -> Config:
    """The same network as torchvision runs and initialises it."""
    how = Initialisation.TORCHVISION
    return replace(config, shortcut=Shortcut.B, stride=Stride.V1_5, initialisation=how)


TORCHVISION = {
    "resnet18": torchvision(RESNET18),
    "resnet34": torchvision(RESNET34),
    "resnet50": torchvision(RESNET50),
    "resnet101": torchvision(RESNET101),
    "resnet152": torchvision(RESNET152),
}


def _maker(config: Config) -> tuple[MakeBlock, int]:
    """How to build a block, and by how much its last layer is wider than its first."""
    if config.block is Block.BASIC:
        return partial(Basic, shortcut=config.shortcut), 1
    make = partial(Bottleneck, shortcut=config.shortcut, placement=config.stride)
    return make, 4


class ResNet(nn.Module):
    """A column of Table 1. ``state_dict`` keys are torchvision's where the layers are."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.preprocessing: Preprocessing | None = None  # what the loaded weights expect
        width, (make, times) = config.width, _maker(config)
        with unfilled(self):
            self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
            self.bn1 = nn.BatchNorm2d(width)
            self.relu = nn.ReLU(inplace=True)
            self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
            stages, into = [], width
            for number, blocks in enumerate(config.blocks):
                inner, stride = width * 2**number, 1 if number == 0 else 2
                out = inner * times
                stages.append(
                    stage(make, into=into, width=inner, out=out, blocks=blocks, stride=stride)
                )
                into = out
            self.layer1, self.layer2, self.layer3, self.layer4 = stages  # conv2_x .. conv5_x
            self.fc = nn.Linear(into, config.num_classes)
        initialise(self, how=config.initialisation)

    def forward(self, pictures: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b classes"]:
        """Pictures, preprocessed as the weights want them -> class scores (before softmax).

        Raises BadInput for pictures without a pixel.
        """
        check_size(pictures, smallest=self.config.smallest)
        x = self.maxpool(self.relu(self.bn1(self.conv1(pictures))))  # [b, 64, h/4, w/4]
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))  # [b, 512 or 2048, h/32, w/32]
        scores: Tensor = self.fc(x.mean(dim=(2, 3)))
        return scores

    def exportable(self) -> AnySize:
        """The same network in the form that `deepcanon.engine.export` leaves sizes free in."""
        return AnySize(self).train(self.training)


def load(model: ResNet, source: str | Path) -> Preprocessing | None:
    """Fill a ResNet from "imagenet" or from a weights file; sets its ``preprocessing``.

    A ``.pth`` is read by torchvision's keys, which are ours. It may fit into a network that is not
    torchvision's (strides show in no key), but nobody knows how pictures were prepared: then None.

    Raises BadInput for a file that does not fit and for "imagenet" where no published weights
    belong to the network, Unavailable when "imagenet" cannot be fetched.
    """
    config = model.config
    strides_alike = config.block is Block.BASIC or config.stride is Stride.V1_5
    as_torchvision = config.shortcut is Shortcut.B and strides_alike
    model.preprocessing = load_weights(
        model,
        source,
        official=_official(config) if str(source) == "imagenet" else None,
        preprocessing=preprocessing.TORCHVISION if as_torchvision else None,
    )
    return model.preprocessing


def _official(config: Config) -> Official:
    for name, theirs in TORCHVISION.items():
        # Neither changes what a trained network computes; nor does a stride there is none of.
        like = replace(config, num_classes=theirs.num_classes, initialisation=theirs.initialisation)
        if config.block is Block.BASIC:
            like = replace(like, stride=theirs.stride)
        if like == theirs:
            return IMAGENET[name]
    raise BadInput(
        "there are no published ImageNet weights for this network",
        hint=f"there are some for {', '.join(IMAGENET)}, each with variant='torchvision'",
    )


_COMMON = "max pool padded by 1 on every side, batch norm keeps running averages"
_PAPER = f"{_COMMON}; the paper leaves the first open"
_BASIC = {
    "paper": f"{_PAPER}; shortcuts are option A, as in Table 2",
    "shortcut_b": f"{_PAPER}; shortcuts are option B: projections where the shape changes",
    "shortcut_c": f"{_PAPER}; shortcuts are option C: projections in every block",
    "torchvision": f"{_COMMON}; option B, He initialisation by fan out, torch's own for FC",
}
_BOTTLENECK = {
    "paper": f"{_PAPER}, and that the stride is on the first 1x1, as in the authors' models",
    "v1_5": f"{_COMMON}; the stride is on the 3x3",
    "torchvision": f"{_COMMON}; stride on the 3x3, initialisation by fan out, torch's own for FC",
}


# torchvision's files hold option B, and the stride on the 3x3; both names of that are here.
_PUBLISHED = ("shortcut_b", "v1_5", "torchvision")
_NEW = {
    "plain18": "The shallower of two plain networks, better than the deeper one: degradation.",
    "plain34": "16 layers more than plain18 and a higher error, in training too: degradation.",
    "resnet18": "Blocks learn what to add to their input; it converges faster than plain18.",
    "resnet34": "With shortcuts the deeper network is the better one.",
    "resnet50": "Bottlenecks: 1x1 convolutions narrow and widen around each 3x3.",
    "resnet101": "101 layers of bottlenecks, still better than 50.",
    "resnet152": "152 layers with fewer multiply-adds than VGG-19; won ILSVRC 2015 in an ensemble.",
}


def _variants(configs: dict[str, Config], differs: dict[str, str]) -> dict[str, Variant]:
    return {
        name: Variant(
            config=each,
            differs=differs[name],
            weights=("imagenet",) if name in _PUBLISHED else (),
        )
        for name, each in configs.items()
    }


def _basic(config: Config) -> dict[str, Variant]:
    configs = {
        "paper": config,
        "shortcut_b": replace(config, shortcut=Shortcut.B),
        "shortcut_c": replace(config, shortcut=Shortcut.C),
        "torchvision": torchvision(config),
    }
    return _variants(configs, _BASIC)


def _deep(config: Config) -> dict[str, Variant]:
    configs = {
        "paper": config,
        "v1_5": replace(config, stride=Stride.V1_5),
        "torchvision": torchvision(config),
    }
    return _variants(configs, _BOTTLENECK)


def _plain(config: Config) -> dict[str, Variant]:
    return {"paper": Variant(config=config, differs=_PAPER)}


def _card(name: str, *, new: str, variants: dict[str, Variant]) -> ModelCard:
    return ModelCard(
        name=name,
        domain="classify",
        rows=("C16",),
        title="Deep Residual Learning for Image Recognition",
        authors="Kaiming He, Xiangyu Zhang, Shaoqing Ren, Jian Sun",
        venue="CVPR",
        year=2016,
        link="https://arxiv.org/abs/1512.03385",
        new=new,
        variants=variants,
        input_size=(3, 224, 224),
    )


@register(_card("plain18", variants=_plain(PLAIN18), new=_NEW["plain18"]), load=load)
@register(_card("plain34", variants=_plain(PLAIN34), new=_NEW["plain34"]), load=load)
@register(_card("resnet18", variants=_basic(RESNET18), new=_NEW["resnet18"]), load=load)
@register(_card("resnet34", variants=_basic(RESNET34), new=_NEW["resnet34"]), load=load)
@register(_card("resnet50", variants=_deep(RESNET50), new=_NEW["resnet50"]), load=load)
@register(_card("resnet101", variants=_deep(RESNET101), new=_NEW["resnet101"]), load=load)
@register(_card("resnet152", variants=_deep(RESNET152), new=_NEW["resnet152"]), load=load)
def resnet(config: Config) -> ResNet:
    """Any column of Table 1, and the plain networks beside them."""
    return ResNet(config)

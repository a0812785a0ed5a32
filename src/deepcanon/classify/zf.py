"""ZF-net: visualizing and understanding convolutional networks.

M. D. Zeiler, R. Fergus, ECCV 2014, https://arxiv.org/abs/1311.2901 (sections below are v3's).

*What was new*: a deconvolutional network projects what a layer has found back into the picture.
Seen so, AlexNet's first layer mixed high and low frequencies with few in between, and its second
showed aliasing from the stride of 4; 7x7 windows with stride 2 (§4.1) cure both. Networks of the
R-CNN family were built on it: conv5 has 256 channels and a stride of 16.

Figure 3 of the paper (every layer but the last is followed by a ReLU)::

    layer  window            output
    conv1  7x7, stride 2     110x110x96
    pool1  3x3, stride 2     55x55x96       then contrast normalisation
    conv2  5x5, stride 2     26x26x256
    pool2  3x3, stride 2     13x13x256      then contrast normalisation
    conv3  3x3               13x13x384
    conv4  3x3               13x13x384
    conv5  3x3               13x13x256
    pool5  3x3, stride 2     6x6x256 = 9216
    fc6    dropout           4096
    fc7    dropout           4096
    fc8    (then softmax, which here belongs to the loss)   C classes

*What the figure leaves open.* Sides as printed fix the padding: 224 gives 110 with one zero on
each side of conv1, (224 + 2 - 7) / 2 + 1 = 110.5; 110 gives 55 and 26 gives 13 only if the pools
see one row beyond (one zero around, as in the R-CNN authors' Caffe form of it); 55 gives 26 with
none in conv2, and 13 gives 6 with none in pool5.

*Training* (§3): ten crops of 224 (corners, centre, their mirror images) of pictures at 256, SGD
with momentum 0.9, batches of 128, learning rate 0.01, lowered by hand; filters whose RMS exceeds
0.1 are shrunk to it (`limit_filters`). Reported errors (table 2, ILSVRC 2012 validation): 38.4 %
top-1, 16.5 % top-5; with 512, 1024 and 512 maps in conv3 to conv5 (`WIDE`) 37.5 % and 16.0 %.

*What differs from the paper.* §3 starts "all weights" at 0.01: equal weights would stay equal, so
they are drawn from normal(0, 0.01), biases are 0. "Contrast normalisation across feature maps" has
no constants there: AlexNet's response normalisation is taken. Pictures of other sizes are averaged
to the 6x6 map that fc6 reads. (The R-CNN authors' form pads conv1 by 3 and conv2 by 2, and
normalises within channels, before the pools.)
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from deepcanon.classify.weights.official import load_weights
from deepcanon.core.catalog import ModelCard, Variant, register
from deepcanon.core.errors import BadInput
from deepcanon.nn.any_size import AnySize
from deepcanon.nn.convolution import Window, side_after, smallest_side
from deepcanon.nn.lrn import LocalResponseNorm
from deepcanon.nn.pooling import AdaptiveAverage
from deepcanon.nn.preprocessing import Preprocessing
from deepcanon.nn.taps import check_size
from deepcanon.nn.unfilled import unfilled

# Figure 3, with the padding that its sides need.
CONVOLUTIONS = (
    Window(7, stride=2, padding=1),
    Window(5, stride=2),
    Window(3, padding=1),
    Window(3, padding=1),
    Window(3, padding=1),
)
POOLS = {1: Window(3, 2, 1), 2: Window(3, 2, 1), 5: Window(3, 2)}  # behind conv1, conv2 and conv5
# Convolutions and pools in the order in which a picture meets them.
_WINDOWS = tuple(
    window
    for number, conv in enumerate(CONVOLUTIONS, start=1)
    for window in ([conv, POOLS[number]] if number in POOLS else [conv])
)
NORM_AFTER = (1, 2)  # figure 3: behind the first two pools
INIT_STD = 0.01  # §3 (see above)
RADIUS = 0.1  # §3: the most that the RMS of a filter may be


@dataclass(frozen=True, kw_only=True)
class Config:
    """The widths of figure 3."""

    channels: tuple[int, ...] = (96, 256, 384, 384, 256)  # figure 3
    dropout: float = 0.5  # §3: in fc6 and fc7
    image_side: int = 224  # §3: side of the training crop
    hidden: int = 4096  # figure 3: width of fc6 and fc7
    num_classes: int = 1000  # §3: ILSVRC 2012

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(self.channels))  # JSON has lists
        if len(self.channels) != len(CONVOLUTIONS) or min(self.channels) < 1:
            raise BadInput(
                f"channels is {list(self.channels)}",
                hint="give five widths of 1 or more; the paper's are 96, 256, 384, 384, 256",
            )
        if self.image_side < self.smallest:
            raise BadInput(
                f"image_side is {self.image_side}, of which the layers leave nothing",
                hint=f"take {self.smallest} or more; the paper's is 224",
            )
        if self.num_classes < 1 or self.hidden < 1:
            raise BadInput(
                f"num_classes is {self.num_classes} and hidden is {self.hidden}",
                hint="both must be 1 or more; the paper's are 1000 and 4096",
            )
        if not 0 <= self.dropout < 1:
            raise BadInput(f"dropout is {self.dropout}", hint="take a rate from 0 up to 1")

    @property
    def smallest(self) -> int:
        """Side of the smallest picture of which the layers leave a pixel: 53."""
        return smallest_side(_WINDOWS)

    @property
    def map_side(self) -> int:
        """Side of the map that fc6 reads; 6 in the paper."""
        return side_after(self.image_side, _WINDOWS)


PAPER = Config()
WIDE = replace(PAPER, channels=(96, 256, 512, 1024, 512))  # table 2, model (b)


def _features(config: Config) -> nn.Sequential:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    read = 3
    for number, (channels, conv) in enumerate(
        zip(config.channels, CONVOLUTIONS, strict=True), start=1
    ):
        layers[f"conv{number}"] = nn.Conv2d(
            read, channels, conv.kernel, stride=conv.stride, padding=conv.padding
        )
        layers[f"relu{number}"] = nn.ReLU()
        if number in POOLS:
            pool = POOLS[number]
            layers[f"pool{number}"] = nn.MaxPool2d(pool.kernel, pool.stride, pool.padding)
        if number in NORM_AFTER:
            layers[f"norm{number}"] = LocalResponseNorm()
        read = channels
    return nn.Sequential(layers)


def _classifier(config: Config) -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            fc6=nn.Linear(config.channels[-1] * config.map_side**2, config.hidden),  # 256 * 6 * 6
            relu6=nn.ReLU(),
            drop6=nn.Dropout(config.dropout),
            fc7=nn.Linear(config.hidden, config.hidden),
            relu7=nn.ReLU(),
            drop7=nn.Dropout(config.dropout),
            fc8=nn.Linear(config.hidden, config.num_classes),
        )
    )


class ZFNet(nn.Module):
    """Figure 3; layers carry the names of the table above."""

    preprocessing: Preprocessing | None = None  # what the loaded weights expect

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        with unfilled(self):
            self.features = _features(config)
            self.average = AdaptiveAverage(config.map_side)
            self.classifier = _classifier(config)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.normal_(layer.weight, std=INIT_STD)
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b classes"]:
        """Pictures, preprocessed as the weights want them -> class scores (before softmax).

        Raises BadInput for pictures under 53x53 pixels.
        """
        check_size(x, smallest=self.config.smallest)
        x = self.features(x)  # [b, 256, 6, 6] from 224x224
        x = self.average(x)
        scores: Tensor = self.classifier(x.flatten(1))
        return scores

    def constrain(self) -> None:
        """What training does after each step: `limit_filters`."""
        limit_filters(self)

    def exportable(self) -> AnySize:
        """The same network in the form that `deepcanon.engine.export` leaves sizes free in."""
        return AnySize(self).train(self.training)


@torch.no_grad()
def limit_filters(net: nn.Module, *, radius: float = RADIUS) -> None:
    """Shrink every filter whose RMS exceeds ``radius`` to it (§3).

    Without this a few filters of the first layer come to dominate. Biases stay as they are.
    """
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            rms = layer.weight.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
            layer.weight.mul_(radius / rms.clamp(min=radius))


def load(model: ZFNet, source: str | Path) -> Preprocessing | None:
    """Fill a ZF-net from a weights file of ours; there are no published weights that can be read.

    Returns how pictures must be prepared, None when the file does not say; the network keeps it
    as ``preprocessing``. Raises BadInput for a file that does not fit and for "imagenet".
    """
    model.preprocessing = load_weights(model, source, official=None)
    return model.preprocessing


_PAPER = (
    "starts from normal(0, 0.01) where §3 prints 0.01; contrast normalisation with AlexNet's "
    "constants; pictures of other sizes are averaged to the 6x6 map that fc6 reads"
)


@register(
    ModelCard(
        name="zfnet",
        domain="classify",
        rows=("C17",),
        title="Visualizing and Understanding Convolutional Networks",
        authors="Matthew D. Zeiler, Rob Fergus",
        venue="ECCV",
        year=2014,
        link="https://arxiv.org/abs/1311.2901",
        new="What layers look for, projected back into the picture; AlexNet with the smaller "
        "windows and strides that these pictures asked for.",
        variants={
            "paper": Variant(config=PAPER, differs=_PAPER),
            "wide": Variant(
                config=WIDE, differs=f"512, 1024 and 512 maps in conv3 to conv5 (table 2); {_PAPER}"
            ),
        },
        input_size=(3, 224, 224),
    ),
    load=load,
)
def zfnet(config: Config) -> ZFNet:
    """ZF-net of any variant."""
    return ZFNet(config)

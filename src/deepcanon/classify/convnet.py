"""The layer-pattern network: what most convolutional networks before 2014 look like.

After A. Karpathy et al., "Convolutional Neural Networks", notes of Stanford's course CS231n,
https://cs231n.github.io/convolutional-networks/ (layer patterns). The form goes back to LeNet-5:
Y. LeCun et al., "Gradient-Based Learning Applied to Document Recognition", Proc. IEEE 1998.

*What was new*: nothing. It is the pattern itself, as a network with three numbers to turn.

The pattern::

    input -> [[conv -> ReLU] x N -> pool?] x M -> [FC -> ReLU] x K -> FC

N = 3, M = 1, K = 2 is the chapter's example::

    input, conv, ReLU, conv, ReLU, conv, ReLU, pool, FC, ReLU, FC, ReLU, FC

With the widths that are ours (every layer but the last and the pool is followed by a ReLU)::

    layer    window         output      parameters
    conv1_1  3x3            32x32x32           896
    conv1_2  3x3            32x32x32         9,248
    conv1_3  3x3            32x32x32         9,248
    pool1    2x2, stride 2  16x16x32
    fc1                     512          4,194,816
    fc2                     512            262,656
    fc3                     1000           513,000
    in all                               4,989,864

N = 1, M = 2, K = 2 has LeNet-5's order; N = 2, M = 3, K = 2 is what the notes call a good start for
a larger network; M = 0, K = 1 is a plain network with one hidden layer, M = K = 0 softmax
regression. Convolutions keep the size, pools (2x2, stride 2) halve it, and each block has twice the
channels of the block before it, as in VGG.

*What differs from the source.* It leaves the numbers open: 3x3 windows, the widths and the training
size, CIFAR's 32x32, are ours. Pictures of other sizes are averaged to the map that the first FC
layer reads.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from jaxtyping import Float
from torch import Tensor, nn

from deepcanon.classify.weights.official import load_weights
from deepcanon.core.catalog import ModelCard, Variant, register
from deepcanon.core.errors import BadInput
from deepcanon.nn.any_size import AnySize
from deepcanon.nn.pooling import AdaptiveAverage, L2Pool
from deepcanon.nn.preprocessing import Preprocessing
from deepcanon.nn.taps import check_size
from deepcanon.nn.unfilled import unfilled


class Pool(StrEnum):
    """What ends a block: 2x2 windows with stride 2."""

    MAX = "max"
    AVERAGE = "average"
    L2 = "l2"
    NONE = "none"  # the question mark in "pool?"


@dataclass(frozen=True, kw_only=True)
class Config:
    """The pattern's three numbers, and the widths that it leaves open."""

    convolutions: int = 3  # N, the chapter's example; the notes: usually up to 3
    blocks: int = 1  # M, the chapter's example
    hidden_layers: int = 2  # K, the chapter's example; the notes: usually under 3
    pool: Pool = Pool.MAX  # notes: the most common
    kernel: int = 3  # notes, layer sizing: small filters, 3x3 or at most 5x5
    channels: int = 32  # ours: width of the first block, doubled in each that follows
    hidden: int = 512  # ours: width of the hidden FC layers
    image_side: int = 32  # notes, layer sizing: divisible by two many times; CIFAR's
    num_classes: int = 1000

    def __post_init__(self) -> None:
        if min(self.convolutions, self.blocks, self.hidden_layers) < 0:
            raise BadInput(
                f"convolutions is {self.convolutions}, blocks is {self.blocks} and "
                f"hidden_layers is {self.hidden_layers}",
                hint="N, M and K must be 0 or more; the chapter's example has 3, 1 and 2",
            )
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise BadInput(
                f"kernel is {self.kernel}", hint="take an odd number: only those keep the size"
            )
        if min(self.channels, self.hidden, self.num_classes) < 1:
            raise BadInput(
                f"channels is {self.channels}, hidden is {self.hidden} and "
                f"num_classes is {self.num_classes}",
                hint="all three must be 1 or more",
            )
        if self.image_side < self.smallest:
            raise BadInput(
                f"image_side is {self.image_side}, of which {self.blocks} pools leave nothing",
                hint=f"take {self.smallest} or more, or fewer blocks",
            )

    @property
    def smallest(self) -> int:
        """Side of the smallest picture of which the pools leave a pixel."""
        return 1 if self.pool is Pool.NONE else int(2**self.blocks)

    @property
    def map_side(self) -> int:
        """Side of the map that the first FC layer reads."""
        return self.image_side // self.smallest


PAPER = Config()


def _pool(how: Pool) -> nn.Module:
    if how is Pool.MAX:
        return nn.MaxPool2d(2)
    return nn.AvgPool2d(2) if how is Pool.AVERAGE else L2Pool(2)


def _features(config: Config) -> tuple[nn.Sequential, int]:
    """[[conv -> ReLU] x N -> pool?] x M, and how many channels come out of it."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    read = 3
    for block in range(1, config.blocks + 1):
        for number in range(1, config.convolutions + 1):
            channels = config.channels * 2 ** (block - 1)
            layers[f"conv{block}_{number}"] = nn.Conv2d(
                read, channels, config.kernel, padding=config.kernel // 2
            )
            layers[f"relu{block}_{number}"] = nn.ReLU()
            read = channels
        if config.pool is not Pool.NONE:
            layers[f"pool{block}"] = _pool(config.pool)
    return nn.Sequential(layers), read


def _classifier(config: Config, *, read: int) -> nn.Sequential:
    """[FC -> ReLU] x K -> FC."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for number in range(1, config.hidden_layers + 1):
        layers[f"fc{number}"] = nn.Linear(read, config.hidden)
        layers[f"relu{number}"] = nn.ReLU()
        read = config.hidden
    layers[f"fc{config.hidden_layers + 1}"] = nn.Linear(read, config.num_classes)
    return nn.Sequential(layers)


class ConvNet(nn.Module):
    """The pattern with N, M and K of its config."""

    preprocessing: Preprocessing | None = None  # what the loaded weights expect

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        with unfilled(self):
            self.features, channels = _features(config)
            self.average = AdaptiveAverage(config.map_side)
            self.classifier = _classifier(config, read=channels * config.map_side**2)
        # Notes, "Neural Networks Part 2": normal with variance 2 / n for n inputs, zero biases.
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b classes"]:
        """Pictures -> class scores (before softmax).

        Raises BadInput for pictures of which the pools would leave nothing.
        """
        check_size(x, smallest=self.config.smallest)
        x = self.average(self.features(x))
        scores: Tensor = self.classifier(x.flatten(1))
        return scores

    def exportable(self) -> AnySize:
        """The same network in the form that `deepcanon.engine.export` leaves sizes free in."""
        return AnySize(self).train(self.training)


def load(model: ConvNet, source: str | Path) -> Preprocessing | None:
    """Fill a pattern network from a weights file of ours; nobody has published any.

    Returns how pictures must be prepared, None when the file does not say; the network keeps it
    as ``preprocessing``. Raises BadInput for a file that does not fit and for "imagenet".
    """
    model.preprocessing = load_weights(model, source, official=None)
    return model.preprocessing


@register(
    ModelCard(
        name="convnet",
        domain="classify",
        rows=("C3", "C4"),
        title="CS231n: Convolutional Neural Networks for Visual Recognition, course notes",
        authors="Andrej Karpathy and others",
        venue="Stanford University",
        year=2015,
        link="https://cs231n.github.io/convolutional-networks/",
        new="The pattern behind most convolutional networks before 2014, with three numbers: "
        "[[conv, ReLU] x N, pool?] x M, [FC, ReLU] x K, FC.",
        variants={
            "paper": Variant(
                config=PAPER,
                differs="the notes leave the widths open; pictures of other sizes are averaged to "
                "the map that the first FC layer reads",
            )
        },
        input_size=(3, 32, 32),
    ),
    load=load,
)
def convnet(config: Config) -> ConvNet:
    """The pattern with any N, M and K."""
    return ConvNet(config)

"""AlexNet: ImageNet classification with deep convolutional neural networks.

A. Krizhevsky, I. Sutskever, G. E. Hinton, NeurIPS 2012,
https://papers.nips.cc/paper/4824-imagenet-classification-with-deep-convolutional-neural-networks

*What was new*: a large convolutional network, trained on two GPUs, won ILSVRC 2012 by ten points:
ReLUs, which learn several times faster than tanh; dropout in the fully connected layers; local
response normalisation; overlapping pools; crops, flips and changes of light as more data.

Figure 2 of the paper (every layer but the last is followed by a ReLU)::

    layer  window                  output
    conv1  11x11, stride 4         55x55x96     then LRN
    pool1  3x3, stride 2           27x27x96
    conv2  5x5, two groups         27x27x256    then LRN
    pool2  3x3, stride 2           13x13x256
    conv3  3x3                     13x13x384
    conv4  3x3, two groups         13x13x384
    conv5  3x3, two groups         13x13x256
    pool5  3x3, stride 2           6x6x256 = 9216
    fc6    dropout on its output   4096
    fc7    dropout on its output   4096
    fc8    (then softmax, which here belongs to the loss)   1000

The groups are the two GPUs: a filter of conv2, 4 or 5 sees the maps that lay on its own.

*Where the paper does not agree with itself.* 224 pixels do not give 55 steps, (224 - 11) / 4 + 1 =
54.25, unless zeros stand around them: two on each side, of which the last column goes unused. The
caption of figure 2 counts 253,440 neurons in conv1, which is 96 x 55 x 48; 96 x 55 x 55 is 290,400.

*Training* (§4, §5): pictures at 256x256, random crops of 224 and their mirror images, colours moved
along their principal components; SGD with momentum 0.9, weight decay 0.0005, batches of 128,
learning rate 0.01 divided by ten three times, some 90 epochs. *Evaluation*: mean softmax over the
four corners, the centre and their mirror images. Reported errors: 37.5 % top-1 and 17.0 % top-5 on
ILSVRC 2010; 40.7 % and 18.2 % on the validation set of 2012, where five networks together had
16.4 % top-5.

*What differs from the paper.* All variants: pictures of other sizes, which the paper does not have,
are averaged to the 6x6 map that fc6 reads. ``paper``: the padding of 2; a norm runs over all maps
of a layer in a row (the paper does not say whether it stopped at the GPU's border). ``single``: no
groups. ``caffe``: the BVLC release, see `CAFFE`; its pools round up, which at 227 adds nothing.
``torchvision``: "One weird trick" (A. Krizhevsky 2014, https://arxiv.org/abs/1404.5997) without its
parallelism: other widths, no norms, dropout before fc6 and fc7 instead of after, torch's own
initialisation.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from deepcanon.classify.weights.official import Official, load_weights
from deepcanon.core.catalog import ModelCard, Variant, register
from deepcanon.core.errors import BadInput
from deepcanon.nn import preprocessing
from deepcanon.nn.any_size import AnySize
from deepcanon.nn.convolution import Rounding, Window, side_after, smallest_side
from deepcanon.nn.lrn import ALPHA, SIZE, LocalResponseNorm
from deepcanon.nn.pooling import AdaptiveAverage
from deepcanon.nn.preprocessing import Preprocessing
from deepcanon.nn.taps import check_size
from deepcanon.nn.unfilled import unfilled
from deepcanon.nn.weights import KeyMap

NORM_AFTER = (1, 2)  # §3.5: response normalisation follows the first and second convolution,
POOL_AFTER = (1, 2, 5)  # and a pool follows both of these as well as the fifth convolution
POOL = Window(kernel=3, stride=2)  # §3.4: z = 3, s = 2


class Conv(NamedTuple):
    """One convolution, which a ReLU follows."""

    channels: int
    kernel: int
    stride: int = 1
    padding: int = 0
    groups: int = 1

    @property
    def window(self) -> Window:
        """What it slides over its input."""
        return Window(self.kernel, self.stride, self.padding)


class Normalisation(StrEnum):
    """What follows the first two convolutions."""

    SUM = "sum"  # §3.3: k = 2, alpha times the sum of squares
    MEAN = "mean"  # Caffe: k = 1, alpha times their mean
    NONE = "none"  # "One weird trick"


class Initialisation(StrEnum):
    """Where weights and biases start."""

    PAPER = "paper"  # §5: normal(0, 0.01); some biases 1, see `RAISED`
    CAFFE = "caffe"  # train_val.prototxt: as the paper's, with biases 0.1, and 0.005 in fc6 and fc7
    TORCH = "torch"  # torchvision: what torch gives to any layer


# §5: these layers' biases start at 1, "by providing the ReLUs with positive inputs"; the others' at
# 0. Caffe found the loss flat with 1 and took 0.1.
RAISED = ("conv2", "conv4", "conv5", "fc6", "fc7")


@dataclass(frozen=True, kw_only=True)
class Config:
    """The five convolutions and what surrounds them."""

    convolutions: tuple[Conv, ...] = (  # §3.5, figure 2
        Conv(96, 11, stride=4, padding=2),
        Conv(256, 5, padding=2, groups=2),
        Conv(384, 3, padding=1),
        Conv(384, 3, padding=1, groups=2),
        Conv(256, 3, padding=1, groups=2),
    )
    pool: Window = POOL  # §3.4
    normalisation: Normalisation = Normalisation.SUM  # §3.3
    dropout: float = 0.5  # §4.2
    dropout_after: tuple[int, ...] = (6, 7)  # §4.2: outputs of fc6 and fc7; 5: what fc6 reads
    initialisation: Initialisation = Initialisation.PAPER  # §5
    image_side: int = 224  # §3.5: side of the training crop
    hidden: int = 4096  # §3.5: width of fc6 and fc7
    num_classes: int = 1000  # §3.5: ILSVRC

    def __post_init__(self) -> None:
        # A config that went through JSON holds plain lists.
        convolutions = tuple(Conv(*each) for each in self.convolutions)
        object.__setattr__(self, "convolutions", convolutions)
        object.__setattr__(self, "pool", Window(*self.pool))
        object.__setattr__(self, "dropout_after", tuple(self.dropout_after))
        if len(convolutions) != 5:
            raise BadInput(
                f"there are {len(convolutions)} convolutions", hint="AlexNet has five of them"
            )
        read = 3
        for number, conv in enumerate(convolutions, start=1):
            if (
                min(conv.channels, conv.groups) < 1
                or read % conv.groups
                or (conv.channels % conv.groups)
            ):
                raise BadInput(
                    f"conv{number} cannot turn {read} channels into {conv.channels} "
                    f"in {conv.groups} groups",
                    hint="the number of groups must divide both",
                )
            read = conv.channels
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
        if not 0 <= self.dropout < 1 or not set(self.dropout_after) <= {5, 6, 7}:
            raise BadInput(
                f"dropout is {self.dropout} after the layers {self.dropout_after}",
                hint="take a rate from 0 up to 1 and layers out of 5, 6, 7; the paper's: 0.5, 6, 7",
            )

    @property
    def windows(self) -> tuple[Window, ...]:
        """Convolutions and pools in the order in which a picture meets them."""
        found: list[Window] = []
        for number, conv in enumerate(self.convolutions, start=1):
            found += [conv.window, self.pool] if number in POOL_AFTER else [conv.window]
        return tuple(found)

    @property
    def smallest(self) -> int:
        """Side of the smallest picture of which the layers leave a pixel; 63 in the paper."""
        return smallest_side(self.windows)

    @property
    def map_side(self) -> int:
        """Side of the map that fc6 reads; 6 in the paper."""
        return side_after(self.image_side, self.windows)


PAPER = Config()
SINGLE = replace(PAPER, convolutions=tuple(conv._replace(groups=1) for conv in PAPER.convolutions))
# BVLC, models/bvlc_alexnet/train_val.prototxt: crops of 227, no padding in conv1.
CAFFE = replace(
    PAPER,
    convolutions=(PAPER.convolutions[0]._replace(padding=0), *PAPER.convolutions[1:]),
    pool=POOL._replace(rounding=Rounding.UP),
    normalisation=Normalisation.MEAN,
    initialisation=Initialisation.CAFFE,
    image_side=227,
)
TORCHVISION = replace(
    PAPER,
    convolutions=(
        Conv(64, 11, stride=4, padding=2),
        Conv(192, 5, padding=2),
        Conv(384, 3, padding=1),
        Conv(256, 3, padding=1),
        Conv(256, 3, padding=1),
    ),
    normalisation=Normalisation.NONE,
    dropout_after=(5, 6),
    initialisation=Initialisation.TORCH,
)


def _norm(how: Normalisation) -> LocalResponseNorm:
    if how is Normalisation.MEAN:
        return LocalResponseNorm(alpha=ALPHA / SIZE, k=1.0)
    return LocalResponseNorm()


def _pool(window: Window) -> nn.MaxPool2d:
    kernel, stride, padding, rounding = window
    return nn.MaxPool2d(kernel, stride, padding, ceil_mode=rounding == Rounding.UP)


def _features(config: Config) -> nn.Sequential:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    channels = 3
    for number, conv in enumerate(config.convolutions, start=1):
        layers[f"conv{number}"] = nn.Conv2d(
            channels,
            conv.channels,
            conv.kernel,
            stride=conv.stride,
            padding=conv.padding,
            groups=conv.groups,
        )
        layers[f"relu{number}"] = nn.ReLU()
        if number in NORM_AFTER and config.normalisation is not Normalisation.NONE:
            layers[f"norm{number}"] = _norm(config.normalisation)
        if number in POOL_AFTER:
            layers[f"pool{number}"] = _pool(config.pool)
        channels = conv.channels
    return nn.Sequential(layers)


def _classifier(config: Config) -> nn.Sequential:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    width = config.convolutions[-1].channels * config.map_side**2  # 256 * 6 * 6
    for number in (6, 7, 8):
        if number - 1 in config.dropout_after:
            layers[f"drop{number - 1}"] = nn.Dropout(config.dropout)
        out = config.num_classes if number == 8 else config.hidden
        layers[f"fc{number}"] = nn.Linear(width, out)
        if number < 8:
            layers[f"relu{number}"] = nn.ReLU()
        width = out
    return nn.Sequential(layers)


def initialise(net: AlexNet, *, how: Initialisation) -> None:
    """Draw every weight of ``net`` anew from torch's generator, and set the biases."""
    for name, layer in (*net.features.named_children(), *net.classifier.named_children()):
        if not isinstance(layer, nn.Conv2d | nn.Linear):
            continue
        if how is Initialisation.TORCH:
            layer.reset_parameters()
            continue
        caffe = how is Initialisation.CAFFE
        nn.init.normal_(layer.weight, std=0.005 if caffe and name in ("fc6", "fc7") else 0.01)
        assert layer.bias is not None
        nn.init.constant_(layer.bias, (0.1 if caffe else 1.0) if name in RAISED else 0.0)


class AlexNet(nn.Module):
    """Figure 2; layers carry the names of the table above."""

    preprocessing: Preprocessing | None = None  # what the loaded weights expect

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        with unfilled(self):
            self.features = _features(config)
            self.average = AdaptiveAverage(config.map_side)
            self.classifier = _classifier(config)
        initialise(self, how=config.initialisation)

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b classes"]:
        """Pictures, preprocessed as the weights want them -> class scores (before softmax).

        Raises BadInput for pictures under 63x63 pixels (39x39 in Caffe's).
        """
        check_size(x, smallest=self.config.smallest)
        x = self.features(x)  # [b, 256, 6, 6] from 224x224
        x = self.average(x)
        scores: Tensor = self.classifier(x.flatten(1))
        return scores

    def exportable(self) -> AnySize:
        """The same network in the form that `deepcanon.engine.export` leaves sizes free in."""
        return AnySize(self).train(self.training)


# --- weights -------------------------------------------------------------------------------------

IMAGENET = Official(
    url="https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
    sha256="7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
    preprocessing=preprocessing.TORCHVISION,
)
_TORCHVISION_LAYERS = {
    "features.0": "features.conv1",
    "features.3": "features.conv2",
    "features.6": "features.conv3",
    "features.8": "features.conv4",
    "features.10": "features.conv5",
    "classifier.1": "classifier.fc6",
    "classifier.4": "classifier.fc7",
    "classifier.6": "classifier.fc8",
}
TORCHVISION_KEYS: KeyMap = {
    f"{theirs}.{part}": f"{ours}.{part}"
    for theirs, ours in _TORCHVISION_LAYERS.items()
    for part in ("weight", "bias")
}


def load(model: AlexNet, source: str | Path) -> Preprocessing | None:
    """Fill an AlexNet from "imagenet" or from a weights file.

    A ``.pth`` is taken for torchvision's where the network is, else its keys must be ours; no other
    variant has published weights that can be read. Returns how pictures must be prepared, None when
    the file does not say; the network keeps it as ``preprocessing``.
    Raises BadInput for a file that does not fit, Unavailable when "imagenet" cannot be fetched.
    """
    config = model.config
    published = (config.convolutions, config.normalisation) == (
        TORCHVISION.convolutions,
        TORCHVISION.normalisation,
    )
    model.preprocessing = load_weights(
        model,
        source,
        official=IMAGENET if published else None,
        dialect=TORCHVISION_KEYS if published else None,
        preprocessing=preprocessing.TORCHVISION if published else None,
    )
    return model.preprocessing


_SIZES = "pictures of other sizes are averaged to the 6x6 map that fc6 reads"


@register(
    ModelCard(
        name="alexnet",
        domain="classify",
        rows=("C7",),
        title="ImageNet Classification with Deep Convolutional Neural Networks",
        authors="Alex Krizhevsky, Ilya Sutskever, Geoffrey E. Hinton",
        venue="NeurIPS",
        year=2012,
        link="https://papers.nips.cc/paper/4824-imagenet-classification-with-deep-convolutional-neural-networks",
        new="A large convolutional network on two GPUs, with ReLUs, dropout, response "
        "normalisation and overlapping pools, that won ILSVRC 2012 by ten points.",
        variants={
            "paper": Variant(
                config=PAPER,
                differs=f"pads 224 pixels by 2, without which they do not give 55 steps; {_SIZES}",
            ),
            "single": Variant(
                config=SINGLE, differs=f"for one GPU: no groups in conv2, 4 and 5; {_SIZES}"
            ),
            "caffe": Variant(
                config=CAFFE,
                differs="crops of 227 without padding, pools that round up, norms with k = 1 and "
                "the mean of squares, biases 0.1 where the paper has 1, fc6 and fc7 start at "
                f"0.005; {_SIZES}",
            ),
            "torchvision": Variant(
                config=TORCHVISION,
                differs='"One weird trick": 64, 192, 384, 256 and 256 channels, no groups, no '
                f"norms, dropout before fc6 and fc7, torch's own initialisation; {_SIZES}",
                weights=("imagenet",),
            ),
        },
        input_size=(3, 224, 224),
    ),
    load=load,
)
def alexnet(config: Config) -> AlexNet:
    """AlexNet of any variant."""
    return AlexNet(config)

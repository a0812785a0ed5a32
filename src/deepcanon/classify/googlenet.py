"""GoogLeNet, or Inception-v1: going deeper with convolutions.

C. Szegedy, W. Liu, Y. Jia, P. Sermanet, S. Reed, D. Anguelov, D. Erhan, V. Vanhoucke,
A. Rabinovich, CVPR 2015, https://arxiv.org/abs/1409.4842 (sections below are the arXiv v1's).

*What was new*: a module that looks at 1x1, 3x3 and 5x5 windows and a pool at once, made cheap by
1x1 convolutions that reduce the channels first; 22 layers with a ninth of AlexNet's weights (the
paper says a twelfth: 60.97 M / 6.998 M = 8.7); two classifiers halfway, whose losses (times 0.3)
help the gradient down while training.

Table 1 of the paper (every convolution is followed by a ReLU)::

    type         size/stride  output      #1x1  #3x3r  #3x3  #5x5r  #5x5  pool  params   ops
    convolution  7x7/2        112x112x64                                        2.7K     34M
    max pool     3x3/2        56x56x64
    convolution  3x3/1        56x56x192         64     192                      112K     360M
    max pool     3x3/2        28x28x192
    3a                        28x28x256   64    96     128   16     32    32    159K     128M
    3b                        28x28x480   128   128    192   32     96    64    380K     304M
    max pool     3x3/2        14x14x480
    4a                        14x14x512   192   96     208   16     48    64    364K     73M
    4b                        14x14x512   160   112    224   24     64    64    437K     88M
    4c                        14x14x512   128   128    256   24     64    64    463K     100M
    4d                        14x14x528   112   144    288   32     64    64    580K     119M
    4e                        14x14x832   256   160    320   32     128   128   840K     170M
    max pool     3x3/2        7x7x832
    5a                        7x7x832     256   160    320   32     128   128   1072K    54M
    5b                        7x7x1024    384   192    384   48     128   128   1388K    71M
    avg pool     7x7/1        1x1x1024
    dropout 40 %, linear      1x1x1000                                          1000K    1M

LRN follows the first pool and the second convolution (figure 3). The two classifiers branch off
after 4a and 4d: average pool 5x5/3, 1x1 convolution to 128, FC 1024, dropout 70 %, FC 1000 (§5).
Reported top-5 error (table 3): 10.07 % of one network and one crop, 6.67 % of seven and 144 crops.

*Where the table is inconsistent.* A K is 1024 weights, biases left out: 64 * 64 + 64 * 192 * 9 =
114,688 = 112K. Its first row is not a 7x7 convolution, which has 7 * 7 * 3 * 64 = 9,408 weights
and 118 M multiply-adds, but a separable one with a depth multiplier of 8, as the authors' next
paper says of the same layer: 7 * 7 * 3 * 8 + 24 * 64 = 2,712 weights, times 112 * 112 = 34 M. That
network is the variant ``separable``. The ops of all other rows are those of the widths, but 5a's
(51 M by the widths; 54 M with 48 channels in #5x5r, as in 5b). The params of most modules are
up to 2 % off, of 4c and 5a more: the widths give 509,440 = 497.5K and 1,042,432 = 1018K.

*What differs from the paper.* ``paper``: nothing is said of the starting weights nor of LRN's
constants: see `Initialisation` and AlexNet's LRN; where a picture's size leaves no 4x4 map after
5x5/3, the auxiliary pool is an adaptive one. ``separable``: the first convolution, see above.
``torchvision``: batch normalisation after each convolution and no LRN; 3x3 in place of 5x5; the
last pool 2x2; dropout 20 %; adaptive pools before the auxiliary classifiers.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from enum import StrEnum
from math import sqrt
from pathlib import Path

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from deepcanon.classify.parts.googlenet_modules import (
    Inception,
    Normalisation,
    Widths,
    convolution,
    separable,
)
from deepcanon.classify.weights.googlenet import IMAGENET, torchvision_keys
from deepcanon.classify.weights.official import load_weights
from deepcanon.core.catalog import ModelCard, Variant, register
from deepcanon.core.errors import BadInput
from deepcanon.nn.any_size import AnySize
from deepcanon.nn.initial import truncated_normal
from deepcanon.nn.lrn import LocalResponseNorm
from deepcanon.nn.preprocessing import INCEPTION, Preprocessing
from deepcanon.nn.taps import check_size

MODULES = {  # Table 1
    "3a": Widths(64, 96, 128, 16, 32, 32),
    "3b": Widths(128, 128, 192, 32, 96, 64),
    "4a": Widths(192, 96, 208, 16, 48, 64),
    "4b": Widths(160, 112, 224, 24, 64, 64),
    "4c": Widths(128, 128, 256, 24, 64, 64),
    "4d": Widths(112, 144, 288, 32, 64, 64),
    "4e": Widths(256, 160, 320, 32, 128, 128),
    "5a": Widths(256, 160, 320, 32, 128, 128),
    "5b": Widths(384, 192, 384, 48, 128, 128),
}


class Stem(StrEnum):
    """The first convolution."""

    FULL = "full"  # Table 1's first column, figure 3: 7x7/2
    SEPARABLE = "separable"  # Table 1's params and ops: 7x7/2 for each channel, 8 times, then 1x1


class AuxiliaryPool(StrEnum):
    """How a map becomes the 4x4 that an auxiliary classifier reads."""

    STRIDED = "strided"  # §5: average pool 5x5, stride 3
    ADAPTIVE = "adaptive"  # torchvision


class Initialisation(StrEnum):
    """Where the weights start: the paper is silent."""

    # Truncated at two standard deviations, of He's variance 2 / fan in: a ReLU network without BN
    # keeps its signal. Biases are zero. TF-Slim draws so by default, but not in its own Inception
    # v1, which has normal(0, 0.01), cut at two deviations, before batch norms.
    HE = "he"
    NARROW = "narrow"  # torchvision: normal(0, 0.01); biases as torch draws them


@dataclass(frozen=True, kw_only=True)
class Config:
    """What the variants decide; the widths are Table 1's in all of them."""

    num_classes: int = 1000  # §7: ILSVRC
    normalisation: Normalisation = Normalisation.RESPONSE  # figure 3
    stem: Stem = Stem.FULL  # figure 3
    large_kernel: int = 5  # §4: of the branch called 5x5
    last_pool: int = 3  # Table 1: the max pool before 5a, stride 2
    dropout: float = 0.4  # §5, Table 1
    heads: tuple[str, ...] = ("4a", "4d")  # §5: the modules that auxiliary classifiers follow
    hidden: int = 1024  # §5: width of their first FC layer
    auxiliary_pool: AuxiliaryPool = AuxiliaryPool.STRIDED  # §5
    auxiliary_dropout: float = 0.7  # §5
    auxiliary_weight: float = 0.3  # §5: of each auxiliary loss in the sum
    initialisation: Initialisation = Initialisation.HE

    def __post_init__(self) -> None:
        object.__setattr__(self, "heads", tuple(self.heads))  # a list after JSON
        for name in ("num_classes", "hidden"):
            if getattr(self, name) < 1:
                raise BadInput(
                    f"{name} is {getattr(self, name)}",
                    hint="it must be 1 or more; the paper's are 1000 classes and 1024 hidden",
                )
        if self.large_kernel < 1 or self.large_kernel % 2 == 0 or self.last_pool not in (2, 3):
            raise BadInput(
                f"large_kernel is {self.large_kernel} and last_pool is {self.last_pool}",
                hint="the first must be odd and the second 2 or 3; the paper's are 5 and 3",
            )
        for name in ("dropout", "auxiliary_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise BadInput(
                    f"{name} is {getattr(self, name)}",
                    hint="it must be at least 0 and under 1; the paper's are 0.4 and 0.7",
                )
        if unknown := [name for name in self.heads if name not in MODULES]:
            raise BadInput(
                f"heads has {unknown[0]!r}, which is not a module",
                hint=f"the modules are {', '.join(MODULES)}; the paper's heads are 4a and 4d",
            )

    @property
    def smallest(self) -> int:
        """Side of the smallest picture of which every pool leaves a pixel: 31, torchvision 15."""
        side = 1
        for kernel in (self.last_pool, 3, 3, 3):
            side = 2 * side + kernel - 3  # of which kernel x kernel, stride 2, leaves ``side``
        return 2 * side - 1


PAPER = Config()
SEPARABLE = replace(PAPER, stem=Stem.SEPARABLE)
TORCHVISION = Config(
    normalisation=Normalisation.BATCH,
    large_kernel=3,
    last_pool=2,
    dropout=0.2,
    auxiliary_pool=AuxiliaryPool.ADAPTIVE,
    initialisation=Initialisation.NARROW,
)


class Auxiliary(nn.Module):
    """A classifier halfway (§5), used while training only."""

    def __init__(self, into: int, config: Config) -> None:
        super().__init__()
        self.pool = config.auxiliary_pool
        self.reduce = convolution(into, 128, kernel=1, how=config.normalisation)
        self.fc1 = nn.Linear(128 * 4 * 4, config.hidden)
        self.dropout = nn.Dropout(config.auxiliary_dropout)
        self.fc2 = nn.Linear(config.hidden, config.num_classes)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b classes"]:
        """A module's output, 14x14 for pictures of 224x224 -> class scores."""
        fits = all(14 <= side <= 16 for side in x.shape[-2:])  # 5x5/3 leaves 4x4
        if self.pool is AuxiliaryPool.STRIDED and fits:
            x = functional.avg_pool2d(x, 5, stride=3)
        else:
            x = functional.adaptive_avg_pool2d(x, (4, 4))
        x = functional.relu(self.fc1(self.reduce(x).flatten(1)))
        scores: Tensor = self.fc2(self.dropout(x))
        return scores


def _stem(config: Config) -> nn.Sequential:
    how = config.normalisation
    conv1 = convolution(3, 64, kernel=7, stride=2, how=how)
    if config.stem is Stem.SEPARABLE:
        assert isinstance(conv1.conv, nn.Conv2d)
        conv1[0] = separable(conv1.conv)
    layers: dict[str, nn.Module] = {
        "conv1": conv1,  # 112x112
        "pool1": nn.MaxPool2d(3, stride=2, ceil_mode=True),  # 56x56
        "lrn1": LocalResponseNorm(),
        "conv2_reduce": convolution(64, 64, kernel=1, how=how),
        "conv2": convolution(64, 192, kernel=3, how=how),
        "lrn2": LocalResponseNorm(),
        "pool2": nn.MaxPool2d(3, stride=2, ceil_mode=True),  # 28x28
    }
    if how is Normalisation.BATCH:
        del layers["lrn1"], layers["lrn2"]
    return nn.Sequential(OrderedDict(layers))


def _modules(config: Config) -> nn.Sequential:
    pools = {"3b": ("pool3", 3), "4e": ("pool4", config.last_pool)}
    layers: dict[str, nn.Module] = {}
    channels = 192
    for name, widths in MODULES.items():
        layers[name] = Inception(
            channels, widths, large_kernel=config.large_kernel, how=config.normalisation
        )
        channels = widths.out
        if name in pools:
            pool, kernel = pools[name]
            layers[pool] = nn.MaxPool2d(kernel, stride=2, ceil_mode=True)  # 14x14, 7x7
    return nn.Sequential(OrderedDict(layers))


class GoogLeNet(nn.Module):
    """Table 1, with the auxiliary classifiers of `Config.heads`."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.preprocessing: Preprocessing | None = None  # what the loaded weights expect
        self.stem = _stem(config)
        self.inception = _modules(config)
        self.top = nn.Sequential(
            OrderedDict(
                pool=nn.AdaptiveAvgPool2d(1),  # 7x7/1 for pictures of 224x224
                flatten=nn.Flatten(),
                dropout=nn.Dropout(config.dropout),
                fc=nn.Linear(MODULES["5b"].out, config.num_classes),
            )
        )
        self.heads = nn.ModuleDict(
            {name: Auxiliary(MODULES[name].out, config) for name in MODULES if name in config.heads}
        )
        initialise(self, how=config.initialisation)

    def forward(self, pictures: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b classes"]:
        """Pictures, preprocessed as the weights want them -> class scores (before softmax).

        Raises BadInput for pictures with a side under `Config.smallest`.
        """
        check_size(pictures, smallest=self.config.smallest)
        scores: Tensor = self.top(self.inception(self.stem(pictures)))
        return scores

    def exportable(self) -> AnySize:
        """The same network in the form that `deepcanon.engine.export` leaves sizes free in."""
        return AnySize(self).train(self.training)

    def all_logits(
        self, pictures: Float[Tensor, "b 3 h w"]
    ) -> tuple[Float[Tensor, "b classes"], ...]:
        """What training needs: the scores of `forward`, then the auxiliary ones by depth."""
        check_size(pictures, smallest=self.config.smallest)
        auxiliary: list[Tensor] = []
        x = self.stem(pictures)
        for name, layer in self.inception.named_children():
            x = layer(x)
            if name in self.heads:
                auxiliary.append(self.heads[name](x))
        return (self.top(x), *auxiliary)


def initialise(net: nn.Module, *, how: Initialisation) -> None:
    """Draw every weight of ``net`` anew from torch's generator; see `Initialisation`."""
    for layer in net.modules():
        if not isinstance(layer, nn.Conv2d | nn.Linear):
            continue
        if how is Initialisation.NARROW:
            nn.init.normal_(layer.weight, std=0.01)  # torchvision cuts it at 2, which is nowhere
            continue
        fan_in = layer.weight[0].numel()
        std = sqrt(2 / fan_in) / 0.8796256610342398  # what is left after cutting at two of them
        truncated_normal(layer.weight, std=std)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def load(model: GoogLeNet, source: str | Path) -> Preprocessing | None:
    """Fill a GoogLeNet from "imagenet" or from a weights file; returns what it expects of pictures.

    For a network as torchvision builds it, a ``.pth`` is torchvision's, with or without auxiliary
    heads as the network has them (``heads=()``), trained with its ``transform_input`` as the
    published one is. Raises BadInput for a file that does not fit, Unavailable when "imagenet"
    cannot be fetched.
    """
    config = model.config
    foreign = config.normalisation is Normalisation.BATCH and config.stem is Stem.FULL
    if str(source) == "imagenet" and not foreign:
        raise BadInput(
            "there are no published ImageNet weights for this variant of googlenet",
            hint="there are for the variant torchvision; or train this one",
        )
    model.preprocessing = load_weights(
        model,
        source,
        official=IMAGENET,
        dialect=torchvision_keys(model.state_dict()) if foreign else None,
        preprocessing=INCEPTION if foreign else None,
    )
    return model.preprocessing


_CARD = ModelCard(
    name="googlenet",
    domain="classify",
    rows=("C11",),
    title="Going Deeper with Convolutions",
    authors="Christian Szegedy, Wei Liu, Yangqing Jia, Pierre Sermanet, Scott Reed, "
    "Dragomir Anguelov, Dumitru Erhan, Vincent Vanhoucke, Andrew Rabinovich",
    venue="CVPR",
    year=2015,
    link="https://arxiv.org/abs/1409.4842",
    new="Modules that look at 1x1, 3x3 and 5x5 windows at once, made cheap by 1x1 convolutions.",
    variants={
        "paper": Variant(
            config=PAPER,
            differs="the paper says no starting weights (He's, truncated) and no LRN constants "
            "(AlexNet's); where a size leaves no 4x4 map, the auxiliary pool is an adaptive one",
        ),
        "separable": Variant(
            config=SEPARABLE,
            differs="the first convolution is separable, as Table 1's params and ops have it",
        ),
        "torchvision": Variant(
            config=TORCHVISION,
            differs="batch normalisation and no LRN; 3x3 in place of 5x5; last pool 2x2; dropout "
            "20 %; adaptive pools before the auxiliary classifiers",
            weights=("imagenet",),
        ),
    },
    input_size=(3, 224, 224),
)


@register(_CARD, load=load)
def googlenet(config: Config) -> GoogLeNet:
    """The network of Table 1."""
    return GoogLeNet(config)

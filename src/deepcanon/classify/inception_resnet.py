"""Inception-ResNet-v1 and -v2: Inception modules that add to their input.

C. Szegedy, S. Ioffe, V. Vanhoucke, A. Alemi, "Inception-v4, Inception-ResNet and the Impact of
Residual Connections on Learning", AAAI 2017, https://arxiv.org/abs/1602.07261 (figures, tables and
sections below are the arXiv v2's). Inception-v4 is in `deepcanon.classify.inception_v4`.

*What was new*: each module's result, brought to the channels of its input by a 1x1 convolution
without activation, is added to that input. Such networks learn much faster than Inception alone.
With more than 1000 channels they died in training, until the residual was scaled by 0.1 to 0.3
before the sum (§3.3).

Figure 15 of the paper, for both networks; the outputs are v1's, with ours for v2 beside them::

    type                    figure, v1 and v2  output, v1   output, v2
    stem                    14 / 3             35x35x256    35x35x384
    5 x Inception-ResNet-A  10 / 16            35x35x256    35x35x384
    Reduction-A             7 / 7              17x17x896    17x17x1152
    10 x Inception-ResNet-B 11 / 17            17x17x896    17x17x1152
    Reduction-B             12 / 18            8x8x1792     8x8x2144
    5 x Inception-ResNet-C  13 / 19            8x8x1792     8x8x2144
    average pool                               1792         2144
    dropout, keeps 0.8; softmax                1000         1000

Reduction-A has k, l, m, n = 192, 192, 256, 384 in v1 and 256, 256, 384, 384 in v2 (Table 1).
Reported errors (table 2, one crop): v1 21.3 % top-1 and 5.5 % top-5, v2 19.9 % and 4.9 %.

*Where the paper is inconsistent.* Figures 17 and 19 end in 1154 and 2048 channels, which cannot be
added to what comes in: Reduction-A gives 384 + 384 + 384 = 1152 and Reduction-B 384 + 288 + 320 +
1152 = 2144. §3.2 says that v1 costs about as much as Inception-v3 (6.21 against 6.35 thousand
million multiply-adds: it does), and v2 as much as Inception-v4 (9.26 against 12.25: it does not).
The authors' code for v2 does, with twice as many modules: 13.16.

*Training* (§4): RMSProp with decay 0.9 and epsilon 1.0, rate 0.045 times 0.94 every second epoch,
evaluation with averaged weights.

*What differs from the paper.* ``paper``: 1152 and 2144 channels, see above; of scales it says "0.1
to 0.3": 0.17, 0.10 and 0.20 are TF-Slim's; so are the starting weights, the norms' epsilon, 0.001,
and that the 1x1 before the sum has a bias and no norm. Norms have momentum 0.1, not 0.0003; smaller
pictures than 299 are taken down to 75. ``tf_slim`` is the authors' code for v2, to which the
published weights belong (timm has converted them): the stem of Inception-v3 with one plain module
behind it, to 320 channels; 10 + 20 + 10 modules on 320, 1088 and 2080 channels; the last one
neither scaled nor followed by a ReLU; a 1x1 convolution to 1536 before the average pool. Its
auxiliary classifier, of which the paper says nothing, is in neither.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from deepcanon.classify.inception_v4 import Order, reduction_a
from deepcanon.classify.inception_v4 import stem as branching_stem
from deepcanon.classify.parts.inception_parts import (
    Branches,
    chain,
    check_settings,
    reset_norms,
    same,
    shrink,
    smooth,
    top,
    valid,
)
from deepcanon.classify.weights.inception_v4 import RESNET_V2, resnet_v2_keys, without_background
from deepcanon.classify.weights.official import load_weights
from deepcanon.core.catalog import ModelCard, Variant, register
from deepcanon.core.errors import BadInput
from deepcanon.nn.any_size import AnySize
from deepcanon.nn.conv_norm import conv_norm
from deepcanon.nn.preprocessing import INCEPTION, Preprocessing
from deepcanon.nn.taps import check_size
from deepcanon.nn.unfilled import unfilled


class Version(StrEnum):
    """Whose modules: see `WIDTHS`."""

    V1 = "v1"  # figures 10 to 13, "roughly the computational cost of Inception-v3"
    V2 = "v2"  # figures 16 to 19


class Stem(StrEnum):
    """How a picture becomes a 35x35 map."""

    STRAIGHT = "straight"  # figure 14: 256 channels
    BRANCHING = "branching"  # figure 3, as Inception-v4's: 384 channels
    TF_SLIM = "tf_slim"  # Inception-v3's, and a module without a sum: 320 channels


class End(StrEnum):
    """How the 8x8 modules end."""

    POOL = "pool"  # figure 15: as they began
    TF_SLIM = "tf_slim"  # the last neither scaled nor followed by a ReLU; 1x1 to 1536


class Widths(NamedTuple):
    """What the figures print in the modules of a version."""

    a_double: tuple[int, int]  # figures 10, 16: the two 3x3 in a row
    letters: tuple[int, int, int, int]  # Table 1: k, l, m, n
    b_one: int  # figures 11, 17: the 1x1 alone
    b_seven: tuple[int, int]  # 1x7, 7x1
    b_double: tuple[int, int]  # figures 12, 18: the two 3x3 in a row, of which the second strides
    b_three: int  # the second 3x3 alone; the first has 384
    c_three: tuple[int, int]  # figures 13, 19: 1x3, 3x1


WIDTHS = {
    Version.V1: Widths(
        (32, 32), (192, 192, 256, 384), 128, (128, 128), (256, 256), 256, (192, 192)
    ),
    Version.V2: Widths(
        (48, 64), (256, 256, 384, 384), 192, (160, 192), (288, 320), 288, (224, 256)
    ),
}
STEM_CHANNELS = {Stem.STRAIGHT: 256, Stem.BRANCHING: 384, Stem.TF_SLIM: 320}


@dataclass(frozen=True, kw_only=True)
class Config:
    """What versions and variants decide; all widths are the figures'."""

    version: Version
    stem: Stem
    num_classes: int = 1000  # figure 15
    blocks: tuple[int, int, int] = (5, 10, 5)  # figure 15: Inception-ResNet-A, -B, -C
    scales: tuple[float, float, float] = (0.17, 0.10, 0.20)  # TF-Slim; §3.3: 0.1 to 0.3
    end: End = End.POOL
    dropout: float = 0.2  # figure 15: "keep 0.8"

    def __post_init__(self) -> None:
        for name in ("blocks", "scales"):  # JSON has lists
            object.__setattr__(self, name, tuple(getattr(self, name)))
        check_settings(
            blocks=self.blocks, papers="5, 10 and 5", classes=self.num_classes, dropout=self.dropout
        )
        if len(self.scales) != 3 or not all(0 < scale <= 1 for scale in self.scales):
            raise BadInput(
                f"scales is {list(self.scales)}",
                hint="it needs three numbers above 0 and up to 1, for 35x35, 17x17 and 8x8; the "
                "paper says 0.1 to 0.3",
            )

    @property
    def smallest(self) -> int:
        """Side of the smallest picture of which a pixel is left: 75 -> 37 35 17 15 7 3 1."""
        return 75


PAPER_V1 = Config(version=Version.V1, stem=Stem.STRAIGHT)
PAPER_V2 = Config(version=Version.V2, stem=Stem.BRANCHING)
TF_SLIM = Config(version=Version.V2, stem=Stem.TF_SLIM, blocks=(10, 20, 10), end=End.TF_SLIM)


# --- blocks --------------------------------------------------------------------------------------


class Residual(nn.Module):
    """``activation(x + scale * expand(body(x)))``; the 1x1 ``expand`` has a bias and no norm."""

    def __init__(self, body: nn.Module, *, width: int, channels: int, scale: float) -> None:
        super().__init__()
        self.body, self.scale = body, scale
        self.expand = nn.Conv2d(width, channels, 1)  # "linear" in the figures
        self.activation: nn.Module = nn.ReLU(inplace=True)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """[b, c, h, w] -> the same shape."""
        total: Tensor = self.activation(x + self.scale * self.expand(self.body(x)))
        return total

    def extra_repr(self) -> str:
        """The scale, for ``print(net)``."""
        return f"scale={self.scale}"


def stem(how: Stem) -> nn.Sequential:
    """299x299x3 -> 35x35, of `STEM_CHANNELS`."""
    if how is Stem.BRANCHING:
        return branching_stem(order=Order.FIGURES)
    first = (valid(3, 32, stride=2), valid(3, 32), same(3, 64), shrink())  # 73x73
    straight = (same(1, 80), valid(3, 192))  # 71x71
    if how is Stem.STRAIGHT:
        return chain(3, *first, *straight, valid(3, 256, stride=2))
    return chain(3, *first, *straight, shrink(), _plain_module())


def _plain_module() -> Branches:
    """TF-Slim's Mixed_5b: 35x35x192 -> 35x35x320."""
    return Branches(
        chain(192, same(1, 96)),
        chain(192, same(1, 48), same(5, 64)),
        chain(192, same(1, 64), same(3, 96), same(3, 96)),
        chain(192, smooth(), same(1, 64)),
    )


def residual_a(channels: int, *, widths: Widths, scale: float) -> Residual:
    """Figure 10 or 16, for 35x35 maps."""
    first, second = widths.a_double
    body = Branches(
        chain(channels, same(1, 32)),
        chain(channels, same(1, 32), same(3, 32)),
        chain(channels, same(1, 32), same(3, first), same(3, second)),
    )
    return Residual(body, width=32 + 32 + second, channels=channels, scale=scale)


def residual_b(channels: int, *, widths: Widths, scale: float) -> Residual:
    """Figure 11 or 17, for 17x17 maps."""
    across, down = widths.b_seven
    body = Branches(
        chain(channels, same(1, widths.b_one)),
        chain(channels, same(1, 128), same((1, 7), across), same((7, 1), down)),
    )
    return Residual(body, width=widths.b_one + down, channels=channels, scale=scale)


def reduction_b(channels: int, *, widths: Widths) -> Branches:
    """Figure 12 or 18: 17x17 -> 8x8."""
    first, second = widths.b_double
    return Branches(
        chain(channels, same(1, 256), valid(3, 384, stride=2)),
        chain(channels, same(1, 256), valid(3, widths.b_three, stride=2)),
        chain(channels, same(1, 256), same(3, first), valid(3, second, stride=2)),
        shrink(),
    )


def residual_c(channels: int, *, widths: Widths, scale: float) -> Residual:
    """Figure 13 or 19, for 8x8 maps."""
    across, down = widths.c_three
    body = Branches(
        chain(channels, same(1, 192)),
        chain(channels, same(1, 192), same((1, 3), across), same((3, 1), down)),
    )
    return Residual(body, width=192 + down, channels=channels, scale=scale)


def coarse(channels: int, *, config: Config) -> nn.Sequential:
    """The 8x8 modules: "0", "1", ..., and, as TF-Slim ends them, "widen" to 1536 channels."""
    widths, count, scale = WIDTHS[config.version], config.blocks[2], config.scales[2]
    layers: dict[str, nn.Module] = {
        str(n): residual_c(channels, widths=widths, scale=scale) for n in range(count)
    }
    if config.end is End.TF_SLIM:
        last = residual_c(channels, widths=widths, scale=1.0)
        last.activation = nn.Identity()
        layers[str(count - 1)] = last
        layers["widen"] = conv_norm(channels, 1536, kernel=1)
    return nn.Sequential(OrderedDict(layers))


# --- the network ---------------------------------------------------------------------------------


class InceptionResNet(nn.Module):
    """Figure 15."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.preprocessing: Preprocessing | None = None  # what the loaded weights expect
        widths = WIDTHS[config.version]
        k, l, m, n = widths.letters  # noqa: E741
        a, b, _ = config.blocks
        of_a, of_b, _ = config.scales
        with unfilled(self):
            channels = STEM_CHANNELS[config.stem]
            self.stem = stem(config.stem)  # 35x35
            self.a = nn.Sequential(
                *(residual_a(channels, widths=widths, scale=of_a) for _ in range(a))
            )
            self.reduction_a = reduction_a(channels, k=k, l=l, m=m, n=n)
            channels += m + n  # 17x17
            self.b = nn.Sequential(
                *(residual_b(channels, widths=widths, scale=of_b) for _ in range(b))
            )
            self.reduction_b = reduction_b(channels, widths=widths)
            channels += 384 + widths.b_three + widths.b_double[1]  # 8x8
            self.c = coarse(channels, config=config)
            if config.end is End.TF_SLIM:
                channels = 1536
            self.top = top(channels, config.num_classes, dropout=config.dropout)
        initialise(self)

    def forward(self, pictures: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b classes"]:
        """Pictures, preprocessed as the weights want them -> class scores (before softmax).

        Raises BadInput for pictures with a side under `Config.smallest`.
        """
        check_size(pictures, smallest=self.config.smallest)
        x = self.reduction_a(self.a(self.stem(pictures)))  # [b, 896 to 1152, 17, 17]
        x = self.reduction_b(self.b(x))  # [b, 1792 to 2144, 8, 8]
        scores: Tensor = self.top(self.c(x))
        return scores

    def exportable(self) -> AnySize:
        """The same network in the form that `deepcanon.engine.export` leaves sizes free in."""
        return AnySize(self).train(self.training)


def initialise(net: nn.Module) -> None:
    """Draw all weights anew as TF-Slim does for Inception-ResNet: Glorot uniform, biases zero."""
    reset_norms(net)
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def load(model: InceptionResNet, source: str | Path) -> Preprocessing | None:
    """Fill a network from "imagenet" or from a weights file; returns what it expects of pictures.

    For a network as TF-Slim builds it, a foreign file is timm's; the row for "background" that
    older ones have is dropped. Raises BadInput for a file that does not fit, Unavailable when
    "imagenet" cannot be fetched.
    """
    config = model.config
    foreign = config.stem is Stem.TF_SLIM and config.end is End.TF_SLIM
    if str(source) == "imagenet" and not foreign:
        raise BadInput(
            "there are no published ImageNet weights for this variant of Inception-ResNet",
            hint="there are for inception_resnet_v2's variant tf_slim; or train this one",
        )
    model.preprocessing = load_weights(
        model,
        source,
        official=RESNET_V2,
        dialect=resnet_v2_keys(config.blocks) if foreign else None,
        preprocessing=INCEPTION if foreign else None,
        adapt=partial(without_background, classes=config.num_classes),
    )
    return model.preprocessing


def _card(name: str, *, variants: dict[str, Variant], new: str) -> ModelCard:
    return ModelCard(
        name=name,
        domain="classify",
        rows=("C14",),
        title="Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning",
        authors="Christian Szegedy, Sergey Ioffe, Vincent Vanhoucke, Alex Alemi",
        venue="AAAI",
        year=2017,
        link="https://arxiv.org/abs/1602.07261",
        new=new,
        variants=variants,
        input_size=(3, 299, 299),
    )


_NOT_IN_THE_PAPER = (
    "scales within its 0.1 to 0.3, starting weights, the norms' epsilon 0.001 and the bias before "
    "the sum are TF-Slim's; norms have momentum 0.1; takes pictures from 75x75 up"
)
_V1 = _card(
    "inception_resnet_v1",
    variants={"paper": Variant(config=PAPER_V1, differs=_NOT_IN_THE_PAPER)},
    new="Inception modules that add to their input: they learn much faster.",
)
_V2 = _card(
    "inception_resnet_v2",
    variants={
        "paper": Variant(
            config=PAPER_V2,
            differs="1152 and 2144 channels where figures 17 and 19 print 1154 and 2048, which "
            "cannot be added; " + _NOT_IN_THE_PAPER,
        ),
        "tf_slim": Variant(
            config=TF_SLIM,
            differs="the authors' code, without its auxiliary classifier: another stem; 10 + 20 + "
            "10 modules on 320, 1088 and 2080 channels; 1x1 to 1536 before the pool",
            weights=("imagenet",),
        ),
    },
    new="Wider residual Inception modules, kept alive by scaling what they add.",
)


@register(_V1, load=load)
def inception_resnet_v1(config: Config) -> InceptionResNet:
    """The network of figures 10 to 15."""
    return InceptionResNet(config)


@register(_V2, load=load)
def inception_resnet_v2(config: Config) -> InceptionResNet:
    """The network of figures 3 and 15 to 19."""
    return InceptionResNet(config)

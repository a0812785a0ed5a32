"""Inception-v3: rethinking the Inception architecture for computer vision.

C. Szegedy, V. Vanhoucke, S. Ioffe, J. Shlens, Z. Wojna, CVPR 2016,
https://arxiv.org/abs/1512.00567 (sections, tables and figures below are the arXiv v3's).

*What was new*: convolutions factorised further. Two 3x3 stand for a 5x5 (figure 5), 1x7 and 7x1 for
a 7x7 (figure 6); maps shrink by a convolution and a pool side by side, so that no layer is a
bottleneck (figure 10); batch normalisation also in the auxiliary classifier; label smoothing.

Table 1 of the paper; each row's output is the next row's input, "padded" keeps the size::

    type                size/stride     input
    conv                3x3/2           299x299x3
    conv                3x3/1           149x149x32
    conv padded         3x3/1           147x147x32
    pool                3x3/2           147x147x64
    conv                3x3/1           73x73x64
    conv                3x3/2           71x71x80
    conv                3x3/1           35x35x192
    3 x Inception       as in figure 5  35x35x288
    5 x Inception       as in figure 6  17x17x768
    2 x Inception       as in figure 7  8x8x1280
    pool                8x8             8x8x2048
    linear              logits          1x1x2048

Reported errors (abstract): 21.2 % top-1 and 5.6 % top-5 with one crop; of four networks and many
crops 3.5 % top-5. Widths inside the modules are not printed; ours are those of the authors' code.
The auxiliary classifier stands on the last 17x17 map (figure 8).

*Where the paper contradicts itself.* The last 3x3/1 of the stem keeps 35x35, so it is padded,
though the table does not say so. The abstract's "less than 25 million parameters" and "5 billion
multiply-adds" do not hold for the table with these widths: 25.95 M (29.28 M with the auxiliary
classifier) and 6.35 thousand million. They do, nearly, for the authors' code, with four modules of
17x17: 23.83 M and 5.71. §6 says 42 layers, which are 54 one behind the other (48 in that code), and
2.5 times GoogLeNet's cost, which are 4.0 times 1.58 thousand million (3.6 in that code).

*Training* (§7, §8): label smoothing 0.1; RMSProp with decay 0.9 and epsilon 1.0, rate 0.045 times
0.94 every second epoch, gradients clipped at 2.0, evaluation with averaged weights.

*What differs from the paper.* ``paper``: starting weights, dropout and the weight of the auxiliary
loss, of which it says nothing, are the authors' code's, but for the norms' momentum, 0.1 in place
of 0.0003; smaller pictures than 299 are taken down to 75, and then the auxiliary classifier's map
is stretched to 17x17. ``torchvision`` is the authors' code, to which the published weights belong:
a 1x1 convolution and a second max pool in the stem; in figure 5's module a 5x5 in place of the
first pair of 3x3, and 256 channels after the first of them; four of figure 6's module. From the
authors' code in turn torchvision differs in dropout (50 %), in average pools that count the zeros
around the map, and in starting weights that are not cut.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from deepcanon.classify.parts.inception_parts import (
    Branches,
    chain,
    reset_norms,
    same,
    shrink,
    top,
    valid,
)
from deepcanon.classify.weights.inception_v3 import IMAGENET, torchvision_keys
from deepcanon.classify.weights.official import load_weights
from deepcanon.core.catalog import ModelCard, Variant, register
from deepcanon.core.errors import BadInput
from deepcanon.nn.any_size import AnySize
from deepcanon.nn.conv_norm import conv_norm
from deepcanon.nn.initial import truncated_normal
from deepcanon.nn.preprocessing import INCEPTION, Preprocessing
from deepcanon.nn.taps import check_size
from deepcanon.nn.unfilled import unfilled


class Stem(StrEnum):
    """How a picture becomes a 35x35 map."""

    CONVOLUTIONS = "convolutions"  # Table 1
    POOLED = "pooled"  # authors' code: 1x1 to 80, 3x3 to 192, max pool


class Border(StrEnum):
    """What the 3x3 average pools do where their window leaves the map."""

    LEFT_OUT = "left_out"  # TensorFlow, so the authors' code: only the map is averaged
    COUNTED = "counted"  # torchvision: the zeros around the map are averaged too


class Initialisation(StrEnum):
    """Where the weights start: the paper is silent."""

    # inception_model.py: normal, cut at two standard deviations. Convolutions 0.1, FC 0.01; in the
    # auxiliary head the 5x5 has 0.01, the FC layer 0.001.
    AUTHORS_CODE = "authors_code"
    UNCUT = "uncut"  # torchvision: normal; also the FC layer 0.1, its bias as torch draws it


@dataclass(frozen=True, kw_only=True)
class Config:
    """What the variants decide."""

    num_classes: int = 1000  # Table 1
    stem: Stem = Stem.CONVOLUTIONS  # Table 1
    paired_kernel: int = 3  # figure 5: of the convolution behind the module's second 1x1
    pool_widths: tuple[int, ...] = (64, 64, 64)  # Table 1: 3 modules of 64 + 64 + 96 + 64 = 288
    seven_widths: tuple[int, ...] = (128, 160, 160, 160, 192)  # Table 1: 5; authors' code: widths
    coarse_modules: int = 2  # Table 1
    dropout: float = 0.2  # authors' code
    auxiliary_weight: float = 0.4  # authors' code, inception_model.py: weight of aux_loss
    border: Border = Border.LEFT_OUT  # authors' code
    initialisation: Initialisation = Initialisation.AUTHORS_CODE

    def __post_init__(self) -> None:
        # A config that went through JSON holds plain lists.
        for name, papers in (("pool_widths", 3), ("seven_widths", 5)):
            widths = tuple(getattr(self, name))
            object.__setattr__(self, name, widths)
            if min(widths, default=0) < 1:
                raise BadInput(
                    f"{name} is {list(widths)}",
                    hint=f"it needs a number from 1 up for each module; the paper has {papers}",
                )
        for name, papers in (("num_classes", 1000), ("coarse_modules", 2)):
            if getattr(self, name) < 1:
                raise BadInput(
                    f"{name} is {getattr(self, name)}",
                    hint=f"it must be 1 or more; the paper's is {papers}",
                )
        if self.paired_kernel not in (3, 5):
            raise BadInput(
                f"paired_kernel is {self.paired_kernel}",
                hint="take 3, as in the paper's figure 5, or 5, as in the authors' code",
            )
        if not 0 <= self.dropout < 1:
            raise BadInput(
                f"dropout is {self.dropout}",
                hint="it must be at least 0 and under 1; the authors' is 0.2",
            )

    @property
    def smallest(self) -> int:
        """Side of the smallest picture of which a pixel is left: 75 -> 37 35 17 15 7 3 1."""
        return 75


PAPER = Config()
TORCHVISION = Config(
    stem=Stem.POOLED,
    paired_kernel=5,
    pool_widths=(32, 64, 64),
    seven_widths=(128, 160, 160, 192),
    dropout=0.5,
    border=Border.COUNTED,
    initialisation=Initialisation.UNCUT,
)


# --- blocks --------------------------------------------------------------------------------------


def stem(how: Stem) -> nn.Sequential:
    """299x299x3 -> 35x35, of 288 channels (Table 1) or 192 (authors' code)."""
    first = (valid(3, 32, stride=2), valid(3, 32), same(3, 64), shrink())
    if how is Stem.POOLED:
        return chain(3, *first, same(1, 80), valid(3, 192), shrink())
    return chain(3, *first, valid(3, 80), valid(3, 192, stride=2), same(3, 288))


def _average(border: Border) -> nn.AvgPool2d:
    return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=border is Border.COUNTED)


def fine_module(into: int, *, pool: int, config: Config) -> Branches:
    """Figure 5, for 35x35 maps: a 5x5 is two 3x3. -> 224 + pool channels."""
    return Branches(
        chain(into, same(1, 64)),
        chain(into, same(1, 48), same(config.paired_kernel, 64)),
        chain(into, same(1, 64), same(3, 96), same(3, 96)),
        chain(into, _average(config.border), same(1, pool)),
    )


def to_17(into: int) -> Branches:
    """Figure 10 between 35x35 and 17x17: -> 384 + 96 + into channels."""
    return Branches(
        chain(into, valid(3, 384, stride=2)),
        chain(into, same(1, 64), same(3, 96), valid(3, 96, stride=2)),
        shrink(),
    )


def seven_module(into: int, *, n: int, config: Config) -> Branches:
    """Figure 6, for 17x17 maps: a 7x7 is 1x7 and 7x1. -> 768 channels."""
    across, down = (1, 7), (7, 1)
    return Branches(
        chain(into, same(1, 192)),
        chain(into, same(1, n), same(across, n), same(down, 192)),
        chain(into, same(1, n), same(down, n), same(across, n), same(down, n), same(across, 192)),
        chain(into, _average(config.border), same(1, 192)),
    )


def to_8(into: int) -> Branches:
    """Figure 10 between 17x17 and 8x8: -> 320 + 192 + into channels."""
    return Branches(
        chain(into, same(1, 192), valid(3, 320, stride=2)),
        chain(into, same(1, 192), same((1, 7), 192), same((7, 1), 192), valid(3, 192, stride=2)),
        shrink(),
    )


def coarse_module(into: int, *, config: Config) -> Branches:
    """Figure 7, for 8x8 maps: 1x3 and 3x1 side by side, not in a row. -> 2048 channels."""
    return Branches(
        chain(into, same(1, 320)),
        chain(into, same(1, 384), _both(384)),
        chain(into, same(1, 448), same(3, 384), _both(384)),
        chain(into, _average(config.border), same(1, 192)),
    )


def _both(width: int) -> Branches:
    return Branches(chain(width, same((1, 3), width)), chain(width, same((3, 1), width)))


class Auxiliary(nn.Module):
    """The classifier beside the last 17x17 map (figure 8), with batch normalisation."""

    MAP = 17  # side of the map that it is made for

    def __init__(self, into: int, classes: int) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(5, stride=3)
        self.reduce = conv_norm(into, 128, kernel=1)
        self.wide = conv_norm(128, 768, kernel=5)
        self.fc = nn.Linear(768, classes)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b classes"]:
        """[b, c, 17, 17] -> 5x5 -> 1x1 -> class scores; larger maps are averaged at the end."""
        height, width = x.shape[-2:]
        if height < self.MAP or width < self.MAP:  # values are repeated
            x = functional.adaptive_avg_pool2d(x, (max(height, self.MAP), max(width, self.MAP)))
        scores: Tensor = self.fc(self.wide(self.reduce(self.pool(x))).mean(dim=(2, 3)))
        return scores


# --- the network ---------------------------------------------------------------------------------


class InceptionV3(nn.Module):
    """Table 1, with the auxiliary classifier of figure 8."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.preprocessing: Preprocessing | None = None  # what the loaded weights expect
        with unfilled(self):
            self.stem = stem(config.stem)  # [b, 288 or 192, 35, 35]
            channels = 288 if config.stem is Stem.CONVOLUTIONS else 192
            self.fine = nn.Sequential()  # [b, 288, 35, 35]
            for pool in config.pool_widths:
                self.fine.append(fine_module(channels, pool=pool, config=config))
                channels = 224 + pool
            self.to_17 = to_17(channels)
            channels += 384 + 96
            self.sevens = nn.Sequential()  # [b, 768, 17, 17]
            for n in config.seven_widths:
                self.sevens.append(seven_module(channels, n=n, config=config))
                channels = 768
            self.auxiliary = Auxiliary(channels, config.num_classes)
            self.to_8 = to_8(channels)
            channels += 320 + 192
            self.coarse = nn.Sequential()  # [b, 2048, 8, 8]
            for _ in range(config.coarse_modules):
                self.coarse.append(coarse_module(channels, config=config))
                channels = 2048
            self.top = top(channels, config.num_classes, dropout=config.dropout)
        initialise(self, how=config.initialisation)

    def forward(self, pictures: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b classes"]:
        """Pictures, preprocessed as the weights want them -> class scores (before softmax).

        Raises BadInput for pictures with a side under `Config.smallest`.
        """
        return self._from_17(self._up_to_17(pictures))

    def all_logits(
        self, pictures: Float[Tensor, "b 3 h w"]
    ) -> tuple[Float[Tensor, "b classes"], ...]:
        """What training needs: the scores of `forward`, then the auxiliary classifier's."""
        x = self._up_to_17(pictures)
        return self._from_17(x), self.auxiliary(x)

    def exportable(self) -> AnySize:
        """The same network in the form that `deepcanon.engine.export` leaves sizes free in."""
        return AnySize(self).train(self.training)

    def _up_to_17(self, pictures: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 768 h2 w2"]:
        check_size(pictures, smallest=self.config.smallest)
        x: Tensor = self.sevens(self.to_17(self.fine(self.stem(pictures))))
        return x

    def _from_17(self, x: Float[Tensor, "b 768 h w"]) -> Float[Tensor, "b classes"]:
        scores: Tensor = self.top(self.coarse(self.to_8(x)))
        return scores


def initialise(net: InceptionV3, *, how: Initialisation) -> None:
    """Draw every weight of ``net`` anew from torch's generator; see `Initialisation`."""
    reset_norms(net)
    deviations: dict[nn.Module, float] = {net.auxiliary.wide[0]: 0.01, net.auxiliary.fc: 0.001}
    if how is Initialisation.AUTHORS_CODE:
        deviations[net.top[-1]] = 0.01
    for layer in net.modules():
        if not isinstance(layer, nn.Conv2d | nn.Linear):
            continue
        std = deviations.get(layer, 0.1)
        if how is Initialisation.UNCUT:
            if isinstance(layer, nn.Linear):
                layer.reset_parameters()  # for the bias
            nn.init.normal_(layer.weight, std=std)
            continue
        truncated_normal(layer.weight, std=std)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def load(model: InceptionV3, source: str | Path) -> Preprocessing | None:
    """Fill a network from "imagenet" or from a weights file; returns what it expects of pictures.

    For a network with the authors' stem, a ``.pth`` is torchvision's, trained with its
    ``transform_input`` as the published one is. Raises BadInput for a file that does not fit,
    Unavailable when "imagenet" cannot be fetched.
    """
    foreign = model.config.stem is Stem.POOLED
    if str(source) == "imagenet" and not foreign:
        raise BadInput(
            "there are no published ImageNet weights for this variant of inception_v3",
            hint="there are for the variant torchvision; or train this one",
        )
    model.preprocessing = load_weights(
        model,
        source,
        official=IMAGENET,
        dialect=torchvision_keys() if foreign else None,
        preprocessing=INCEPTION if foreign else None,
    )
    return model.preprocessing


_CARD = ModelCard(
    name="inception_v3",
    domain="classify",
    rows=("C13",),
    title="Rethinking the Inception Architecture for Computer Vision",
    authors="Christian Szegedy, Vincent Vanhoucke, Sergey Ioffe, Jonathon Shlens, Zbigniew Wojna",
    venue="CVPR",
    year=2016,
    link="https://arxiv.org/abs/1512.00567",
    new="Convolutions factorised: 5x5 into two 3x3, 7x7 into 1x7 and 7x1; label smoothing.",
    variants={
        "paper": Variant(
            config=PAPER,
            differs="widths, starting weights and dropout, not in the paper, are the authors' "
            "code's; norms have momentum 0.1; takes pictures from 75x75 up",
        ),
        "torchvision": Variant(
            config=TORCHVISION,
            differs="the authors' code: pooled stem, 5x5 kept in the 35x35 modules, four 17x17 "
            "modules; dropout 50 %, borders counted in average pools, starting weights not cut",
            weights=("imagenet",),
        ),
    },
    input_size=(3, 299, 299),
)


@register(_CARD, load=load)
def inception_v3(config: Config) -> InceptionV3:
    """The network of Table 1."""
    return InceptionV3(config)

"""Inception-v4: one kind of module for each grid size, and nothing left of older constraints.

C. Szegedy, S. Ioffe, V. Vanhoucke, A. Alemi, "Inception-v4, Inception-ResNet and the Impact of
Residual Connections on Learning", AAAI 2017, https://arxiv.org/abs/1602.07261 (figures, tables and
sections below are the arXiv v2's). Its residual networks are in
`deepcanon.classify.inception_resnet`.

*What was new*: simpler and more uniform than Inception-v3, with more modules; a stem that itself
branches. It was made to tell what residuals are worth: without them, a network as deep learns as
well in the end, only more slowly.

Figure 9 of the paper (each convolution is followed by batch normalisation and a ReLU)::

    type             figure  output
    stem             3       35x35x384
    4 x Inception-A  4       35x35x384
    Reduction-A      7       17x17x1024   k, l, m, n = 192, 224, 256, 384 (Table 1)
    7 x Inception-B  5       17x17x1024
    Reduction-B      8       8x8x1536
    3 x Inception-C  6       8x8x1536
    average pool             1536
    dropout                  1536         keeps 0.8
    softmax                  1000

Reported errors (table 2, one crop): 20.0 % top-1, 5.0 % top-5; together with three
Inception-ResNet-v2 3.08 % top-5 on the test set.

*Where the paper is inconsistent.* Figure 5 draws a 7x7 in two steps as 1x7 and 1x7 again; its other
branch, figure 8 and the authors' code have 1x7 and 7x1, and so have we.

*Training* (§4): RMSProp with decay 0.9 and epsilon 1.0, rate 0.045 times 0.94 every second epoch,
evaluation with averaged weights.

*What differs from the paper.* ``paper``: of starting weights nothing is said: TF-Slim's, see
`initialise`; norms have epsilon 0.001, as there, and momentum 0.1, not 0.0003; smaller pictures
than 299 are taken down to 75. ``tf_slim`` is the authors' code, to which the published weights
belong (timm has converted them): of the pairs of 1x7 and 7x1 in the stem and in the long branch of
Inception-B, and of 1x3 and 3x1 in Inception-C, the other one comes first. Its auxiliary classifier,
of which the paper says nothing, is in neither.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from math import sqrt
from pathlib import Path

from jaxtyping import Float
from torch import Tensor, nn

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
from deepcanon.classify.weights.inception_v4 import V4, v4_keys, without_background
from deepcanon.classify.weights.official import load_weights
from deepcanon.core.catalog import ModelCard, Variant, register
from deepcanon.core.errors import BadInput
from deepcanon.nn.any_size import AnySize
from deepcanon.nn.initial import truncated_normal
from deepcanon.nn.preprocessing import INCEPTION, Preprocessing
from deepcanon.nn.taps import check_size
from deepcanon.nn.unfilled import unfilled


class Order(StrEnum):
    """Which of two one-sided convolutions comes first, where figures and code disagree."""

    FIGURES = "figures"  # figure 3: 7x1, 1x7; figure 5: 1x7, 7x1, twice; figure 6: 1x3, 3x1
    TF_SLIM = "tf_slim"  # the other one


@dataclass(frozen=True, kw_only=True)
class Config:
    """What the variants decide; all widths are the figures'."""

    num_classes: int = 1000  # figure 9
    blocks: tuple[int, int, int] = (4, 7, 3)  # figure 9: Inception-A, -B, -C
    order: Order = Order.FIGURES
    dropout: float = 0.2  # figure 9: "keep 0.8"

    def __post_init__(self) -> None:
        object.__setattr__(self, "blocks", tuple(self.blocks))  # JSON has lists
        check_settings(
            blocks=self.blocks, papers="4, 7 and 3", classes=self.num_classes, dropout=self.dropout
        )

    @property
    def smallest(self) -> int:
        """Side of the smallest picture of which a pixel is left: 75 -> 37 35 17 15 7 3 1."""
        return 75


PAPER = Config()
TF_SLIM = replace(PAPER, order=Order.TF_SLIM)


# --- blocks --------------------------------------------------------------------------------------


def stem(*, order: Order) -> nn.Sequential:
    """Figure 3, also of Inception-ResNet-v2: 299x299x3 -> 35x35x384."""
    pair = [same((7, 1), 64), same((1, 7), 64)]
    if order is Order.TF_SLIM:
        pair.reverse()
    return nn.Sequential(
        *chain(3, valid(3, 32, stride=2), valid(3, 32), same(3, 64)),  # 147x147
        Branches(shrink(), chain(64, valid(3, 96, stride=2))),  # 73x73x160
        Branches(
            chain(160, same(1, 64), valid(3, 96)),
            chain(160, same(1, 64), *pair, valid(3, 96)),
        ),  # 71x71x192
        Branches(chain(192, valid(3, 192, stride=2)), shrink()),
    )


def inception_a() -> Branches:
    """Figure 4, for 35x35 maps of 384 channels."""
    return Branches(
        chain(384, same(1, 96)),
        chain(384, same(1, 64), same(3, 96)),
        chain(384, same(1, 64), same(3, 96), same(3, 96)),
        chain(384, smooth(), same(1, 96)),
    )


def reduction_a(into: int, *, k: int, l: int, m: int, n: int) -> Branches:  # noqa: E741
    """Figure 7 with the letters of Table 1: 35x35 -> 17x17, of n + m + into channels."""
    return Branches(
        chain(into, valid(3, n, stride=2)),
        chain(into, same(1, k), same(3, l), valid(3, m, stride=2)),
        shrink(),
    )


def inception_b(*, order: Order) -> Branches:
    """Figure 5, for 17x17 maps of 1024 channels."""
    first, second = ((1, 7), (7, 1)) if order is Order.FIGURES else ((7, 1), (1, 7))
    long = (same(first, 192), same(second, 224), same(first, 224), same(second, 256))
    return Branches(
        chain(1024, same(1, 384)),
        chain(1024, same(1, 192), same((1, 7), 224), same((7, 1), 256)),
        chain(1024, same(1, 192), *long),
        chain(1024, smooth(), same(1, 128)),
    )


def reduction_b() -> Branches:
    """Figure 8: 17x17x1024 -> 8x8x1536."""
    seven = (same((1, 7), 256), same((7, 1), 320))
    return Branches(
        chain(1024, same(1, 192), valid(3, 192, stride=2)),
        chain(1024, same(1, 256), *seven, valid(3, 320, stride=2)),
        shrink(),
    )


def inception_c(*, order: Order) -> Branches:
    """Figure 6, for 8x8 maps of 1536 channels: 1x3 and 3x1 side by side at the ends."""
    first, second = ((1, 3), (3, 1)) if order is Order.FIGURES else ((3, 1), (1, 3))
    return Branches(
        chain(1536, same(1, 256)),
        chain(1536, same(1, 384), _both(384)),
        chain(1536, same(1, 384), same(first, 448), same(second, 512), _both(512)),
        chain(1536, smooth(), same(1, 256)),
    )


def _both(into: int) -> Branches:
    return Branches(chain(into, same((1, 3), 256)), chain(into, same((3, 1), 256)))


# --- the network ---------------------------------------------------------------------------------


class InceptionV4(nn.Module):
    """Figure 9."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.preprocessing: Preprocessing | None = None  # what the loaded weights expect
        a, b, c = config.blocks
        with unfilled(self):
            self.stem = stem(order=config.order)  # [b, 384, 35, 35]
            self.a = nn.Sequential(*(inception_a() for _ in range(a)))
            self.reduction_a = reduction_a(384, k=192, l=224, m=256, n=384)  # Table 1
            self.b = nn.Sequential(*(inception_b(order=config.order) for _ in range(b)))
            self.reduction_b = reduction_b()
            self.c = nn.Sequential(*(inception_c(order=config.order) for _ in range(c)))
            self.top = top(1536, config.num_classes, dropout=config.dropout)
        initialise(self)

    def forward(self, pictures: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b classes"]:
        """Pictures, preprocessed as the weights want them -> class scores (before softmax).

        Raises BadInput for pictures with a side under `Config.smallest`.
        """
        check_size(pictures, smallest=self.config.smallest)
        x = self.reduction_a(self.a(self.stem(pictures)))  # [b, 1024, 17, 17]
        x = self.reduction_b(self.b(x))  # [b, 1536, 8, 8]
        scores: Tensor = self.top(self.c(x))
        return scores

    def exportable(self) -> AnySize:
        """The same network in the form that `deepcanon.engine.export` leaves sizes free in."""
        return AnySize(self).train(self.training)


def initialise(net: nn.Module) -> None:
    """Draw all weights anew as TF-Slim does for Inception-v4.

    Convolutions: truncated normal, of He's variance 2 / fan in (`variance_scaling_initializer`,
    whose standard deviation before the cut is sqrt(1.3 * 2 / fan in)). FC layer: Glorot uniform.
    Biases: zero.
    """
    reset_norms(net)
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            truncated_normal(layer.weight, std=sqrt(1.3 * 2 / layer.weight[0].numel()))
        elif isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)


def load(model: InceptionV4, source: str | Path) -> Preprocessing | None:
    """Fill a network from "imagenet" or from a weights file; returns what it expects of pictures.

    For a network in TF-Slim's order, a foreign file is timm's; the row for "background" that older
    ones have is dropped. Raises BadInput for a file that does not fit, Unavailable when "imagenet"
    cannot be fetched.
    """
    foreign = model.config.order is Order.TF_SLIM
    if str(source) == "imagenet" and not foreign:
        raise BadInput(
            "there are no published ImageNet weights for this variant of inception_v4",
            hint="there are for the variant tf_slim; or train this one",
        )
    model.preprocessing = load_weights(
        model,
        source,
        official=V4,
        dialect=v4_keys(model.config.blocks) if foreign else None,
        preprocessing=INCEPTION if foreign else None,
        adapt=partial(without_background, classes=model.config.num_classes),
    )
    return model.preprocessing


_CARD = ModelCard(
    name="inception_v4",
    domain="classify",
    rows=("C14",),
    title="Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning",
    authors="Christian Szegedy, Sergey Ioffe, Vincent Vanhoucke, Alex Alemi",
    venue="AAAI",
    year=2017,
    link="https://arxiv.org/abs/1602.07261",
    new="One kind of module for each grid size, more of them, and a stem that itself branches.",
    variants={
        "paper": Variant(
            config=PAPER,
            differs="the second 1x7 of figure 5's short branch is a 7x1, as in the authors' code; "
            "starting weights and the norms' epsilon 0.001, not in the paper, are TF-Slim's; their "
            "momentum is 0.1; takes pictures from 75x75 up",
        ),
        "tf_slim": Variant(
            config=TF_SLIM,
            differs="the authors' code, without its auxiliary classifier: 1x7 before 7x1 in the "
            "stem, 7x1 before 1x7 in Inception-B's long branch, 3x1 before 1x3 in Inception-C",
            weights=("imagenet",),
        ),
    },
    input_size=(3, 299, 299),
)


@register(_CARD, load=load)
def inception_v4(config: Config) -> InceptionV4:
    """The network of figure 9."""
    return InceptionV4(config)

"""ResNet for CIFAR-10: residual and plain networks of any depth 6n + 2.

K. He, X. Zhang, S. Ren, J. Sun, Deep residual learning for image recognition, CVPR 2016,
https://arxiv.org/abs/1512.03385, §4.2. Those for ImageNet are in `deepcanon.classify.resnet`.

*What was new*: the same blocks kept simple, to see what depth alone does. Plain networks end with a
higher training error the deeper they are, residual ones with a lower, up to 110 layers.

The network (§4.2; a convolution is followed by batch norm and ReLU)::

    output side   32          16          8
    layers        1 + 2n      2n          2n       all 3x3, the first of 16 and of 8 with stride 2
    channels      16          32          64       then average pool, 10-d FC (softmax in the loss)

Every pair of layers has a shortcut, 3n in all, option A everywhere: a residual network has exactly
the parameters of its plain twin. Table 6 (test error of the residual ones)::

    layers       20      32      44      56      110                        1202
    parameters   0.27M   0.46M   0.66M   0.85M   1.7M                       19.4M
    error, %     8.75    7.51    7.17    6.97    6.43 (6.61 +- 0.16)        7.93

*Training*: 45k pictures, 5k to validate; 4 pixels padded on each side, a crop of 32, flips;
per-pixel mean taken away; SGD with momentum 0.9, batch 128, weight decay 1e-4, rate 0.1 divided by
10 after 32k and 48k steps, 64k in all. 110 layers start with 0.01 until the training error is under
80 %.

*What differs from the paper.* ``paper``: batch norm keeps running averages; pictures of any size
are taken. The zeros of option A stand behind the channels that are there, which the paper leaves
open.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from jaxtyping import Float
from torch import Tensor, nn

from deepcanon.classify.parts.resnet_blocks import (
    Basic,
    Initialisation,
    Shortcut,
    initialise,
    stage,
)
from deepcanon.classify.weights.official import load_weights
from deepcanon.core.catalog import ModelCard, Variant, register
from deepcanon.core.errors import BadInput
from deepcanon.nn.any_size import AnySize
from deepcanon.nn.preprocessing import Preprocessing
from deepcanon.nn.taps import check_size
from deepcanon.nn.unfilled import unfilled


@dataclass(frozen=True, kw_only=True)
class Config:
    """A network of §4.2; ``depth`` counts the weight layers."""

    depth: int  # §4.2: 6n + 2
    shortcut: Shortcut = Shortcut.A  # §4.2; NONE: the plain networks
    width: int = 16  # §4.2: channels of the first stage, then 2 and 4 times as many
    num_classes: int = 10  # §4.2: CIFAR-10
    initialisation: Initialisation = Initialisation.HE  # §4.2: "the weight initialization in [13]"

    def __post_init__(self) -> None:
        if self.depth < 8 or self.depth % 6 != 2:
            below = max(8, (self.depth - 2) // 6 * 6 + 2)
            raise BadInput(
                f"depth is {self.depth}, which is not 6n + 2",
                hint=f"the nearest are {below} and {below + 6}; the paper's are 20, 32, 44, 56, "
                "110 and 1202",
            )
        if self.num_classes < 1 or self.width < 1:
            raise BadInput(
                f"num_classes is {self.num_classes} and width is {self.width}",
                hint="both must be 1 or more; the paper's are 10 and 16",
            )

    @property
    def smallest(self) -> int:
        """Side of the smallest picture: every stride rounds up, so that one pixel is enough."""
        return 1


class CifarResNet(nn.Module):
    """The network of §4.2, with shortcuts or plain."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.preprocessing: Preprocessing | None = None  # what the loaded weights expect
        width, n = config.width, (config.depth - 2) // 6
        make = partial(Basic, shortcut=config.shortcut)
        with unfilled(self):
            self.conv1 = nn.Conv2d(3, width, 3, padding=1, bias=False)
            self.bn1 = nn.BatchNorm2d(width)
            self.relu = nn.ReLU(inplace=True)
            stages, into = [], width
            for out, stride in ((width, 1), (2 * width, 2), (4 * width, 2)):
                stages.append(stage(make, into=into, width=out, out=out, blocks=n, stride=stride))
                into = out
            self.layer1, self.layer2, self.layer3 = stages  # 32x32, 16x16, 8x8
            self.fc = nn.Linear(into, config.num_classes)
        initialise(self, how=config.initialisation)

    def forward(self, pictures: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b classes"]:
        """Pictures, preprocessed as the weights want them -> class scores (before softmax).

        Raises BadInput for pictures without a pixel.
        """
        check_size(pictures, smallest=self.config.smallest)
        x = self.relu(self.bn1(self.conv1(pictures)))  # [b, 16, h, w]
        x = self.layer3(self.layer2(self.layer1(x)))  # [b, 64, h/4, w/4]
        scores: Tensor = self.fc(x.mean(dim=(2, 3)))
        return scores

    def exportable(self) -> AnySize:
        """The same network in the form that `deepcanon.engine.export` leaves sizes free in."""
        return AnySize(self).train(self.training)


def load(model: CifarResNet, source: str | Path) -> Preprocessing | None:
    """Fill a network from a weights file; sets its ``preprocessing``, None if nobody says.

    Raises BadInput for a file that does not fit and for "imagenet", which there is none of.
    """
    model.preprocessing = load_weights(model, source, official=None)
    return model.preprocessing


_PAPER = "batch norm keeps running averages; takes pictures of any size"


def _card(depth: int, *, shortcut: Shortcut) -> ModelCard:
    plain = shortcut is Shortcut.NONE
    new = (
        f"{depth} layers in a row: what depth alone does, which from 20 on is harm."
        if plain
        else f"{depth} layers with a shortcut around every two and the parameters of plain{depth}."
    )
    config = Config(depth=depth, shortcut=shortcut)
    return ModelCard(
        name=f"{'plain' if plain else 'resnet'}{depth}",
        domain="classify",
        rows=("C16",),
        title="Deep Residual Learning for Image Recognition",
        authors="Kaiming He, Xiangyu Zhang, Shaoqing Ren, Jian Sun",
        venue="CVPR",
        year=2016,
        link="https://arxiv.org/abs/1512.03385",
        new=new,
        variants={"paper": Variant(config=config, differs=_PAPER)},
        input_size=(3, 32, 32),
    )


@register(_card(20, shortcut=Shortcut.NONE), load=load)
@register(_card(32, shortcut=Shortcut.NONE), load=load)
@register(_card(44, shortcut=Shortcut.NONE), load=load)
@register(_card(56, shortcut=Shortcut.NONE), load=load)
@register(_card(110, shortcut=Shortcut.NONE), load=load)
@register(_card(20, shortcut=Shortcut.A), load=load)
@register(_card(32, shortcut=Shortcut.A), load=load)
@register(_card(44, shortcut=Shortcut.A), load=load)
@register(_card(56, shortcut=Shortcut.A), load=load)
@register(_card(110, shortcut=Shortcut.A), load=load)
def cifar_resnet(config: Config) -> CifarResNet:
    """A residual or plain network of any depth 6n + 2; ``depth`` is a setting like the others."""
    return CifarResNet(config)

"""BN-Inception, or Inception-v2: GoogLeNet with batch normalisation.

S. Ioffe, C. Szegedy, "Batch Normalization: Accelerating Deep Network Training by Reducing Internal
Covariate Shift", ICML 2015, https://arxiv.org/abs/1502.03167.

*What was new*: the output of each convolution is normalised by the mean and the variance that it
has over a batch, before the ReLU. The network then takes thirty times the learning rate, and needs
neither LRN nor dropout (§4.2.1). The modules have two 3x3 convolutions in place of each 5x5, and
the last convolutions of two of them halve the size: no pool stands between modules any more.

Figure 5 of the paper (each convolution is followed by batch normalisation and a ReLU)::

    type         size/stride  output      #1x1  #3x3r  #3x3  double r  double  pool + proj
    convolution* 7x7/2        112x112x64
    max pool     3x3/2        56x56x64
    convolution  3x3/1        56x56x192         64     192
    max pool     3x3/2        28x28x192
    3a                        28x28x256   64    64     64    64        96      avg + 32
    3b                        28x28x320   64    64     96    64        96      avg + 64
    3c           stride 2     28x28x576   0     128    160   64        96      max + pass through
    4a                        14x14x576   224   64     96    96        128     avg + 128
    4b                        14x14x576   192   96     128   96        128     avg + 128
    4c                        14x14x576   160   128    160   128       160     avg + 128
    4d                        14x14x576   96    128    192   160       192     avg + 128
    4e           stride 2     14x14x1024  0     128    192   192       256     max + pass through
    5a                        7x7x1024    352   192    320   160       224     avg + 128
    5b                        7x7x1024    352   192    320   192       224     max + 128
    avg pool     7x7/1        1x1x1024
    linear                    1x1x1000

\\* separable, with a depth multiplier of 8: 7x7 for each channel alone, then 1x1 (appendix).
Reported errors (figure 4): 25.2 % top-1 and 7.82 % top-5 with one crop; six networks with 144 crops
4.9 % top-5, and 4.82 % on the test set.

*Where the paper is inconsistent.* The outputs of 3c and 4e are those before their stride: 14x14
and 7x7 follow. 4c and 4d cannot have 576 channels: 160 + 160 + 160 + 128 = 96 + 192 + 192 + 128 =
608, and then 4e has 192 + 256 + 608 = 1056. With projections to 96 all outputs are the table's, and
so has the authors' later code (TF-Slim, inception_v2): that is ``paper``. The column to the letter
is ``wide``. §4.2 says 13.6 M parameters: figure 5 has 11.19 M, the wide form 11.28 M. The appendix
says a quarter more parameters than GoogLeNet, which has 6.99 M: it is 1.6 times as many. It says
30 % more multiply-adds, and those are right: 1935 M / 1499 M = 1.29.

*What differs from the paper.* ``paper``: 4c and 4d, see above; nothing is said of borders nor of
the starting weights: borders are half a window wide, so that a stride of 2 halves sizes upwards,
and do not count in averages; weights are He's, truncated; epsilon is 0.001, as in TF-Slim.
Norms keep running averages, of which each batch is a tenth; the paper's Algorithm 2 averages over
many batches when training is done.
``wide``: the same, with projections to 128 in 4c and 4d.
There are no auxiliary classifiers: no FC layer but the last is there, says §4.2.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from deepcanon.classify.googlenet import Initialisation, Stem, initialise
from deepcanon.classify.parts.googlenet_modules import separable
from deepcanon.classify.weights.official import load_weights
from deepcanon.core.catalog import ModelCard, Variant, register
from deepcanon.core.errors import BadInput
from deepcanon.nn.any_size import AnySize
from deepcanon.nn.conv_norm import conv_norm
from deepcanon.nn.preprocessing import Preprocessing
from deepcanon.nn.taps import check_size


class Pool(StrEnum):
    """What the last branch of a module does, over 3x3."""

    AVERAGE = "average"
    MAX = "max"


class Widths(NamedTuple):
    """A module's row of figure 5. One without a projection has stride 2."""

    one: int  # #1x1
    three_reduce: int
    three: int
    double_reduce: int
    double: int
    pool: Pool
    project: int  # 0: the pool's output passes through

    def out(self, into: int) -> int:
        """Channels of the concatenation, for a map of ``into`` channels."""
        return self.one + self.three + self.double + (self.project or into)


MODULES = {  # Figure 5; 4c and 4d are those of the outputs, with projections to 96
    "3a": Widths(64, 64, 64, 64, 96, Pool.AVERAGE, 32),
    "3b": Widths(64, 64, 96, 64, 96, Pool.AVERAGE, 64),
    "3c": Widths(0, 128, 160, 64, 96, Pool.MAX, 0),
    "4a": Widths(224, 64, 96, 96, 128, Pool.AVERAGE, 128),
    "4b": Widths(192, 96, 128, 96, 128, Pool.AVERAGE, 128),
    "4c": Widths(160, 128, 160, 128, 160, Pool.AVERAGE, 96),
    "4d": Widths(96, 128, 192, 160, 192, Pool.AVERAGE, 96),
    "4e": Widths(0, 128, 192, 192, 256, Pool.MAX, 0),
    "5a": Widths(352, 192, 320, 160, 224, Pool.AVERAGE, 128),
    "5b": Widths(352, 192, 320, 192, 224, Pool.MAX, 128),
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """What the variants decide; the other widths are figure 5's in all of them."""

    num_classes: int = 1000  # §4.2: ILSVRC
    stem: Stem = Stem.SEPARABLE  # appendix
    project_4c_4d: int = 96  # figure 5: what its outputs leave for these; its column says 128
    dropout: float = 0.0  # §4.2.1: removed

    def __post_init__(self) -> None:
        for name, papers in (("num_classes", 1000), ("project_4c_4d", 96)):
            if getattr(self, name) < 1:
                raise BadInput(
                    f"{name} is {getattr(self, name)}",
                    hint=f"it must be 1 or more; the paper's is {papers}",
                )
        if not 0 <= self.dropout < 1:
            raise BadInput(
                f"dropout is {self.dropout}",
                hint="it must be at least 0 and under 1; the paper has none",
            )

    @property
    def smallest(self) -> int:
        """Side of the smallest picture: 1, as every layer has a border."""
        return 1


PAPER = Config()
WIDE = replace(PAPER, project_4c_4d=128)


class Inception(nn.Module):
    """A module: a map seen through 1x1, 3x3, two 3x3 in a row, and a pool."""

    def __init__(self, into: int, widths: Widths) -> None:
        super().__init__()
        stride = 1 if widths.project else 2
        branches: dict[str, nn.Module] = {}
        if widths.one:
            branches["one"] = conv_norm(into, widths.one, kernel=1)
        branches["three"] = nn.Sequential(
            OrderedDict(
                reduce=conv_norm(into, widths.three_reduce, kernel=1),
                wide=conv_norm(
                    widths.three_reduce, widths.three, kernel=3, stride=stride, padding=1
                ),
            )
        )
        branches["three_twice"] = nn.Sequential(
            OrderedDict(
                reduce=conv_norm(into, widths.double_reduce, kernel=1),
                first=conv_norm(widths.double_reduce, widths.double, kernel=3, padding=1),
                second=conv_norm(widths.double, widths.double, kernel=3, stride=stride, padding=1),
            )
        )
        pool: dict[str, nn.Module] = {"pool": _pool(widths.pool, stride=stride)}
        if widths.project:
            pool["project"] = conv_norm(into, widths.project, kernel=1)
        branches["pool"] = nn.Sequential(OrderedDict(pool))
        self.branches = nn.ModuleDict(branches)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        """The views side by side; a module without a projection halves the sides, upwards."""
        return torch.cat([branch(x) for branch in self.branches.values()], dim=1)


def _pool(kind: Pool, *, stride: int) -> nn.Module:
    if kind is Pool.MAX:
        return nn.MaxPool2d(3, stride=stride, padding=1)
    return nn.AvgPool2d(3, stride=stride, padding=1, count_include_pad=False)


def _stem(config: Config) -> nn.Sequential:
    conv1 = conv_norm(3, 64, kernel=7, stride=2, padding=3)
    if config.stem is Stem.SEPARABLE:
        assert isinstance(conv1.conv, nn.Conv2d)
        conv1[0] = separable(conv1.conv)
    return nn.Sequential(
        OrderedDict(
            conv1=conv1,  # 112x112
            pool1=_pool(Pool.MAX, stride=2),  # 56x56
            conv2_reduce=conv_norm(64, 64, kernel=1),
            conv2=conv_norm(64, 192, kernel=3, padding=1),
            pool2=_pool(Pool.MAX, stride=2),  # 28x28
        )
    )


def _modules(config: Config) -> nn.Sequential:
    layers: dict[str, nn.Module] = {}
    channels = 192
    for name, row in MODULES.items():
        widths = row._replace(project=config.project_4c_4d) if name in ("4c", "4d") else row
        layers[name] = Inception(channels, widths)
        channels = widths.out(channels)
    return nn.Sequential(OrderedDict(layers))


class BNInception(nn.Module):
    """Figure 5."""

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
                fc=nn.Linear(1024, config.num_classes),  # 352 + 320 + 224 + 128
            )
        )
        initialise(self, how=Initialisation.HE)

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


def load(model: BNInception, source: str | Path) -> Preprocessing | None:
    """Fill a BN-Inception from a weights file of ours; returns what it expects of pictures.

    None for a plain state dict, which does not say. Neither torchvision nor timm has this network,
    and none of the files made from Caffe's releases of it is read; those want BGR in 0..255, less
    the mean (a recipe's ``preprocessing=caffe``). Raises BadInput for "imagenet", and for a file
    that does not fit.
    """
    model.preprocessing = load_weights(model, source, official=None)
    return model.preprocessing


_OPEN = (
    "the paper says no starting weights (He's, truncated) and no epsilon (0.001); batch norm keeps "
    "running averages"
)
_CARD = ModelCard(
    name="bn_inception",
    domain="classify",
    rows=("C12",),
    title="Batch Normalization: Accelerating Deep Network Training by Reducing Internal "
    "Covariate Shift",
    authors="Sergey Ioffe, Christian Szegedy",
    venue="ICML",
    year=2015,
    link="https://arxiv.org/abs/1502.03167",
    new="Batch normalisation after each convolution, before the ReLU; two 3x3 in place of 5x5.",
    variants={
        "paper": Variant(
            config=PAPER,
            differs="4c and 4d project to 96, so that their outputs are figure 5's (its column "
            f"says 128); {_OPEN}",
        ),
        "wide": Variant(
            config=WIDE,
            differs="4c and 4d project to 128, as figure 5's column says: their outputs have 608 "
            f"channels and not 576, 4e's 1056 and not 1024; {_OPEN}",
        ),
    },
    input_size=(3, 224, 224),
)


@register(_CARD, load=load)
def bn_inception(config: Config) -> BNInception:
    """The network of figure 5."""
    return BNInception(config)

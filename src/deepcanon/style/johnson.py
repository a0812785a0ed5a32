"""Perceptual losses for real-time style transfer: one pass instead of an optimisation.

J. Johnson, A. Alahi, L. Fei-Fei, ECCV 2016, https://arxiv.org/abs/1603.08155, and the table of its
supplementary material; code: https://github.com/jcjohnson/fast-neural-style.

*What was new*: a feed-forward network is trained so that its output has a low perceptual loss
under a fixed VGG16. Repainting is then a single pass, three orders of magnitude faster than
Gatys' optimisation.

The network (supplementary material, table 1; h x w x c for a picture of 256x256)::

    reflection padding 40             336 x 336 x 3
    9x9 conv, 32                      336 x 336 x 32
    3x3 conv, 64, stride 2            168 x 168 x 64
    3x3 conv, 128, stride 2            84 x  84 x 128
    5 residual blocks, 128, unpadded   64 x  64 x 128    (each cuts 2 pixels from every side)
    3x3 conv, 64, stride 1/2          128 x 128 x 64
    3x3 conv, 32, stride 1/2          256 x 256 x 32
    9x9 conv, 3                       256 x 256 x 3      scaled tanh

Each convolution but the last is followed by a norm and ReLU; a residual block is conv, norm, ReLU,
conv, norm, and adds its input without a ReLU after (§3.1 and Gross & Wilber).

*What differs from the paper.*

- ``paper``: pictures are 0..1 here, so the tanh is scaled to 0..1; the first layer sees them as
  -2..2, that of the authors' code as 0..255 less the mean; sides that 4 does not divide are padded
  at the far end and cut back, the paper has none.
- ``instance_norm``: instance norm for batch norm, D. Ulyanov, A. Vedaldi, V. Lempitsky, *Instance
  Normalization: The Missing Ingredient for Fast Stylization*, arXiv:1607.08022.
- ``modern``: half of the channels; nearest-neighbour upsampling and a convolution for fractional
  strides, which leave checkerboards (A. Odena et al., *Deconvolution and Checkerboard Artifacts*,
  Distill 2016); reflection padding at each convolution; a sigmoid at the end.
- ``multistyle``: as modern, with conditional instance norm after every convolution: V. Dumoulin,
  J. Shlens, M. Kudlur, *A Learned Representation for Artistic Style*, ICLR 2017,
  arXiv:1610.07629. Each style has its own scale and shift vectors; the rest is shared.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from deepcanon.core.catalog import ModelCard, Variant, register
from deepcanon.engine.export import read_weights
from deepcanon.nn.taps import check_size
from deepcanon.nn.weights import Weights, copy_into, read
from deepcanon.style.norms import ConditionalInstanceNorm, UnconditionalNorm


class Norm(StrEnum):
    """What follows a convolution."""

    BATCH = "batch"
    INSTANCE = "instance"
    CONDITIONAL = "conditional"  # instance norm with vectors of each style


class Upsampling(StrEnum):
    """How the picture becomes large again."""

    FRACTIONAL = "fractional"  # transposed convolution, stride 2
    NEAREST = "nearest"  # nearest neighbour, then a convolution


class Padding(StrEnum):
    """Where the pixels beyond the border come from."""

    REFLECT_ONCE = "reflect_once"  # 40 pixels around the picture; zeros, or nothing, inside
    REFLECT_EACH = "reflect_each"  # at every convolution


class Output(StrEnum):
    """How the last convolution becomes a picture in 0..1."""

    TANH = "tanh"
    SIGMOID = "sigmoid"


@dataclass(frozen=True, kw_only=True)
class Config:
    """A transform network."""

    widths: tuple[int, int, int] = (32, 64, 128)  # supplementary material, table 1
    blocks: int = 5  # table 1
    norm: Norm = Norm.BATCH  # §3.1
    upsampling: Upsampling = Upsampling.FRACTIONAL  # §3.1, "fractionally-strided"
    padding: Padding = Padding.REFLECT_ONCE  # table 1
    output: Output = Output.TANH  # §3.1
    styles: int = 1  # networks of the paper have one


PAPER = Config()
INSTANCE_NORM = replace(PAPER, norm=Norm.INSTANCE)
MODERN = Config(
    widths=(16, 32, 64),
    norm=Norm.INSTANCE,
    upsampling=Upsampling.NEAREST,
    padding=Padding.REFLECT_EACH,
    output=Output.SIGMOID,
)
MULTISTYLE = replace(MODERN, norm=Norm.CONDITIONAL, styles=7)

REFLECTED = 40  # table 1: what the unpadded residual blocks eat, 5 blocks x 2 x 4 pixels
SMALLEST = 16  # below, the reflections would be larger than the maps at a quarter of the size


def _norm(channels: int, config: Config) -> nn.Module:
    if config.norm is Norm.CONDITIONAL:
        return ConditionalInstanceNorm(channels, styles=config.styles)
    if config.norm is Norm.INSTANCE:
        return UnconditionalNorm(nn.InstanceNorm2d(channels, affine=True))
    return UnconditionalNorm(nn.BatchNorm2d(channels))


def _mode(config: Config) -> Literal["reflect", "zeros"]:
    return "reflect" if config.padding is Padding.REFLECT_EACH else "zeros"


class ConvNorm(nn.Module):
    """Convolution and norm, without the ReLU."""

    def __init__(
        self, into: int, out: int, *, kernel: int, stride: int = 1, pad: int, config: Config
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            into, out, kernel, stride=stride, padding=pad, padding_mode=_mode(config)
        )
        self.norm = _norm(out, config)

    def forward(
        self, x: Float[Tensor, "b c h w"], weights: Float[Tensor, "b styles"] | None
    ) -> Float[Tensor, "b d h2 w2"]:
        y: Tensor = self.norm(self.conv(x), weights)
        return y


class Residual(nn.Module):
    """Two 3x3 convolutions and the input added, cut to size where they are not padded."""

    def __init__(self, channels: int, *, config: Config) -> None:
        super().__init__()
        self.cut = 2 if config.padding is Padding.REFLECT_ONCE else 0
        pad = 0 if self.cut else 1
        self.first = ConvNorm(channels, channels, kernel=3, pad=pad, config=config)
        self.second = ConvNorm(channels, channels, kernel=3, pad=pad, config=config)

    def forward(
        self, x: Float[Tensor, "b c h w"], weights: Float[Tensor, "b styles"] | None
    ) -> Float[Tensor, "b c h2 w2"]:
        y: Tensor = self.second(functional.relu(self.first(x, weights)), weights)
        if self.cut:
            x = x[..., self.cut : -self.cut, self.cut : -self.cut]
        return x + y


class Upsample(nn.Module):
    """Twice the size, by fractional strides or by nearest neighbours and a convolution."""

    def __init__(self, into: int, out: int, *, config: Config) -> None:
        super().__init__()
        self.conv: nn.Conv2d | nn.ConvTranspose2d
        if config.upsampling is Upsampling.NEAREST:
            self.conv = nn.Conv2d(into, out, 3)
        else:
            self.conv = nn.ConvTranspose2d(into, out, 3, stride=2, padding=1, output_padding=1)
        self.norm = _norm(out, config)

    def forward(
        self, x: Float[Tensor, "b c h w"], weights: Float[Tensor, "b styles"] | None
    ) -> Float[Tensor, "b d h2 w2"]:
        if isinstance(self.conv, nn.Conv2d):
            x = functional.interpolate(x, scale_factor=2.0, mode="nearest")
            x = functional.pad(x, (1, 1, 1, 1), mode="reflect")
        y: Tensor = self.norm(self.conv(x), weights)
        return y


class TransformNet(nn.Module):
    """The image transformation network: a picture in, the repainted picture out."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        narrow, middle, wide = config.widths
        self.enter = ConvNorm(3, narrow, kernel=9, pad=4, config=config)
        self.down1 = ConvNorm(narrow, middle, kernel=3, stride=2, pad=1, config=config)
        self.down2 = ConvNorm(middle, wide, kernel=3, stride=2, pad=1, config=config)
        self.blocks = nn.ModuleList(Residual(wide, config=config) for _ in range(config.blocks))
        self.up1 = Upsample(wide, middle, config=config)
        self.up2 = Upsample(middle, narrow, config=config)
        self.leave = nn.Conv2d(narrow, 3, 9, padding=4, padding_mode=_mode(config))
        # Dumoulin et al., table 1: the last convolution is normalised too, by the style.
        self.leave_norm = _norm(3, config) if config.norm is Norm.CONDITIONAL else None

    def forward(
        self,
        pictures: Float[Tensor, "b 3 h w"],
        weights: Float[Tensor, "b styles"] | None = None,
    ) -> Float[Tensor, "b 3 h w"]:
        """RGB pictures in 0..1 -> repainted pictures in 0..1, of the same size, 16x16 or more.

        ``weights``, needed by ``multistyle`` alone, has one row a picture: how much of each style.
        Raises BadInput for pictures with a side under 16 pixels.
        """
        check_size(pictures, smallest=SMALLEST)
        height, width = pictures.shape[-2:]
        x = (pictures - 0.5) * 4  # about -2..2, where weights drawn at random work well
        if self.config.padding is Padding.REFLECT_ONCE:
            x = _reflect_around(x)
        x = functional.relu(self.enter(x, weights))
        x = functional.relu(self.down1(x, weights))
        x = functional.relu(self.down2(x, weights))
        for block in self.blocks:
            x = block(x, weights)
        x = functional.relu(self.up1(x, weights))
        x = functional.relu(self.up2(x, weights))[..., :height, :width]
        x = self.leave(x)
        if self.leave_norm is not None:
            x = self.leave_norm(x, weights)
        if self.config.output is Output.SIGMOID:
            return torch.sigmoid(x)
        return (torch.tanh(x) + 1) / 2

    def example_inputs(self, pictures: Float[Tensor, "b 3 h w"]) -> tuple[Tensor, ...]:
        """All that ``forward`` needs for ``pictures``: an equal share of each style."""
        styles = self.config.styles
        return pictures, torch.full((len(pictures), styles), 1 / styles, device=pictures.device)

    def exportable(self) -> nn.Module:
        """The network with the inputs and outputs of its `.onnx` file."""
        from deepcanon.style.export import ForPictures  # it reads this file

        return ForPictures(self)


def _reflect_around(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
    """40 reflected pixels around, more at the far ends where 4 does not divide a side.

    A picture smaller than that is reflected to and fro, which torch's own padding refuses.
    """
    height, width = x.shape[-2:]
    rows = _to_and_fro(-REFLECTED, height + REFLECTED + -height % 4, side=height)
    columns = _to_and_fro(-REFLECTED, width + REFLECTED + -width % 4, side=width)
    return x.index_select(2, rows.to(x.device)).index_select(3, columns.to(x.device))


def _to_and_fro(first: int, end: int, *, side: int) -> Int[Tensor, " n"]:
    """Where pixels ``first`` to ``end`` are found in a side of mirrors: -1 is 1, ``side`` is
    ``side - 2``."""
    there_and_back = torch.full((1,), 2 * side - 2)  # a tensor: side may be a symbol, in export
    place = torch.arange(first, end) % there_and_back
    return torch.minimum(place, there_and_back - place)


_DIFFERS = {
    "paper": "pictures seen as -2..2, tanh scaled to 0..1; any size, padded to a multiple of 4 and "
    "cut back",
    "instance_norm": "instance norm for batch norm (Ulyanov et al. 2016)",
    "modern": "half width, nearest upsampling + convolution, reflection at each convolution, "
    "instance norm, sigmoid",
    "multistyle": "as modern, with conditional instance norm: many styles in one network "
    "(Dumoulin et al. 2017)",
}
CONFIGS = {
    "paper": PAPER,
    "instance_norm": INSTANCE_NORM,
    "modern": MODERN,
    "multistyle": MULTISTYLE,
}


def load(model: TransformNet, source: str | Path) -> None:
    """Fill a network from a weights file, or from a `.onnx` file that holds one.

    Raises BadInput for a file that does not fit.
    """
    if Path(source).suffix.lower() == ".onnx":
        copy_into(model, Weights(tensors=read_weights(source), source=str(source)))
    else:
        copy_into(model, read(source))


@register(
    ModelCard(
        name="johnson",
        domain="style",
        rows=("T2",),
        title="Perceptual Losses for Real-Time Style Transfer and Super-Resolution",
        authors="Justin Johnson, Alexandre Alahi, Li Fei-Fei",
        venue="ECCV",
        year=2016,
        link="https://arxiv.org/abs/1603.08155",
        new="Repainting in one pass: a network trained against perceptual losses of a fixed VGG16.",
        variants={
            name: Variant(config=config, differs=_DIFFERS[name]) for name, config in CONFIGS.items()
        },
        input_size=(3, 256, 256),
    ),
    load=load,
)
def johnson(config: Config) -> TransformNet:
    """The image transformation network."""
    return TransformNet(config)

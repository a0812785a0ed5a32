"""Slim VGG: a quarter of VGG16's channels, taught to answer as VGG16 does.

The idea is that of H. Wang et al., *Collaborative Distillation for Ultra-Resolution Universal
Style Transfer*, CVPR 2020, https://arxiv.org/abs/2003.08436: a student with a quarter of the
channels is enough to judge styles. *What differs here*: its features are not lifted to the
teacher's width by a learned embedding. Each tap of the student predicts the teacher's activation
in the basis of its own principal components (uncentred, the first quarter of them). That basis is
orthonormal, so distances between activations *and between Gram matrices* are the teacher's own,
less what the dropped components held. It takes a fourteenth of the multiply-adds, and an
eighth of the time as measured (docs/results.md).

Layers: VGG16's convolutions up to conv5_1 with 16, 32, 64, 128, 128 channels, and for each tap a
1x1 convolution ("head") of its width. 702,640 parameters (0.70 M).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from deepcanon.classify import vgg
from deepcanon.core.catalog import ModelCard, Variant, register
from deepcanon.core.errors import BadInput
from deepcanon.nn.preprocessing import CAFFE, preprocess
from deepcanon.nn.taps import tap_names, taps
from deepcanon.nn.weights import copy_into, read

# Every activation that Gatys, Johnson or the distillation asks VGG16 for.
TAPS = (
    *("relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1", "relu3_3"),
    *("relu4_1", "relu4_2", "relu4_3", "relu5_1"),
)
TEACHER_CHANNELS = {tap: {"1": 64, "2": 128, "3": 256, "4": 512, "5": 512}[tap[4]] for tap in TAPS}


@dataclass(frozen=True, kw_only=True)
class Config:
    """Shape of the student."""

    divide: int = 4  # "about a quarter of the channels"
    taps: tuple[str, ...] = TAPS

    def channels(self, tap: str) -> int:
        """Width of the student at a tap."""
        return TEACHER_CHANNELS[tap] // self.divide


class SlimVGG(nn.Module):
    """The student: pictures in, the teacher's activations in their principal components out."""

    scale: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        stages = tuple(
            tuple(vgg.Conv(conv.kernel, conv.channels // config.divide) for conv in stage)
            for stage in vgg.D.stages
        )
        he = vgg.Initialisation.HE
        stack = vgg.convolution_stack(replace(vgg.D, stages=stages, initialisation=he))
        depth = tap_names(stack).index("relu5_1") + 1
        self.stack = stack[:depth]
        self.heads = nn.ModuleDict(
            {tap: nn.Conv2d(config.channels(tap), config.channels(tap), 1) for tap in config.taps}
        )
        # The heads answer in units of about 1; `scale` turns those into the teacher's.
        self.register_buffer("scale", torch.ones(len(config.taps)))

    def forward(
        self, pictures: Float[Tensor, "b 3 h w"], wanted: Iterable[str]
    ) -> dict[str, Float[Tensor, "b c h2 w2"]]:
        """RGB pictures in 0..1 -> tap -> [b, teacher's channels / 4, h / stride, w / stride]."""
        names = list(wanted)
        if unknown := [name for name in names if name not in self.config.taps]:
            raise BadInput(
                f"the slim network has no activation called {', '.join(unknown)}",
                hint=f"it has {', '.join(self.config.taps)}; or take --features vgg16",
            )
        # Divided by 64: the student's own activations then start near 1.
        found = taps(self.stack, preprocess(pictures, how=CAFFE) / 64, names)
        places = {tap: place for place, tap in enumerate(self.config.taps)}
        return {name: self.heads[name](found[name]) * self.scale[places[name]] for name in names}

    def example_inputs(
        self, pictures: Float[Tensor, "b 3 h w"]
    ) -> tuple[Float[Tensor, "b 3 h w"], tuple[str, ...]]:
        """The arguments of a forward pass on ``pictures``: every tap is wanted."""
        return pictures, self.config.taps


def load(path: str | Path) -> SlimVGG:
    """The student from a ``.safetensors`` file with our record. Raises BadInput for another."""
    weights = read(path)
    net = SlimVGG(Config())
    copy_into(net, weights)
    return net


@register(
    ModelCard(
        name="slim_vgg",
        domain="style",
        rows=("T1",),
        title="Collaborative Distillation for Ultra-Resolution Universal Style Transfer",
        authors="Huan Wang, Yijun Li, Yuehai Wang, Haoji Hu, Ming-Hsuan Yang",
        venue="CVPR",
        year=2020,
        link="https://arxiv.org/abs/2003.08436",
        new="Collaborative distillation of encoder-decoder pairs, for style transfer in "
        "ultra-resolution.",
        variants={
            "principal": Variant(
                config=Config(),
                differs="predicts the teacher's principal components, not a learned embedding",
            )
        },
        input_size=(3, 256, 256),
        default="principal",
    ),
    load=lambda model, source: copy_into(model, read(source)),
)
def slim_vgg(config: Config) -> SlimVGG:
    """The untrained student; `load` gives the trained one."""
    return SlimVGG(config)

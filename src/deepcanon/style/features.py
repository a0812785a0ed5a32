"""The frozen networks whose activations style transfer compares: slim, VGG16, VGG19, or a file.

A `FeatureNet` takes RGB pictures in 0..1, applies the preprocessing its weights were trained
with, and returns named activations. It never has a trainable parameter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from deepcanon.classify import vgg
from deepcanon.core.assets import shipped
from deepcanon.core.errors import BadInput
from deepcanon.core.record import record_in
from deepcanon.nn.preprocessing import CAFFE, Preprocessing, preprocess
from deepcanon.nn.taps import Pooling as Pooling
from deepcanon.nn.taps import tap_names, taps
from deepcanon.style import slim

Net = TypeVar("Net", bound=nn.Module)


class FeatureNet(Protocol):
    """Named activations of pictures."""

    @property
    def channels(self) -> Mapping[str, int]:
        """Tap -> number of feature maps, the N_l of Gatys' formulas, in network order."""

    def __call__(
        self, pictures: Float[Tensor, "b 3 h w"], taps: Iterable[str]
    ) -> dict[str, Float[Tensor, "b c h2 w2"]]:
        """Activations of RGB pictures in 0..1. Raises BadInput for an unknown tap."""


class VGGFeatures(nn.Module):
    """A stack of VGG's convolutions, frozen."""

    def __init__(
        self, stack: nn.Sequential, *, how: Preprocessing, pooling: Pooling = Pooling.MAX
    ) -> None:
        super().__init__()
        self.stack = freeze(stack)
        self.how = how
        self.pooling = pooling

    @property
    def channels(self) -> Mapping[str, int]:
        """Tap -> number of feature maps."""
        counts: dict[str, int] = {}
        width = 3
        for name, layer in zip(tap_names(self.stack), self.stack, strict=True):
            if isinstance(layer, nn.Conv2d):
                width = layer.out_channels
            counts[name] = width
        return counts

    def forward(
        self, pictures: Float[Tensor, "b 3 h w"], wanted: Iterable[str]
    ) -> dict[str, Float[Tensor, "b c h2 w2"]]:
        """Named activations, see `FeatureNet`."""
        prepared = preprocess(pictures, how=self.how)
        return taps(self.stack, prepared, wanted, pooling=self.pooling)


class SplitFeatures(nn.Module):
    """Two networks, one for the shallow taps and one for the deep ones.

    For weights that were fine-tuned on another task and kept the ImageNet features in different
    depths. The first stage that the deep network answers for is ``deep_from``.
    """

    def __init__(self, shallow: FeatureNet, deep: FeatureNet, *, deep_from: int = 3) -> None:
        super().__init__()
        self.shallow = shallow
        self.deep = deep
        self.deep_from = deep_from

    @property
    def channels(self) -> Mapping[str, int]:
        """Tap -> number of feature maps."""
        return self.deep.channels

    def forward(
        self, pictures: Float[Tensor, "b 3 h w"], wanted: Iterable[str]
    ) -> dict[str, Float[Tensor, "b c h2 w2"]]:
        """Named activations, each from the network that answers for its stage."""
        names = list(wanted)
        deep = [name for name in names if _stage(name) >= self.deep_from]
        shallow = [name for name in names if _stage(name) < self.deep_from]
        return {**self.shallow(pictures, shallow), **self.deep(pictures, deep)}


class SlimFeatures(nn.Module):
    """The slim student of `deepcanon.style.slim`; its activations stand in its teacher's units."""

    def __init__(self, student: slim.SlimVGG) -> None:
        super().__init__()
        self.student = freeze(student)

    @property
    def channels(self) -> Mapping[str, int]:
        """Tap -> the number of the *teacher's* feature maps: losses are in the teacher's units."""
        return {tap: slim.TEACHER_CHANNELS[tap] for tap in self.student.config.taps}

    def forward(
        self, pictures: Float[Tensor, "b 3 h w"], wanted: Iterable[str]
    ) -> dict[str, Float[Tensor, "b c h2 w2"]]:
        """Named activations, see `FeatureNet`."""
        return self.student(pictures, wanted)  # type: ignore[no-any-return]


def freeze(net: Net) -> Net:
    """``net`` in eval mode and without gradients for its weights."""
    # Channels last: the layout that convolutions on a CPU are fastest in.
    return net.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def load_features(
    name: str | Path | Sequence[str | Path], *, pooling: Pooling = Pooling.MAX
) -> FeatureNet:
    """A frozen feature network.

    ``"slim"`` ships with the package. ``"vgg16"`` and ``"vgg19"`` are the official ImageNet
    weights, downloaded once. A path is a weights file of a VGG16 or VGG19 (``.pth``,
    ``.safetensors``, Keras ``.h5``), or what `deepcanon train slim-vgg` wrote; two paths, also
    written ``shallow.h5+deep.h5``, give the stages 1-2 to the first and the others to the second.
    ``pooling`` does not apply to slim, whose pools belong to what it was taught.

    Raises BadInput for a name that is neither and for other than two paths, Unavailable when the
    weights cannot be downloaded.
    """
    if isinstance(name, str) and "+" in name and not Path(name).exists():
        name = name.split("+")
    if not isinstance(name, str | Path):
        if len(name) != 2:
            raise BadInput(
                f"{'+'.join(map(str, name))} names {len(name)} weights files, not two",
                hint="give the shallow one and the deep one: shallow.h5+deep.h5",
            )
        shallow, deep = (_from_file(Path(part), pooling=pooling) for part in name)
        return SplitFeatures(shallow, deep)
    if name == "slim":
        return SlimFeatures(slim.load(shipped("slim-vgg")))
    if name in ("vgg16", "vgg19"):
        return _official(str(name), pooling=pooling)
    if not Path(name).exists():
        raise BadInput(
            f"{name} is neither a feature network nor a weights file",
            hint="take slim, vgg16, vgg19, or the path of a .pth, .safetensors or .h5 file",
        )
    return _from_file(Path(name), pooling=pooling)


def _official(name: str, *, pooling: Pooling) -> VGGFeatures:
    stack = vgg.convolution_stack({"vgg16": vgg.D, "vgg19": vgg.E}[name])
    how = vgg.load(stack, "imagenet")
    assert how is not None, "official weights say how their pictures are prepared"
    return VGGFeatures(stack, how=how, pooling=pooling)


def _from_file(path: Path, *, pooling: Pooling) -> VGGFeatures | SlimFeatures:
    """A slim VGG's, VGG16's or else VGG19's weights; the error is the one for VGG16."""
    record = record_in(path)
    if record is not None and record.model == "slim_vgg":
        return SlimFeatures(slim.load(path))
    stack = vgg.convolution_stack(vgg.D)
    try:
        how = vgg.load(stack, path)
    except BadInput as not_vgg16:
        stack = vgg.convolution_stack(vgg.E)
        try:
            how = vgg.load(stack, path)
        except BadInput:
            raise not_vgg16 from None
    return VGGFeatures(stack, how=how or CAFFE, pooling=pooling)


def _stage(tap: str) -> int:
    """relu3_1 -> 3, pool4 -> 4."""
    digits = tap.split("_")[0][-1]
    if not digits.isdigit():
        raise BadInput(f"no activation is called {tap!r}", hint="names are like relu3_1")
    return int(digits)

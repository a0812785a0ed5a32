"""Weights for VGG from elsewhere: torchvision's ImageNet weights, our own files, Keras stacks.

Every key of a file is accounted for; ``None`` says which are dropped on purpose. Each dialect
implies how pictures must be prepared, and `fill` says which way that is.
"""

from __future__ import annotations

from pathlib import Path

from torch import nn

from deepcanon.classify.weights.official import Official, fetch_for
from deepcanon.core.errors import BadInput
from deepcanon.nn.lrn import LocalResponseNorm
from deepcanon.nn.preprocessing import CAFFE, TORCHVISION, Preprocessing
from deepcanon.nn.taps import tap_names
from deepcanon.nn.weights import KeyMap, Weights, copy_into, keras_layers, read, rename


def _official(file: str, *, sha256: str) -> Official:
    url = f"https://download.pytorch.org/models/{file}"
    return Official(url=url, sha256=sha256, preprocessing=TORCHVISION)


IMAGENET = {
    # Of the first two only the eight digits in their names are published; they are what is checked.
    "vgg11": _official("vgg11-8a719046.pth", sha256="8a719046"),
    "vgg13": _official("vgg13-19584684.pth", sha256="19584684"),
    "vgg16": _official(
        "vgg16-397923af.pth",
        sha256="397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
    ),
    "vgg19": _official(
        "vgg19-dcbb9e9d.pth",
        sha256="dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
    ),
}
_OF_CONVOLUTIONS = {8: "vgg11", 10: "vgg13", 13: "vgg16", 16: "vgg19"}  # Table 1

# Layers that Keras files hold beside the convolutions: VGG16's own head, and the side outputs of
# the edge detector HED, which is built on VGG16.
_KERAS_DROPPED = ("fc1", "fc2", "predictions", *(f"dsn{n}" for n in range(1, 6)), "fuse")


def fill(model: nn.Module, *, features: nn.Sequential, source: str | Path) -> Preprocessing | None:
    """Fill ``model``, a VGG or its ``features`` alone; see `deepcanon.classify.vgg.load`."""
    whole = model is not features
    if str(source) == "imagenet":
        source = fetch_for(model, _published(features))
    weights = read(source)
    if weights.order:
        if whole:
            raise BadInput(
                f"{weights.source} can fill the convolutions only, not a whole VGG",
                hint="load it into convolution_stack(config), or into the network's .features",
            )
        weights = rename(weights, keras_keys(weights, features))
        how: Preprocessing | None = CAFFE
    else:
        how = weights.preprocessing
        if Path(weights.source).suffix.lower() != ".safetensors":
            how = TORCHVISION
        if not whole and "features.0.weight" in weights.tensors:
            weights = rename(weights, torchvision_keys(features))
    copy_into(model, weights)
    return how


def torchvision_keys(features: nn.Sequential) -> KeyMap:
    """From the keys of a whole VGG, ours or torchvision's, to those of a stack alone."""
    convolutions: KeyMap = {f"features.{key}": key for key in features.state_dict()}
    dropped: KeyMap = {
        f"classifier.{layer}.{part}": None for layer in (0, 3, 6) for part in ("weight", "bias")
    }
    return {**convolutions, **dropped}


def keras_keys(weights: Weights, features: nn.Sequential) -> KeyMap:
    """From Keras' layer names (``block3_conv1``) to the keys of a stack.

    Where a file numbers its layers instead, they are found by the shapes of their kernels, in the
    file's order, and whatever else stands in the file is dropped.
    """
    places = [
        (str(place), name.removeprefix("conv"))
        for place, name in enumerate(tap_names(features))
        if name.startswith("conv")
    ]
    named = [f"block{name.replace('_', '_conv')}" for _, name in places]
    dropped: dict[str, str | None] = {
        key: None for key in weights.tensors if key.split(".")[0] in _KERAS_DROPPED
    }
    if not set(named) & set(weights.order):
        kernels = [tuple(layer.weight.shape) for layer in _convolutions(features)]
        named = keras_layers(weights, kernels=kernels)
        dropped = dict.fromkeys(weights.tensors)
    kept = {
        f"{layer}.{part}": f"{place}.{part}"
        for layer, (place, _) in zip(named, places, strict=True)
        for part in ("weight", "bias")
    }
    return {**dropped, **kept}


def _convolutions(features: nn.Sequential) -> list[nn.Conv2d]:
    return [layer for layer in features if isinstance(layer, nn.Conv2d)]


def _published(features: nn.Sequential) -> Official:
    """What belongs to this column of Table 1."""
    convolutions = _convolutions(features)
    plain = all(layer.kernel_size == (3, 3) for layer in convolutions)
    lrn = any(isinstance(layer, LocalResponseNorm) for layer in features)
    name = _OF_CONVOLUTIONS.get(len(convolutions))
    if name is None or lrn or not plain:
        raise BadInput(
            "there are no ImageNet weights for this network",
            hint=f"there are some for {', '.join(IMAGENET)}",
        )
    return IMAGENET[name]

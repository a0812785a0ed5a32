"""Weights for GoogLeNet from elsewhere: torchvision's names, and its ImageNet weights."""

from __future__ import annotations

from collections.abc import Iterable

from deepcanon.classify.parts.inception_parts import NORM
from deepcanon.classify.weights.official import Official
from deepcanon.nn.preprocessing import INCEPTION
from deepcanon.nn.weights import KeyMap

# torchvision took them over from a release in TensorFlow. It normalises pictures with its own
# statistics and undoes that inside the network: together that is INCEPTION.
IMAGENET = Official(
    url="https://download.pytorch.org/models/googlenet-1378be20.pth",
    sha256="1378be20a8e875cf1568b8a71654e704449655e34711a959a38b04fb34905cef",
    preprocessing=INCEPTION,
)

# Ours -> torchvision's, layer by layer.
_OUTSIDE = {
    "stem.conv1": "conv1",
    "stem.conv2_reduce": "conv2",
    "stem.conv2": "conv3",
    "top.fc": "fc",
}
_BRANCHES = {
    "one": "branch1",
    "three.reduce": "branch2.0",
    "three.wide": "branch2.1",
    "five.reduce": "branch3.0",
    "five.wide": "branch3.1",
    "pool.project": "branch4.1",
}
_HEADS = {"4a": "aux1", "4d": "aux2"}
_IN_A_HEAD = ("conv.conv.weight", *(f"conv.bn.{part}" for part in NORM))
_IN_A_HEAD += tuple(f"{layer}.{part}" for layer in ("fc1", "fc2") for part in ("weight", "bias"))


def torchvision_keys(ours: Iterable[str]) -> KeyMap:
    """From torchvision's names to those of ``ours``, the state dict's of a GoogLeNet.

    Auxiliary heads that the network does not have are dropped.
    """
    keys: dict[str, str | None] = {
        f"{head}.{key}": None for head in _HEADS.values() for key in _IN_A_HEAD
    }
    return keys | {_theirs(key): key for key in ours}


def _theirs(key: str) -> str:
    layer, kind, part = key.rsplit(".", 2)  # inception.3a.one, norm, weight
    if kind in ("fc", "fc1", "fc2"):
        layer, kind = f"{layer}.{kind}", ""
    kind = {"conv": ".conv", "norm": ".bn", "": ""}[kind]
    if layer in _OUTSIDE:
        return f"{_OUTSIDE[layer]}{kind}.{part}"
    whole, name, place = layer.split(".", 2)
    if whole == "heads":
        return f"{_HEADS.get(name, name)}.{'conv' if place == 'reduce' else place}{kind}.{part}"
    return f"inception{name}.{_BRANCHES[place]}{kind}.{part}"

"""Weights for Inception-v4 and Inception-ResNet-v2 from elsewhere: timm's names and ImageNet files.

Google published both for TF-Slim, which counts "background" as class 0; R. Cadene and R. Wightman
converted them. The files on GitHub have that class still, 1001 rows; those on timm's hub do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from deepcanon.classify.parts.inception_parts import conv_norm_keys, plain_keys
from deepcanon.classify.weights.official import Official
from deepcanon.nn.preprocessing import INCEPTION
from deepcanon.nn.weights import KeyMap, Weights

_SITE = "https://github.com/rwightman/pytorch-image-models/releases/download/"

# Of either file's sha256 only the eight digits in its name are published.
V4 = Official(
    url=_SITE + "v0.1-cadene/inceptionv4-8e4777a0.pth",
    sha256="8e4777a0",
    preprocessing=INCEPTION,
)
RESNET_V2 = Official(
    url=_SITE + "v0.1-weights/inception_resnet_v2-940b1cd6.pth",
    sha256="940b1cd6",
    preprocessing=INCEPTION,
)

IMAGENET_CLASSES = 1000


def without_background(weights: Weights, *, classes: int) -> Weights:
    """``weights`` without TF-Slim's class 0, where ImageNet's 1000 are wanted and 1001 are there.

    Any other number of rows is left as it is, for whoever copies them to complain of.
    """
    if classes != IMAGENET_CLASSES:
        return weights
    tensors = {
        key: tensor[1:]
        if key.startswith(("last_linear.", "classif.")) and len(tensor) == classes + 1
        else tensor
        for key, tensor in weights.tensors.items()
    }
    return replace(weights, tensors=tensors)


# --- Inception-v4 --------------------------------------------------------------------------------

_STEM = {  # the same places in ours
    **{f"{n}": f"{n}" for n in range(3)},
    "3.conv": "3.branches.1.0",
    **{f"4.branch0.{n}": f"4.branches.0.{n}" for n in range(2)},
    **{f"4.branch1.{n}": f"4.branches.1.{n}" for n in range(4)},
    "5.conv": "5.branches.0.0",
}
# In each block: timm's name -> the branch and the place in it.
_A = {
    "branch0": "0.0",
    **{f"branch1.{n}": f"1.{n}" for n in range(2)},
    **{f"branch2.{n}": f"2.{n}" for n in range(3)},
    "branch3.1": "3.1",
}
_REDUCTION_A = {"branch0": "0.0", **{f"branch1.{n}": f"1.{n}" for n in range(3)}}
_B = {
    "branch0": "0.0",
    **{f"branch1.{n}": f"1.{n}" for n in range(3)},
    **{f"branch2.{n}": f"2.{n}" for n in range(5)},
    "branch3.1": "3.1",
}
_REDUCTION_B = {
    **{f"branch0.{n}": f"0.{n}" for n in range(2)},
    **{f"branch1.{n}": f"1.{n}" for n in range(4)},
}
_C = {
    "branch0": "0.0",
    "branch1_0": "1.0",
    "branch1_1a": "1.1.branches.0.0",
    "branch1_1b": "1.1.branches.1.0",
    **{f"branch2_{n}": f"2.{n}" for n in range(3)},
    "branch2_3a": "2.3.branches.0.0",
    "branch2_3b": "2.3.branches.1.0",
    "branch3.1": "3.1",
}


def _placed(theirs: str, ours: str, inside: Mapping[str, str]) -> dict[str, str]:
    return {f"{theirs}.{a}": f"{ours}.{b}" for a, b in inside.items()}


def v4_keys(blocks: tuple[int, int, int]) -> KeyMap:
    """From timm's names to those of an Inception-v4 with so many of each module."""
    places = _placed("features", "stem", _STEM)
    kinds = {"a": _A, "b": _B, "c": _C}
    reductions = {"a": _REDUCTION_A, "b": _REDUCTION_B}
    number = 6  # timm counts all blocks in a row, the stem's layers among them
    for (name, inside), count in zip(kinds.items(), blocks, strict=True):
        for n in range(count):
            places |= _placed(f"features.{number}", f"{name}.{n}.branches", inside)
            number += 1
        if name in reductions:
            places |= _placed(f"features.{number}", f"reduction_{name}.branches", reductions[name])
            number += 1
    return conv_norm_keys(places) | plain_keys({"last_linear": "top.fc"})


# --- Inception-ResNet-v2 -------------------------------------------------------------------------

_OUTSIDE = {
    "conv2d_1a": "stem.0",
    "conv2d_2a": "stem.1",
    "conv2d_2b": "stem.2",
    "conv2d_3b": "stem.4",
    "conv2d_4a": "stem.5",
    "conv2d_7b": "c.widen",
}
_MIXED_5B = {
    "branch0": "0.0",
    **{f"branch1.{n}": f"1.{n}" for n in range(2)},
    **{f"branch2.{n}": f"2.{n}" for n in range(3)},
    "branch3.1": "3.1",
}
_MIXED_7A = {
    **{f"branch0.{n}": f"0.{n}" for n in range(2)},
    **{f"branch1.{n}": f"1.{n}" for n in range(2)},
    **{f"branch2.{n}": f"2.{n}" for n in range(3)},
}
_RESIDUAL_A = {
    "branch0": "0.0",
    **{f"branch1.{n}": f"1.{n}" for n in range(2)},
    **{f"branch2.{n}": f"2.{n}" for n in range(3)},
}
_RESIDUAL = {"branch0": "0.0", **{f"branch1.{n}": f"1.{n}" for n in range(3)}}


def resnet_v2_keys(blocks: tuple[int, int, int]) -> KeyMap:
    """From timm's names to those of an Inception-ResNet-v2 as in TF-Slim, ``blocks`` modules."""
    a, b, c = blocks
    modules = [(f"repeat.{n}", f"a.{n}", _RESIDUAL_A) for n in range(a)]
    modules += [(f"repeat_1.{n}", f"b.{n}", _RESIDUAL) for n in range(b)]
    modules += [(f"repeat_2.{n}", f"c.{n}", _RESIDUAL) for n in range(c - 1)]
    modules += [("block8", f"c.{c - 1}", _RESIDUAL)]  # the last stands alone
    places = dict(_OUTSIDE)
    places |= _placed("mixed_5b", "stem.7.branches", _MIXED_5B)
    places |= _placed("mixed_6a", "reduction_a.branches", _REDUCTION_A)
    places |= _placed("mixed_7a", "reduction_b.branches", _MIXED_7A)
    for theirs, ours, inside in modules:
        places |= _placed(theirs, f"{ours}.body.branches", inside)
    plain = {f"{theirs}.conv2d": f"{ours}.expand" for theirs, ours, _ in modules}
    return conv_norm_keys(places) | plain_keys(plain | {"classif": "top.fc"})

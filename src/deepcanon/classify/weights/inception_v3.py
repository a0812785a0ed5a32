"""Weights for Inception-v3 from elsewhere: torchvision's names, and its ImageNet weights."""

from __future__ import annotations

from deepcanon.classify.parts.inception_parts import conv_norm_keys, plain_keys
from deepcanon.classify.weights.official import Official
from deepcanon.nn.preprocessing import INCEPTION
from deepcanon.nn.weights import KeyMap

# The authors' release, converted. torchvision normalises pictures with its own statistics and
# undoes that inside the network (``transform_input``): together that is INCEPTION.
IMAGENET = Official(
    url="https://download.pytorch.org/models/inception_v3_google-0cc3c7bd.pth",
    sha256="0cc3c7bd75056d25e46cba549dc184522069b81e9787eff6df84f397bd52a5ef",
    preprocessing=INCEPTION,
)

_OUTSIDE = {
    "Conv2d_1a_3x3": "stem.0",
    "Conv2d_2a_3x3": "stem.1",
    "Conv2d_2b_3x3": "stem.2",
    "Conv2d_3b_1x1": "stem.4",
    "Conv2d_4a_3x3": "stem.5",
    "AuxLogits.conv0": "auxiliary.reduce",
    "AuxLogits.conv1": "auxiliary.wide",
}
# In each block: torchvision's name -> the branch and the place in it.
_FINE = {
    "branch1x1": "0.0",
    "branch5x5_1": "1.0",
    "branch5x5_2": "1.1",
    "branch3x3dbl_1": "2.0",
    "branch3x3dbl_2": "2.1",
    "branch3x3dbl_3": "2.2",
    "branch_pool": "3.1",
}
_TO_17 = {
    "branch3x3": "0.0",
    "branch3x3dbl_1": "1.0",
    "branch3x3dbl_2": "1.1",
    "branch3x3dbl_3": "1.2",
}
_SEVEN = {
    "branch1x1": "0.0",
    **{f"branch7x7_{n + 1}": f"1.{n}" for n in range(3)},
    **{f"branch7x7dbl_{n + 1}": f"2.{n}" for n in range(5)},
    "branch_pool": "3.1",
}
_TO_8 = {
    "branch3x3_1": "0.0",
    "branch3x3_2": "0.1",
    **{f"branch7x7x3_{n + 1}": f"1.{n}" for n in range(4)},
}
_COARSE = {
    "branch1x1": "0.0",
    "branch3x3_1": "1.0",
    "branch3x3_2a": "1.1.branches.0.0",
    "branch3x3_2b": "1.1.branches.1.0",
    "branch3x3dbl_1": "2.0",
    "branch3x3dbl_2": "2.1",
    "branch3x3dbl_3a": "2.2.branches.0.0",
    "branch3x3dbl_3b": "2.2.branches.1.0",
    "branch_pool": "3.1",
}
_BLOCKS = {
    "Mixed_5b": ("fine.0", _FINE),
    "Mixed_5c": ("fine.1", _FINE),
    "Mixed_5d": ("fine.2", _FINE),
    "Mixed_6a": ("to_17", _TO_17),
    "Mixed_6b": ("sevens.0", _SEVEN),
    "Mixed_6c": ("sevens.1", _SEVEN),
    "Mixed_6d": ("sevens.2", _SEVEN),
    "Mixed_6e": ("sevens.3", _SEVEN),
    "Mixed_7a": ("to_8", _TO_8),
    "Mixed_7b": ("coarse.0", _COARSE),
    "Mixed_7c": ("coarse.1", _COARSE),
}


def torchvision_keys() -> KeyMap:
    """From torchvision's names to ours."""
    places = dict(_OUTSIDE)
    for theirs, (ours, inside) in _BLOCKS.items():
        places |= {f"{theirs}.{a}": f"{ours}.branches.{b}" for a, b in inside.items()}
    return conv_norm_keys(places) | plain_keys({"AuxLogits.fc": "auxiliary.fc", "fc": "top.fc"})

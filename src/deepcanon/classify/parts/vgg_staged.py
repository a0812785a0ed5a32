"""VGG's staged initialisation (§3.1): a deep column starts from the layers of a trained A.

In a recipe: ``start`` names a file of vgg11, and ``model`` another column.
"""

from __future__ import annotations

import torch
from torch import nn

from deepcanon.classify.vgg import VGG
from deepcanon.core.errors import BadInput
from deepcanon.nn.taps import tap_names

# Where A's first four convolutions stand. Counted from the input, no other column could take
# them (A's second has 64 -> 128 channels, the others' 64 -> 64); by name, all can.
_FIRST_FOUR = ("conv1_1", "conv2_1", "conv3_1", "conv3_2")

TRAINED = "vgg11"  # A
STAGED = ("vgg11_lrn", "vgg13", "vgg16_c", "vgg16", "vgg19")  # what can start from it


def initialise_from(net: VGG, trained_a: VGG) -> None:
    """Staged initialisation (§3.1): A's first four convolutions and three FC layers into ``net``.

    The other layers of ``net`` stay as they are, that is random; no layer is frozen and none has
    its learning rate lowered. Raises BadInput when a layer of ``net`` has another shape.
    """
    sources = _named(trained_a)
    targets = _named(net)
    for name in (*_FIRST_FOUR, "fc6", "fc7", "fc8"):
        source, target = sources[name], targets[name]
        if source.weight.shape != target.weight.shape:
            raise BadInput(
                f"{name} has the shape {list(source.weight.shape)} in A "
                f"and {list(target.weight.shape)} in the network to initialise",
                hint="build both with the same image_side, hidden and num_classes",
            )
    with torch.no_grad():
        for name in (*_FIRST_FOUR, "fc6", "fc7", "fc8"):
            targets[name].load_state_dict(sources[name].state_dict())


def _named(net: VGG) -> dict[str, nn.Conv2d | nn.Linear]:
    """Every layer that has weights, under the paper's and Caffe's names."""
    layers = dict(zip(tap_names(net.features), net.features, strict=True))
    layers |= zip(("fc6", "fc7", "fc8"), (net.classifier[i] for i in (0, 3, 6)), strict=True)
    return {
        name: layer for name, layer in layers.items() if isinstance(layer, nn.Conv2d | nn.Linear)
    }

"""Bringing the activations of a feature network to a scale, so that style weights carry over.

Scaling activations by s scales a content loss by s² and a style loss by s⁴. Weights are worth
something on another network only when its activations are as large as those they were found for.
"""

from __future__ import annotations

import math
from enum import StrEnum

import torch
from jaxtyping import Float
from torch import Tensor

# Activations are sparse: their root mean square was 2.2 to 3.3 times their mean at the taps of a
# normalised VGG16 (ten photographs). The former is measured, because it exists for slim too.
RMS_OF_MEAN = 3.0
# A filter that is all but silent in both pictures would drown the others once it speaks.
QUIETEST = 0.1


class Activations(StrEnum):
    """What of the activations is brought to a given mean before the losses."""

    AS_GIVEN = "as_given"  # nothing
    LAYER = "layer"  # each layer, by one factor
    FILTER = "filter"  # each filter by its own, as Gatys et al. 2016 §2


def scale(
    photograph: Float[Tensor, "1 n h w"],
    painting: Float[Tensor, "1 n h2 w2"],
    *,
    filters: int,
    what: Activations,
    mean: float,
) -> Float[Tensor, "1 n 1 1"]:
    """The factors for one layer, measured on both pictures (over ImageNet in §2).

    `filters` is how many filters the layer has; where the network gives fewer components instead
    (slim), FILTER acts as LAYER. A filter counts as no quieter than QUIETEST of its layer.
    """
    means = (photograph.mean((2, 3), keepdim=True) + painting.mean((2, 3), keepdim=True)) / 2
    layer = math.sqrt((_power(photograph, filters) + _power(painting, filters)) / 2) / RMS_OF_MEAN
    if what is Activations.AS_GIVEN or layer == 0:
        return torch.ones_like(means)
    if what is Activations.LAYER or filters != means.shape[1]:
        return torch.full_like(means, mean / layer)
    return mean / means.clamp(min=QUIETEST * layer)


def _power(features: Float[Tensor, "1 n h w"], filters: int) -> float:
    """The mean square activation."""
    return features.square().sum().item() / (filters * features.shape[2] * features.shape[3])

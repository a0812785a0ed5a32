"""A picture as a sum of pictures of several sizes: coordinates in which descent is quicker.

Neighbouring pixels of a picture want to move together, but to a gradient in pixels each is a
coordinate of its own, and L-BFGS needs many iterations to find that out. With maps of half, a
quarter, ... of the size among the coordinates, a whole area moves as easily as a pixel. What can be
painted is the same; what is minimised is the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

GAIN = 0.5**0.5  # of each map against the next finer one; ours, as good or better than 0.35 and 0.5
SMALLEST = 8  # pixels on the shorter side of the coarsest map


def split(picture: Float[Tensor, "1 3 h w"], *, levels: int) -> list[Float[Tensor, "1 3 h2 w2"]]:
    """Up to ``levels`` maps, each half as large as the one before; `merge` makes `picture` of them.

    The first is the picture itself, the others are zero.
    """
    height, width = picture.shape[-2:]
    maps = [picture]
    while len(maps) < levels and min(height, width) >= 2 * SMALLEST:
        height, width = height // 2, width // 2
        maps.append(picture.new_zeros(1, 3, height, width))
    return maps


def merge(maps: Sequence[Float[Tensor, "1 3 h2 w2"]]) -> Float[Tensor, "1 3 h w"]:
    """The sum of the maps, each enlarged to the size of the first and times `GAIN` a level."""
    picture, *coarse = maps
    for level, each in enumerate(coarse, 1):
        enlarged = functional.interpolate(each, size=picture.shape[-2:], mode="bilinear")
        picture = torch.add(picture, enlarged, alpha=GAIN**level)
    return picture
